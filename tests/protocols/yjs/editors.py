"""People who edit: documents of pycrdt, with its own messages, over the connections of tests.wire."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pycrdt import Doc, Text, YMessageType, create_awareness_message, create_sync_message, handle_sync_message

from tests.wire import Client, Daemon
from wsd.protocols.yjs.messages import ClientState, Reader, awarenessMessage, readAwareness
from wsd.protocols.yjs.options import YjsOptions
from wsd.protocols.yjs.protocol import YjsFactory

__all__ = ["Editor", "create_awareness_message", "daemonOf"]


def daemonOf(folder: Path, isStarted: bool = True, **options: Any) -> Daemon:
    """A daemon whose documents are in this folder."""
    daemon = Daemon({"/yjs/*": YjsFactory}, options=YjsOptions(store=str(folder / "yjs.sqlite"), **options))
    if isStarted:
        daemon.factories["/yjs/*"].started()
    return daemon


class Editor:
    """A person with a copy of the document."""

    def __init__(self, daemon: Daemon, name: str = "room", doc: Doc[Any] | None = None) -> None:
        self.daemon = daemon
        self.doc: Doc[Any] = Doc() if doc is None else doc
        self.text = self.doc.get("text", type=Text)
        self.echoed = 0
        """Updates that came, our own included."""
        self.states: dict[int, Any] = {}
        self._unsent: list[bytes] = []
        self._isApplying = False
        self._subscription = self.doc.observe(self._changed)
        self.client: Client = daemon.open(f"/yjs/{name}")
        self._read = 0
        if self.client.response is not None and self.client.response.status_code == 101:
            self.client.say(create_sync_message(self.doc))
            self.sync()

    def _changed(self, event: Any) -> None:
        if not self._isApplying:
            self._unsent.append(event.update)

    def write(self, text: str, at: int | None = None) -> None:
        """Insert text, and send that."""
        self.text.insert(len(self.text) if at is None else at, text)
        self.sync()

    def sync(self) -> None:
        """Send what was edited, and take what has come, until nothing more comes."""
        for _ in range(20):
            unsent, self._unsent = self._unsent, []
            for update in unsent:
                self.client.say(b"\x00\x02" + _sized(update))
            self.daemon.reactor.advance(0)
            self.client.exchange()
            messages = self.client.messages()[self._read :]
            self._read += len(messages)
            for message in messages:
                assert isinstance(message, bytes)
                self._take(message)
            if not (unsent or messages or self._unsent):
                return

    def _take(self, message: bytes) -> None:
        if message[0] == YMessageType.AWARENESS:
            reader = Reader(message)
            reader.number()
            for each in readAwareness(reader.bytes_(), 100):
                self.states[each.client] = json.loads(each.state)
            return
        self._isApplying = True
        try:
            answer = handle_sync_message(message[1:], self.doc)
        finally:
            self._isApplying = False
        self.echoed += message[1] == 2
        if answer is not None:
            self.client.say(answer)

    def isHere(self, state: Any, clock: int = 1) -> None:
        """Say where the person is; None for gone."""
        self.client.say(awarenessMessage([ClientState(self.doc.client_id, clock, json.dumps(state))]))

    @property
    def content(self) -> str:
        """The text as this person sees it."""
        self.sync()
        return str(self.text)


def _sized(data: bytes) -> bytes:
    length, written = len(data), bytearray()
    while length > 127:
        written.append(128 | length & 127)
        length >>= 7
    return bytes([*written, length]) + data
