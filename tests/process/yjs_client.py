"""A client of pycrdt-websocket that does what its standard input says, as yjs.mjs does: one command a line."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from random import Random
from typing import Any

import anyio
from httpx_ws import aconnect_ws
from pycrdt import Doc, Provider, Text
from pycrdt.websocket.websocket import HttpxWebsocket

LARGEST = 2**24
"""Bytes of a message. By default the library closes after 65,536."""


class Channel(HttpxWebsocket):
    """The connection of a provider, which tells when it is lost."""

    def __init__(self, websocket: Any, path: str) -> None:
        super().__init__(websocket, path)
        self.lost = anyio.Event()

    async def __anext__(self) -> bytes:
        try:
            return await super().__anext__()
        except StopAsyncIteration:
            self.lost.set()
            raise


class Client:
    """A document. The provider of pycrdt-websocket is for one connection; this makes a new one when it is lost."""

    def __init__(self, url: str, seed: int) -> None:
        self._url = url
        self._random = Random(seed)
        self._doc: Doc[Any] = Doc()
        self._text = self._doc.get("text", type=Text)
        self._isWanted = True
        self._scope = anyio.CancelScope()
        self._began = anyio.Event()

    async def run(self) -> None:
        """Stay connected while that is wanted."""
        while True:
            if self._isWanted:
                # The server is away, or went away: the libraries raise one of many exceptions.
                with suppress(Exception), anyio.CancelScope() as self._scope:
                    await self._talk()
                self._began = anyio.Event()
            await anyio.sleep(0.05)

    async def _talk(self) -> None:
        websocket: Any
        async with aconnect_ws(self._url, max_message_size_bytes=LARGEST) as websocket:
            channel = Channel(websocket, self._url)
            async with Provider(self._doc, channel) as self._provider:
                self._began.set()
                await channel.lost.wait()

    async def synced(self) -> dict[str, str]:
        """Wait until everything that the server had is here."""
        await self._began.wait()
        await self._provider.synced.wait()
        return {}

    async def edit(self, count: str) -> dict[str, str]:
        """Make so many random edits."""
        for number in range(int(count)):
            length = len(self._text)
            if length > 3 and self._random.randrange(5) == 0:
                at = self._random.randrange(length - 2)
                del self._text[at : at + self._random.randint(1, 2)]
            else:
                self._text.insert(self._random.randrange(length + 1), self._random.choice("abcdefghijklmnopqrstuvwxyz"))
            if number % 20 == 0:
                await anyio.sleep(0.001)
        return {}

    async def disconnect(self) -> dict[str, str]:
        """Be offline until `connect`."""
        self._isWanted = False
        self._scope.cancel()
        return {}

    async def connect(self) -> dict[str, str]:
        """Be online again."""
        self._isWanted = True
        return {}

    async def text(self) -> dict[str, str]:
        """The document."""
        return {"text": str(self._text)}


async def main(url: str, name: str, seed: str) -> None:
    """Answer the commands until there are no more."""
    client = Client(f"{url.replace('ws:', 'http:')}/{name}", int(seed))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.run)
        while line := await anyio.to_thread.run_sync(sys.stdin.readline):
            command, *arguments = line.split()
            print(json.dumps(await getattr(client, command)(*arguments)), flush=True)
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2], sys.argv[3])
