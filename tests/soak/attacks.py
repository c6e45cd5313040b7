"""The attacks. Each is run as a process of its own: `python -m tests.soak.attacks NAME PORT TLSPORT SECONDS SCALE`."""

from __future__ import annotations

import json
import os
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from functools import cache

from tests.soak.peers import BINARY, CONTINUATION, DEFLATED, FIN, HEAD, PING, TEXT, RawClient, RefusedOpening, frame

MIB = 1 << 20
_DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate\r\n"


@cache
def _bomb(size: int) -> bytes:
    """So many zeros, deflated and flushed. Made once, since the attacker must not be slower than the daemon."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    return deflater.compress(bytes(size)) + deflater.flush(zlib.Z_SYNC_FLUSH)


class Attack:
    """Something hostile that is done again and again until the time is over."""

    connections = 20
    """How many connections it opens at a time, in full size."""

    def __init__(self, port: int, tlsPort: int, seconds: float, scale: float) -> None:
        self.port = port
        self.tlsPort = tlsPort
        self.end = time.monotonic() + seconds
        self.count = max(2, int(self.connections * scale))
        self.steps = 0
        self.most = 0
        """The most connections that it had at a time."""

    @property
    def goesOn(self) -> bool:
        return time.monotonic() < self.end

    def run(self) -> None:
        """Open the connections, and do a step on each in turn. One that the daemon has closed is opened again."""
        steps: list[Iterator[None] | None] = [None] * self.count
        while self.goesOn:
            for number in range(self.count):
                if time.monotonic() >= self.end:
                    return
                try:
                    step = steps[number] or self.attack()
                    steps[number] = step
                    next(step)
                    self.steps += 1
                except (OSError, StopIteration):
                    steps[number] = None
                self.most = max(self.most, sum(each is not None for each in steps) if number % 50 == 0 else 0)
            self.most = max(self.most, sum(each is not None for each in steps))

    def attack(self) -> Iterator[None]:
        """One connection, with a pause after each step."""
        raise NotImplementedError

    def repeat(self, data: bytes, path: str = "/echo", more: str = "", reads: bool = True) -> Iterator[None]:
        """A WebSocket that sends the same bytes again and again, and reads what comes back unless told not to."""
        client = RawClient(self.port, path, more, reads=reads)
        try:
            # All connections are opened before the first of them sends: later ones might have to wait for memory.
            yield
            while client.push(data) and (not reads or client.drain()):
                yield
        finally:
            client.close()


class Slowloris(Attack):
    """Opening handshakes that never end, a byte at a time."""

    connections = 2000

    def attack(self) -> Iterator[None]:
        client = RawClient(self.port, None)
        try:
            for byte in HEAD.format(path="/echo", more="X: " + "y" * 8000).encode():
                if not client.send(bytes((byte,))):
                    return
                yield
        finally:
            client.close()


class HandshakeFlood(Attack):
    """Opening handshakes as fast as possible, each closed at once."""

    def attack(self) -> Iterator[None]:
        client = RawClient(self.port)
        client.close()
        yield


class PingFlood(Attack):
    """Pings with 125 bytes as fast as possible."""

    def attack(self) -> Iterator[None]:
        return self.repeat(frame(b"p" * 125, FIN | PING) * 2000)


class TinyFrames(Attack):
    """Messages of one byte as fast as possible."""

    def attack(self) -> Iterator[None]:
        return self.repeat(frame(b"x") * 5000)


class EmptyFragments(Attack):
    """A message of fragments without a byte."""

    def attack(self) -> Iterator[None]:
        client = RawClient(self.port)
        client.send(frame(b"", TEXT))
        while client.send(frame(b"", CONTINUATION) * 5000, 0.05):
            yield


class MillionFragments(Attack):
    """A message of a million fragments of one byte."""

    def attack(self) -> Iterator[None]:
        client = RawClient(self.port)
        client.send(frame(b"x", BINARY))
        for _ in range(200):
            client.send(frame(b"x", CONTINUATION) * 5000, 0.5)
            yield
        client.send(frame(b"x", FIN | CONTINUATION))
        client.drain(0.1)
        client.close()


class Flood(Attack):
    """One connection that sends and reads as fast as possible."""

    connections = 1

    def attack(self) -> Iterator[None]:
        return self.repeat(frame(b"x" * 1024) * 256)


class DeflateBombs(Attack):
    """Messages that inflate to a thousand times their size."""

    def attack(self) -> Iterator[None]:
        return self.repeat(frame(_bomb(64 * MIB)[:-4], FIN | DEFLATED | BINARY), more=_DEFLATE, reads=False)


class HalfDeflateBombs(Attack):
    """The same within the limit of a message, and without its last fragment."""

    def attack(self) -> Iterator[None]:
        client = RawClient(self.port, more=_DEFLATE)
        client.send(frame(_bomb(24 * MIB), DEFLATED | BINARY))
        while client.drain():
            yield
        client.close()


class HugeLengths(Attack):
    """Frames that declare 2**63 - 1 bytes, and more."""

    def attack(self) -> Iterator[None]:
        for length in (2**63 - 1, 2**63, 2**64 - 1, 2**31):
            client = RawClient(self.port)
            client.send(frame(b"x" * 100, FIN | BINARY, length))
            client.drain(0.05)
            client.close()
            yield


class HalfMessages(Attack):
    """Messages of 32 MiB of which the last byte never comes."""

    def attack(self) -> Iterator[None]:
        client = RawClient(self.port)
        client.send(frame(b"", FIN | BINARY, 32 * MIB))
        for _ in range(32):
            if not client.send(bytes(MIB), 0.2):
                return
            yield
        while client.drain():
            yield


class NeverReaders(Attack):
    """Clients that never read their echoes."""

    connections = 2000

    def attack(self) -> Iterator[None]:
        return self.repeat(frame(b"x" * 65536) * 4, reads=False)


class LargeNeverReaders(Attack):
    """Clients that do not read echoes of 16 MiB."""

    connections = 50

    def attack(self) -> Iterator[None]:
        return self.repeat(frame(bytes(16 * MIB)), reads=False)


class TlsGarbage(Attack):
    """Bytes that are no TLS, and TLS handshakes that stop half-way."""

    connections = 200

    def attack(self) -> Iterator[None]:
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
        for start in (os.urandom(600), hello, hello + os.urandom(600), b"\x16\x03\x01\xff\xff" + bytes(600), b""):
            client = RawClient(self.tlsPort, None)
            client.startTls(start)
            yield
            client.drain()
            client.close()


class TlsHandshakes(Attack):
    """TLS handshakes as fast as possible."""

    def attack(self) -> Iterator[None]:
        client = RawClient(self.tlsPort, None)
        client.startTls()
        client.close()
        yield


class HeaderBombs(Attack):
    """Request heads with too many fields, too long ones, and fields that are costly to read."""

    def attack(self) -> Iterator[None]:
        fields = (
            "".join(f"X-{number}: y\r\n" for number in range(5000)),
            f"X: {'y' * 1_000_000}\r\n",
            f"Sec-WebSocket-Extensions: {'permessage-deflate;' * 700}\r\n",
            f"Sec-WebSocket-Extensions: {'a;b=' + chr(34) + chr(92) * 14000}\r\n",
            f"Sec-WebSocket-Protocol: {'a,' * 7000}\r\n",
            f"Cookie: {'a=b; ' * 3000}\r\n",
            f"Forwarded: {'for=1.2.3.4,' * 1200}\r\n",
            f"Accept: {'text/html;q=0.1,' * 900}\r\n",
        )
        for field in fields:
            with suppress(OSError, RefusedOpening):
                RawClient(self.port, more=field).close()
            yield


class XmlBombs(Attack):
    """XML with entities, a great depth, and many names, for XMPP and SOAP."""

    def attack(self) -> Iterator[None]:
        size = 200_000
        entities = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">' + "".join(
            f'<!ENTITY {chr(98 + n)} "{("&" + chr(97 + n) + ";") * 10}">' for n in range(9)
        )
        bombs = (
            f"{entities}]><a>&j;</a>",
            "<a>" * (size // 7) + "</a>" * (size // 7),
            "<a>" + "<b/>" * (size // 4) + "</a>",
            "<a " + " ".join(f'b{n}=""' for n in range(size // 12)) + "/>",
            "<a>" + "".join(f'<b xmlns="u{n}"/>' for n in range(size // 20)) + "</a>",
            "<a>" + "&amp;" * (size // 5) + "</a>",
        )
        for path, protocol in (("/xmpp", "xmpp"), ("/soap", "soap")):
            for bomb in bombs:
                client = RawClient(self.port, path, f"Sec-WebSocket-Protocol: {protocol}\r\n")
                client.send(frame(bomb.encode(), FIN | TEXT))
                yield
                client.drain(0.01)
                client.close()


class JsonBombs(Attack):
    """JSON of a great depth, with long numbers and many keys, for the enveloped form of topics."""

    def documents(self) -> Iterator[str]:
        yield "[" * 500_000
        yield '{"a":' * 100_000
        yield '{"subscribe":{"topic":' + "9" * 900_000 + "}}"
        yield json.dumps({str(number): number for number in range(60_000)})
        yield "[" + ",".join(["1e308"] * 150_000) + "]"
        yield json.dumps({"subscribe": {"id": 1, "topic": "/".join("+" * 400_000)}})

    def attack(self) -> Iterator[None]:
        for document in self.documents():
            client = RawClient(self.port, "/topics/", "Sec-WebSocket-Protocol: topics.wsd.v1\r\n")
            client.send(frame(document.encode(), FIN | TEXT))
            yield
            client.drain(0.01)
            client.close()


class HashFloods(JsonBombs):
    """Keys that hash alike where hashes are not keyed: multiples of 2**61 - 1, and one key repeated."""

    def documents(self) -> Iterator[str]:
        yield "{" + ",".join(f'"{number * (2**61 - 1)}":0' for number in range(40_000)) + "}"
        yield "{" + ",".join(['"a":0'] * 150_000) + "}"


class LogFlood(Attack):
    """Requests and frames each of which would cause a line in the log."""

    def attack(self) -> Iterator[None]:
        client = RawClient(self.port, None)
        client.send(b"GET /\x1b[31m HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.drain()
        client.close()
        yield
        client = RawClient(self.port)
        client.send(b"\xff\xff\xff\xff")
        client.drain()
        client.close()
        yield


ATTACKS: tuple[type[Attack], ...] = (
    Slowloris,
    HandshakeFlood,
    PingFlood,
    TinyFrames,
    EmptyFragments,
    MillionFragments,
    Flood,
    DeflateBombs,
    HalfDeflateBombs,
    HugeLengths,
    HalfMessages,
    NeverReaders,
    LargeNeverReaders,
    TlsGarbage,
    TlsHandshakes,
    HeaderBombs,
    XmlBombs,
    JsonBombs,
    HashFloods,
    LogFlood,
)


if __name__ == "__main__":
    name, port, tlsPort, seconds, scale = sys.argv[1:]
    (attack,) = [each for each in ATTACKS if each.__name__ == name]
    attacker = attack(int(port), int(tlsPort), float(seconds), float(scale))
    attacker.run()
    print(attacker.steps, attacker.most)
