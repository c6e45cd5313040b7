"""
Cuts frames at any byte, over real sockets, while either side closes: `make asan` does so with what it has compiled.

Many clients at once, over plain TCP and TLS, send messages of every kind and size in pieces. They close, leave or reset
the connection at some byte; the server closes and drops others midway; at the end it is told to stop while many frames
are half read. It must end well each time. One line says how to repeat what went wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import socket
import ssl
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress

from tests.daemon import RunningDaemon, runningDaemon

CONFIG = """
[policies]
closing_timeout = 1
"""

PATHS = (
    "/echo",
    "/echo?nodeflate",
    "/echo?repeat=3",
    "/echo?size=200000",
    "/echo?fragment=1000",
    "/echo?push=10",
    "/echo?ping=20",
    "/echo?close=4000&delay=20",
    "/echo?close=4000&delay=60",
    "/echo?abrupt&delay=40",
    "/describe",
    "/xmpp",
    "/soap",
)

SIZES = (0, 1, 125, 126, 5_000, 65_535, 65_536, 70_000, 300_000, 1_000_000, 8_000_000)
SIZE_WEIGHTS = (2, 4, 4, 4, 4, 2, 2, 4, 4, 2, 1)

AT_ONCE = 40
"""Clients at once."""

EACH = 200
"""Clients in one life of the daemon."""

PATIENCE = 20.0
"""Seconds that a client may take."""


def frame(first: int, payload: bytes, dice: random.Random) -> bytes:
    """A client's frame."""
    size, mask = len(payload), dice.randbytes(4)
    if size < 126:
        head = struct.pack("!BB", first, 0x80 | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, 0xFE, size)
    else:
        head = struct.pack("!BBQ", first, 0xFF, size)
    number = int.from_bytes(payload, "little") ^ int.from_bytes((mask * (size // 4 + 1))[:size], "little")
    return head + mask + number.to_bytes(size, "little")


def message(dice: random.Random) -> bytes:
    """A message, a control frame, or what no server takes."""
    size = dice.choices(SIZES, SIZE_WEIGHTS)[0]
    kind = dice.choice(("binary", "binary", "text", "text", "deflated", "fragments", "ping", "bad text", "noise"))
    if kind == "text":
        return frame(0x81, ("aä€😀" * (size // 10 + 1)).encode(), dice)
    if kind == "deflated":
        stream = zlib.compressobj(1, wbits=-15)
        plain = bytes(size)
        return frame(0xC2, (stream.compress(plain) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4], dice)
    if kind == "fragments":
        parts = [0x02, *[0x00] * dice.randrange(4), 0x80]
        pieces = [frame(part, dice.randbytes(dice.randrange(3000)), dice) for part in parts]
        return frame(0x89, b"between", dice).join(pieces)
    if kind == "ping":
        return frame(dice.choice((0x89, 0x8A)), dice.randbytes(dice.randrange(126)), dice)
    if kind == "bad text":
        return frame(0x81, b"a" * size + dice.choice((b"\xff", b"\xc3", b"\xed\xa0\x80")), dice)
    if kind == "noise" and dice.random() < 0.2:
        return dice.randbytes(100)
    return frame(0x82, bytes(size), dice)


def pieces(data: bytes, dice: random.Random) -> Iterator[bytes]:
    """It, cut at any byte."""
    at = 0
    while at < len(data):
        size = dice.choice((1, 2, 7, 100, 5_000, 100_000, 300_000, len(data)))
        yield data[at : at + size]
        at += size


class Client:
    """One connection, from a seed."""

    def __init__(self, seed: str, port: int, context: ssl.SSLContext | None) -> None:
        self.dice = random.Random(seed)
        self.port = port
        self.context = context

    async def run(self) -> None:
        """Talk until either side ends it."""
        with suppress(OSError, EOFError, asyncio.TimeoutError):
            await asyncio.wait_for(self._talk(), PATIENCE)

    async def _open(self, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.context)
        subprotocol = {"/xmpp": "xmpp", "/soap": "soap"}.get(path)
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: localhost:{self.port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==",
            *([f"Sec-WebSocket-Protocol: {subprotocol}"] if subprotocol else []),
            *(["Sec-WebSocket-Extensions: permessage-deflate"] if self.dice.random() < 0.7 else []),
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        await reader.readuntil(b"\r\n\r\n")
        return reader, writer

    async def _talk(self) -> None:
        dice = self.dice
        reader, writer = await self._open(dice.choice(PATHS))
        reading = asyncio.ensure_future(self._read(reader) if dice.random() < 0.8 else asyncio.sleep(0))
        try:
            for _ in range(dice.randrange(1, 12)):
                data = message(dice)
                if dice.random() < 0.15:
                    # Left in the midst of a frame.
                    data = data[: dice.randrange(len(data) + 1)]
                    await self._send(writer, data)
                    break
                await self._send(writer, data)
            await self._end(writer)
            await asyncio.wait([reading], timeout=1)
        finally:
            reading.cancel()
            # One that is gone already has no loop to abort it.
            if not writer.is_closing():
                writer.transport.abort()

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        for piece in pieces(data, self.dice) if len(data) < 100_000 else (data,):
            writer.write(piece)
            await asyncio.wait_for(writer.drain(), 2)
            if self.dice.random() < 0.5:
                await asyncio.sleep(self.dice.choice((0, 0, 0.002, 0.02)))

    async def _end(self, writer: asyncio.StreamWriter) -> None:
        how = self.dice.choice(("close", "half", "reset", "leave", "stay"))
        if how == "close":
            await self._send(writer, frame(0x88, b"\x03\xe8", self.dice))
        elif how == "half" and writer.can_write_eof():
            writer.write_eof()
        elif how == "reset":
            own: socket.socket | None = writer.get_extra_info("socket")
            if own is not None:
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif how == "leave":
            writer.close()

    @staticmethod
    async def _read(reader: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while await reader.read(65536):
                pass


class HalfAFrame(Client):
    """Has sent part of a message, and goes on with it while the server ends."""

    async def _talk(self) -> None:
        reader, writer = await self._open(self.dice.choice(PATHS))
        size = self.dice.choice((70_000, 1_000_000, 30_000_000))
        data = frame(self.dice.choice((0x81, 0x82)), bytes(size), self.dice)
        await self._send(writer, data[: self.dice.randrange(10, 60_000)])
        reading = asyncio.ensure_future(self._read(reader))
        try:
            while not reading.done():
                writer.write(bytes(self.dice.choice((1, 100, 50_000))))
                await writer.drain()
                await asyncio.sleep(0.005)
        finally:
            reading.cancel()
            # One that is gone already has no loop to abort it.
            if not writer.is_closing():
                writer.transport.abort()


async def talks(daemon: RunningDaemon, seed: str, end: float) -> int:
    """The clients of one life, and its end in the midst of frames: how many there were."""
    dice = random.Random(seed)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    ends = ((daemon.port("ws"), None), (daemon.port("wss"), context))
    gate, count = asyncio.Semaphore(AT_ONCE), 0

    async def talk(number: int) -> None:
        nonlocal count
        async with gate:
            if time.monotonic() < end and daemon.process.poll() is None:
                count += 1
                await Client(f"{seed}.{number}", *dice.choice(ends)).run()

    await asyncio.gather(*[talk(number) for number in range(EACH)])
    clients = [HalfAFrame(f"{seed}.half{number}", *dice.choice(ends)) for number in range(20)]
    halves = [asyncio.ensure_future(client.run()) for client in clients]
    await asyncio.sleep(dice.random())
    daemon.process.send_signal(signal.SIGTERM)
    await asyncio.gather(*halves)
    return count + len(halves)


def live(seed: str, end: float) -> int:
    """
    One life of the daemon: how many clients it had. Raises AssertionError with what it said when it ended badly.

    A daemon under AddressSanitizer may hold the reactor: everything takes several times as long in it.
    """
    preloaded = os.environ.get("PRELOADED", "")
    with runningDaemon(
        "--tls-port",
        "0",
        "--tls-self-signed",
        config=CONFIG,
        environ={"LD_PRELOAD": preloaded},
        mayHold=bool(preloaded),
    ) as daemon:
        count = asyncio.run(talks(daemon, seed, end))
        status = daemon.stop()
    # As Twisted's commands end at TERM.
    if status != -signal.SIGTERM or any("AddressSanitizer" in line for line in daemon.lines):
        raise AssertionError("\n".join([*daemon.lines[-200:], f"the daemon ended with {status}"]))
    return count


def main() -> None:
    """Live after live, for so many seconds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--seconds", type=float, default=45)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    arguments = parser.parse_args()
    end, lives, clients = time.monotonic() + arguments.seconds, 0, 0
    print(f"python -m tests.process.cuts --seed {arguments.seed}", flush=True)
    while time.monotonic() < end:
        clients += live(f"{arguments.seed}.{lives}", end)
        lives += 1
    print(f"{lives} lives of the daemon, {clients} connections")


if __name__ == "__main__":
    main()
