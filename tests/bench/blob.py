"""
What a gibibyte costs by the reliable protocol, beside what it costs at the least.

    python -m tests.bench.blob

In one run, in turns: an upload by blob.wsd.v1 from a client that costs little; `websockets` receiving the same bytes in
the same pieces and dropping them; and a plain program that hashes, CRCs, writes and fsyncs them at the same interval.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import zlib
from hashlib import sha256
from pathlib import Path
from struct import pack
from typing import Any

from tests.daemon import runningDaemon

MIB = 1 << 20
PIECE = 256 * 1024
HANDSHAKE = (
    "GET /blob HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Protocol: blob.wsd.v1\r\n\r\n"
)


class Client:
    """As little as a client can be: frames are masked with zeros, which costs the server what any mask does."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(HANDSHAKE.encode())
        self._data = b""
        while b"\r\n\r\n" not in self._data:
            self._data += self._socket.recv(65536)
        self._data = self._data.partition(b"\r\n\r\n")[2]

    def send(self, payload: bytes, opcode: int = 2) -> None:
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else b"\xff" + size.to_bytes(8, "big")
        if 126 <= size < 65536:
            length = b"\xfe" + size.to_bytes(2, "big")
        self._socket.sendall(bytes([0x80 | opcode]) + length + bytes(4) + payload)

    def say(self, message: str, /, **fields: object) -> None:
        self.send(json.dumps({message: fields}).encode(), 1)

    def close(self) -> None:
        """Say goodbye."""
        self.send((1000).to_bytes(2, "big"), 8)
        self._socket.close()

    def hear(self) -> Any:
        """The next text message; pings are of no interest here."""
        while True:
            if len(self._data) >= 4:
                size, start = self._data[1], 2
                if size == 126:
                    size, start = int.from_bytes(self._data[2:4], "big"), 4
                if len(self._data) >= start + size:
                    opcode, payload = self._data[0] & 15, self._data[start : start + size]
                    self._data = self._data[start + size :]
                    if opcode == 1:
                        return json.loads(payload)
                    continue
            self._data += self._socket.recv(65536)


def chunks(size: int) -> list[bytes]:
    """The pieces of a file, each with its head."""
    piece = os.urandom(PIECE)
    crc = zlib.crc32(piece)
    return [pack(">QI", offset, crc) + piece for offset in range(0, size, PIECE)]


def reliable(port: int, pieces: list[bytes], number: int) -> float:
    """Seconds that an upload takes, from begin to done."""
    client = Client(port)
    client.hear()
    began = time.perf_counter()
    client.say("begin", name="a", size=len(pieces) * PIECE, token=f"{number:016}")
    ready = client.hear()["ready"]
    granted = ready["offset"] + ready["credit"]
    for number, chunk in enumerate(pieces):
        while (number + 1) * PIECE > granted:
            ack = client.hear()["ack"]
            granted = ack["offset"] + ack["credit"]
        client.send(chunk)
    client.say("end")
    while "done" not in client.hear():
        pass
    took = time.perf_counter() - began
    client.close()
    return took


DISCARD = """
import asyncio
from websockets.asyncio.server import serve
async def discard(socket):
    while await socket.recv() != "end":
        pass
    await socket.send('{"done": 1}')
async def main():
    async with serve(discard, "127.0.0.1", 0, max_size=None, compression=None, subprotocols=["blob.wsd.v1"]) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().create_future()
asyncio.run(main())
"""


def discarded(port: int, pieces: list[bytes]) -> float:
    """Seconds in which `websockets` receives the same bytes and drops them."""
    client = Client(port)
    began = time.perf_counter()
    for chunk in pieces:
        client.send(chunk)
    client.send(b"end", 1)
    client.hear()
    took = time.perf_counter() - began
    client.close()
    return took


def plain(folder: Path, pieces: list[bytes]) -> float:
    """Seconds in which a program hashes, CRCs, writes and fsyncs the same bytes, each second or 32 MiB."""
    began = last = time.perf_counter()
    digest, unsynced = sha256(), 0
    with open(folder / "plain", "wb", buffering=0) as file:
        for chunk in pieces:
            data = memoryview(chunk)[12:]
            zlib.crc32(data)
            digest.update(data)
            file.write(data)
            unsynced += len(data)
            if unsynced >= 32 * MIB or time.perf_counter() - last >= 1:
                os.fdatasync(file.fileno())
                unsynced, last = 0, time.perf_counter()
        os.fdatasync(file.fileno())
    took = time.perf_counter() - began
    (folder / "plain").unlink()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description="Upload a gibibyte by the reliable protocol, and by less.")
    parser.add_argument("--size", type=int, default=1024, help="MiB")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    pieces = chunks(given.size * MIB)
    config = '[route."/blob"]\nquota = 0\nmax_file = "8 GiB"\n'
    discard = subprocess.Popen([sys.executable, "-c", DISCARD], stdout=subprocess.PIPE, text=True)
    assert discard.stdout is not None
    port = int(discard.stdout.readline())
    rates: dict[str, list[float]] = {"blob.wsd.v1": [], "websockets, dropping": [], "plain program": []}
    try:
        with runningDaemon(config=config) as daemon:
            for number in range(given.rounds):
                rates["blob.wsd.v1"].append(given.size / reliable(daemon.port(), pieces, number))
                rates["websockets, dropping"].append(given.size / discarded(port, pieces))
                rates["plain program"].append(given.size / plain(daemon.folder, pieces))
    finally:
        discard.kill()
        discard.wait()
    for name, found in rates.items():
        print(f"{name:22} {statistics.median(found):7.0f} MiB/s   {' '.join(f'{rate:.0f}' for rate in found)}")
    ours, *others = (statistics.median(found) for found in rates.values())
    print(f"of the slower one: {ours / min(others):.2f}")


if __name__ == "__main__":
    main()
