"""
`wsd connect` at a terminal: a prompt with history and editing, and what is received above it.

The prompt is prompt_toolkit's. It edits lines, keeps a history, takes a pasted text with several lines as one, and
redraws the line being typed below each output. It runs on asyncio, so this form runs on Twisted's asyncio reactor, in
one thread. Nothing of this is imported for a pipe.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.styles import Style
from twisted.internet import asyncioreactor
from twisted.internet.defer import Deferred

from wsd.client.connect.link import SessionConnection
from wsd.client.connect.session import ClientSession
from wsd.client.connect.slash import COMMANDS, HELP, read
from wsd.client.failures import ExitStatus
from wsd.client.show import escaped, size
from wsd.config import stateFolder
from wsd.config.state import makeFile, makeFolder
from wsd.config.values import printable

_FULL = 1 << 20
"""Characters that may wait to be shown before no more is read."""
_LONGEST = 1 << 16
"""Bytes of a message that are shown."""
_BYTES = 256
"""The same of a binary message."""
_COLORS = {">": "32", "<": "36", "!": "31", "*": "2"}
"""Escape sequences (SGR) for what is sent, received, wrong, and told by the client itself."""


def installReactor() -> None:
    """Install the reactor on which the prompt runs. No reactor may be imported before."""
    asyncioreactor.install(asyncio.new_event_loop())


class TerminalFront:
    """A front for a person. Implements `wsd.client.connect.session.Front`."""

    def __init__(self, reactor: Any, session: ClientSession, url: str, handshake: bool, frames: bool) -> None:
        self.fault = None
        self._reactor = reactor
        self._session = session
        self._url = url
        self._handshake = handshake
        self._frames = frames
        self._isColored = not os.environ.get("NO_COLOR")
        self._waiting: list[str] = []
        self._size = 0
        self._showing: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._pinged: float | None = None
        self._notice: str | None = None
        self._prompt: PromptSession[str] = PromptSession(
            "> ",
            history=self._history(),
            key_bindings=_bindings(),
            completer=WordCompleter(list(COMMANDS), sentence=True),
            complete_while_typing=False,
            prompt_continuation="  ",
            style=Style.from_dict({"": "ansigreen"}),
            color_depth=None if self._isColored else ColorDepth.DEPTH_1_BIT,
        )

    def _history(self) -> History:
        """The history in the state folder, readable for its user alone; if it cannot be kept, one for this run."""
        path = Path(stateFolder(os.environ)) / "connect.history"
        try:
            makeFolder(path.parent)
            makeFile(path)
            path.open("ab").close()
        except OSError as error:
            self._notice = f"the history is not saved: {path} cannot be written: {error.strerror}"
            return InMemoryHistory()
        return FileHistory(path)

    # -- the session --------------------------------------------------------------------------------------------------

    def connected(self, connection: SessionConnection) -> None:
        """Tell that messages can be sent, and show the prompt."""
        agreed = [f"subprotocol {connection.websocket_protocol_in_use}"] if connection.websocket_protocol_in_use else []
        agreed += [each.partition(";")[0].strip() for each in connection.extensions.split(",") if each]
        self._tell(f"connected to {self._url}" + printable(f" ({', '.join(agreed)})" if agreed else ""))
        if self._asking is None:
            self._tell("type a message and press Enter; /help lists the commands; ^D closes")
            if self._notice is not None:
                self._tell(self._notice)
            self._asking = asyncio.ensure_future(self._ask())

    def handshake(self, lines: list[str]) -> None:
        """Show a handshake."""
        if self._handshake:
            for line in lines:
                self._show(line[0], line[2:])

    def received(self, payload: bytes, isBinary: bool) -> bool:
        """Show a message."""
        if isBinary:
            more = "..." if len(payload) > _BYTES else ""
            self._show("<", f"binary, {size(payload)}: {payload[:_BYTES].hex(' ')}{more}")
        else:
            more = f"... ({size(payload)}; the first {_LONGEST} are shown)" if len(payload) > _LONGEST else ""
            self._show("<", escaped(payload[:_LONGEST]) + more)
        return self._size < _FULL

    def frame(self, mark: str, text: str) -> None:
        """Show a control frame: a close, an awaited pong, or with --print all any."""
        if text.startswith("pong") and self._pinged is not None:
            text += f" after {(self._reactor.seconds() - self._pinged) * 1000:.1f} ms"
            self._pinged = None
        elif not text.startswith("close") and not self._frames:
            return
        self._show(mark, text)

    def drained(self) -> None:
        """Nothing waits to be sent here."""

    def retrying(self, sentence: str, seconds: float) -> None:
        """Tell of a pause."""
        self._show("!", f"{sentence}; retrying in {seconds:.1f} s")

    def finish(self, interrupted: bool) -> Deferred[None]:
        """End the prompt, and show what is left."""
        return Deferred.fromFuture(asyncio.ensure_future(self._finish()))

    async def _finish(self) -> None:
        if self._asking is not None:
            if self._prompt.app.is_running:
                self._prompt.app.exit(exception=EOFError())
            await self._asking
        if self._showing is not None:
            await self._showing

    # -- the prompt ---------------------------------------------------------------------------------------------------

    async def _ask(self) -> None:
        if self._showing is not None:
            await self._showing
        while not self._session.isOver:
            try:
                text = await self._prompt.prompt_async(handle_sigint=False)
            except EOFError:
                self._session.end(ExitStatus.DONE, mustClose=True)
            except KeyboardInterrupt:
                self._session.interrupt()
            else:
                self._entered(text)

    def _entered(self, text: str) -> None:
        if not text:
            return
        try:
            entered = read(text)
        except ValueError as error:
            self._show("!", str(error))
            return
        if entered.name == "help":
            for form, about in HELP.items():
                self._tell(f"{form:<24} {about}")
            self._tell("Alt+Enter begins a new line; a pasted text is one message; ^C clears the line; ^D closes")
        elif entered.name == "close":
            self._session.end(ExitStatus.DONE, entered.code, entered.payload.decode(), mustClose=True)
        elif not self._session.isConnected:
            self._show("!", "not connected; the message was not sent (it is in the history)")
        elif entered.name == "ping":
            self._pinged = self._reactor.seconds()
            self._session.ping(entered.payload)
        else:
            self._session.send(entered.payload, entered.name == "binary")

    # -- what is shown above it ---------------------------------------------------------------------------------------

    def _tell(self, text: str) -> None:
        self._show("*", text)

    def _show(self, mark: str, text: str) -> None:
        """Show a text with a mark before it; its further lines are indented."""
        text = f"{mark} " + text.replace("\n", "\n  ")
        if self._isColored:
            text = f"\x1b[{_COLORS[mark]}m{text}\x1b[0m"
        self._waiting.append(f"{text}\n")
        self._size += len(text)
        if self._showing is None or self._showing.done():
            self._showing = asyncio.ensure_future(self._showAll())

    async def _showAll(self) -> None:
        """Show what waits, again and again until nothing does: a burst of messages moves the prompt once."""
        while self._waiting:
            text, self._waiting = "".join(self._waiting), []
            await run_in_terminal(lambda text=text: self._write(text))  # type: ignore[misc]
            wasFull, self._size = self._size >= _FULL, sum(map(len, self._waiting))
            if wasFull and self._size < _FULL:
                self._session.resume()

    def _write(self, text: str) -> None:
        output = self._prompt.app.output
        output.write_raw(text)
        output.flush()


def _bindings() -> KeyBindings:
    """^C clears the line, and ends if there is none; Alt+Enter begins a new line; a pasted text ends with its text."""
    bindings = KeyBindings()

    @bindings.add("c-c")
    def interrupt(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt())

    # Enter is a line feed while the terminal is not in raw mode, as it is for a moment when a message is printed.
    @bindings.add("escape", "c-j")
    @bindings.add("escape", "enter")
    def newLine(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @bindings.add(Keys.BracketedPaste)
    def paste(event: KeyPressEvent) -> None:
        text = event.data.replace("\r\n", "\n").replace("\r", "\n")
        event.current_buffer.insert_text(text.removesuffix("\n"))

    return bindings
