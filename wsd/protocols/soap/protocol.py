"""soap: the route, and the WebSocket that envelopes go over ([MS-SWSB])."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar

from twisted.internet.defer import Deferred, gatherResults
from twisted.web.resource import IResource

from wsd.config import ConfigError
from wsd.connection import Accept, Connection, Factory, Refused, Request
from wsd.logs import told
from wsd.protocols.soap.contract import readContract
from wsd.protocols.soap.demonstration import Demonstration
from wsd.protocols.soap.envelope import Addressing
from wsd.protocols.soap.gateway import Gateway
from wsd.protocols.soap.media import versionOf
from wsd.protocols.soap.names import Version
from wsd.protocols.soap.node import Answer, Node
from wsd.protocols.soap.offer import Offer
from wsd.protocols.soap.options import SoapOptions
from wsd.protocols.soap.pages import Pages
from wsd.protocols.soap.reading import Reader
from wsd.protocols.soap.service import Service
from wsd.protocols.soap.threads import Threads

_FRAGMENT = 65536
"""Bytes of a frame of a large answer, so that it goes out as it is read at the other end."""


class SoapConnection(Connection):
    """One WebSocket: envelopes come, and are answered as soon as they can be."""

    factory: SoapFactory
    canPush = True
    isFull = False
    _version: Version
    _reader: Reader
    _isBinary = False

    async def opening(self, request: Request) -> Accept:
        """Only who speaks soap comes in, in a content type that we speak."""
        if "soap" not in request.subprotocols:
            raise Refused(
                426,
                "this route speaks soap: offer it in Sec-WebSocket-Protocol",
                [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Protocol", "soap")],
            )
        self._version = versionOf(request.head.headers.get("soap-content-type"), "soap-content-type")
        return Accept("soap")

    def opened(self) -> None:
        """The client speaks first."""
        self._reader = Reader(self.factory.maxMessage)
        self._pending: set[Deferred[Any]] = set()
        self._goodbyes: dict[object, Callable[[], None]] = {}
        self._waits = False
        self._weight = 0

    def began(self, isBinary: bool) -> None:
        """An envelope begins; it is answered in the opcode that it came in."""
        self._isBinary = isBinary

    def arrived(self, data: bytes) -> None:
        """Some of it."""
        self._reader.feed(data)
        self._weigh()

    def ended(self) -> Deferred[None] | None:
        """It is whole. One that no answer could refer to is answered before the next is read."""
        addressing, isBinary = Addressing(), self._isBinary
        answer = self.factory.node.process(self._reader, self._version, self, addressing=addressing)
        self._weigh()
        if isinstance(answer, Answer):
            self._deliver(answer.text, isBinary)
            return None
        self._pending.add(answer)
        done = answer.addBoth(self._answered, answer, isBinary)
        if not addressing.MessageID:
            return done
        if len(self._pending) >= self.factory.calls and not self._waits:
            self._waits = True
            self.hold()
        return None

    def _weigh(self) -> None:
        weight = self._reader.weight
        if weight != self._weight:
            self._weight = weight
            self.noteCollected(weight)

    def relieve(self, size: int) -> None:
        """Half an envelope goes at once, and not when the client has said goodbye."""
        super().relieve(size)
        self._reader.drop()

    def _answered(self, result: Any, pending: Deferred[Any], isBinary: bool) -> None:
        self._pending.discard(pending)
        if isinstance(result, Answer):
            self._deliver(result.text, isBinary)
        if self._waits and len(self._pending) < self.factory.calls:
            self._waits = False
            self.release()

    def _deliver(self, text: str, isBinary: bool) -> None:
        if text:
            payload = text.encode()
            self.send(payload, isBinary, fragment=_FRAGMENT if len(payload) > _FRAGMENT else 0)

    @property
    def isBusy(self) -> bool:
        """Whether a call is still being answered."""
        return super().isBusy or bool(self._pending)

    def full(self) -> None:
        """The client does not read: neither do we."""
        self.isFull = True
        self.hold()

    def drained(self) -> None:
        """Go on."""
        self.isFull = False
        self.release()

    def closed(self, code: int, reason: str) -> None:
        """Whoever works for this client may stop."""
        self._reader.drop()
        for pending in list(self._pending):
            pending.cancel()
        for call in list(self._goodbyes.values()):
            call()

    # -- a service says -------------------------------------------------------------------------------------------

    def header(self, name: str) -> str | None:
        """A header of the opening handshake."""
        return self.request.head.headers.get(name)

    def deliver(self, text: str) -> None:
        """Push, in the opcode that the client used last."""
        self._deliver(text, self._isBinary)

    def whenClosed(self, call: Callable[[], None]) -> Callable[[], None]:
        """Register a callback; the returned function removes it."""
        name = object()
        self._goodbyes[name] = call

        def forget() -> None:
            self._goodbyes.pop(name, None)

        return forget


class SoapFactory(Factory):
    """A service at a route."""

    connection = SoapConnection
    subprotocols = ("soap",)
    Options = SoapOptions
    pool: ClassVar[type[Threads]] = Threads

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        options: SoapOptions = self.options
        self.threads = self.pool(self.clock, options.threads)
        self.service: Service | None = None
        self.calls = options.calls
        """Of one connection, that may be open."""
        self.node: Node | Gateway
        if options.upstream is None:
            self.service = _serviceOf(options)
            self.node = Node(self.service, self.threads, self.route.path, self.clock, options.timeout)
        else:
            self.calls = options.upstream_calls
            self.node = Gateway(self.clock, options, self.route.path)

    def started(self) -> None:
        """Begin."""
        self.threads.start()

    def stopped(self) -> Deferred[Any] | None:
        """End."""
        ended = [self.threads.stop(), *([self.node.stop()] if isinstance(self.node, Gateway) else [])]
        return gatherResults(ended, consumeErrors=True)

    def resource(self) -> IResource | None:
        """The service over HTTP, unless the route is shared with other protocols."""
        return Pages(self) if self.route.single is not None else None


def _serviceOf(options: SoapOptions) -> Service:
    if options.service is None:
        folder = Path(str(files("wsd.protocols.soap")))
        return Service(readContract(folder / "demonstration.wsdl"), Demonstration())
    name, _, attribute = options.service.partition(":")
    try:
        module: Any = import_module(name)
        found = getattr(module, attribute) if attribute else module
        if isinstance(found, type):
            found = found()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"service: {options.service} cannot be loaded: {error}") from None
    except (Exception, SystemExit) as error:
        raise ConfigError(f"service: {options.service} cannot be loaded: {told(error)}") from error
    if isinstance(found, Offer):
        return found.service()
    if options.contract is None:
        raise ConfigError(f"contract: {options.service} does not say what it offers; name its WSDL or schema")
    return Service(readContract(Path(options.contract)), found)
