"""Reads requests from a client of the control socket, one JSON object a line, and writes the answers."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IPushProducer
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from wsd.config.values import nearest
from wsd.control.commands import COMMANDS, STEERING
from wsd.control.fields import Fields
from wsd.control.interface import CommandError, Steered
from wsd.logs import describeError

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

_PIECE = 65536
"""Characters of an answer that are gathered before they are written."""


@implementer(IPushProducer)
class Outlet:
    """Writes the lines of an answer, no faster than the client reads them. Once the client is gone, it does nothing."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._lines: list[str] = []
        self._size = 0
        self._room: Deferred[None] | None = None
        transport.registerProducer(self, True)

    async def item(self, item: Mapping[str, Any]) -> None:
        """Add a line. Waits while the client has no room for more."""
        line = _encode(item)
        self._lines.append(line)
        self._size += len(line)
        if self._size >= _PIECE:
            await self.flush()

    async def flush(self) -> None:
        """Write the lines, and wait while the client has no room for more."""
        self._transport.write("".join(f"{line}\n" for line in self._lines).encode("utf-8", "backslashreplace"))
        self._lines.clear()
        self._size = 0
        if self._room is not None:
            await self._room

    def pauseProducing(self) -> None:
        """Called by the transport when it holds too much."""
        self._room = Deferred()

    def resumeProducing(self) -> None:
        """Called by the transport when it has written that."""
        room, self._room = self._room, None
        if room is not None:
            room.callback(None)

    def stopProducing(self) -> None:
        """Called by the transport when the client is gone."""
        self.resumeProducing()


class ControlProtocol(LineReceiver):
    """One client. While a request is answered, the next one is not read."""

    log = Logger(namespace="wsd")
    delimiter = b"\n"
    MAX_LENGTH = 65536

    transport: Any
    _outlet: Outlet

    def __init__(self, daemon: Steered, clients: set[ControlProtocol]) -> None:
        """It is one of `clients` while it is connected."""
        self._daemon = daemon
        self._clients = clients

    def connectionMade(self) -> None:
        """Prepare to answer."""
        self._clients.add(self)
        self._outlet = Outlet(self.transport)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Stop waiting for a client that is gone."""
        self._clients.discard(self)
        self._outlet.stopProducing()

    def lineReceived(self, line: bytes) -> None:
        """Answer a request, and read the next one after that."""
        self.pauseProducing()
        answered = Deferred.fromCoroutine(self._answer(line))
        answered.addErrback(lambda failure: self.log.failure("a control connection failed", failure))
        answered.addBoth(lambda _: self.resumeProducing())

    def lineLengthExceeded(self, line: bytes) -> None:
        """Refuse a request without an end, and hang up."""
        Deferred.fromCoroutine(self._end({"ok": False, "error": f"a request has at most {self.MAX_LENGTH} bytes"}))
        self.transport.loseConnection()

    async def _answer(self, line: bytes) -> None:
        try:
            result = await self._run(line)
        except CommandError as error:
            await self._end({"ok": False, "error": str(error)})
        except Exception as error:
            self.log.failure("a control command failed", Failure(), event="control.error")
            await self._end({"ok": False, "error": f"an internal error occurred: {describeError(error)}"})
        else:
            await self._end({"ok": True, **result})

    async def _run(self, line: bytes) -> Mapping[str, Any]:
        request = _read(line)
        name = request.get("command")
        command = COMMANDS.get(name) if isinstance(name, str) else None
        if command is None:
            raise CommandError(f'there is no command "{name}"; {nearest(str(name), COMMANDS)}')
        if name in STEERING:
            self._note(name, request)
        return await command(self._daemon, Fields(request), self._outlet)

    async def _end(self, last: Mapping[str, Any]) -> None:
        await self._outlet.item(last)
        await self._outlet.flush()

    def _note(self, command: str, request: Mapping[str, Any]) -> None:
        """Log who steers the daemon."""
        fields = {name: value for name, value in request.items() if name != "command"}
        process, user = _credentials(self.transport)
        self.log.info(
            "control: {command} {fields} by process {process} of user {user}",
            event="control.command",
            command=command,
            fields=_encode(fields),
            process=process,
            user=user,
        )


def _read(line: bytes) -> dict[str, Any]:
    """The request in a line. Raises `CommandError`."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise CommandError(f'this is not JSON: {error}; write {{"command": "status"}}') from None
    if not isinstance(request, dict):
        raise CommandError('a request is an object, such as {"command": "status"}')
    try:
        _encode(request).encode()
    except UnicodeEncodeError:
        raise CommandError("a request has one half of a surrogate pair, which is no character; write both") from None
    return request


def _credentials(transport: Any) -> tuple[int, int]:
    """The process and the user at the other end (unix(7), SO_PEERCRED); 0 and -1 if that is unknown."""
    try:
        found = transport.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    except (AttributeError, OSError):
        return 0, -1
    process, user, _ = struct.unpack("3i", found)
    return process, user


class ControlFactory(Factory):
    """Builds a `ControlProtocol` for each client."""

    noisy = False

    def __init__(self, daemon: Steered) -> None:
        self._daemon = daemon
        self._clients: set[ControlProtocol] = set()

    def buildProtocol(self, addr: IAddress | None) -> ControlProtocol:
        """A new client's protocol."""
        return ControlProtocol(self._daemon, self._clients)

    def finish(self) -> None:
        """Send what is still unsent: the reactor ends, perhaps before its next turn."""
        for client in self._clients:
            client.transport.doWrite()
