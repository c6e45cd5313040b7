"""The factory of a route of SOAP, and the WebSocket connection that carries its envelopes ([MS-SWSB])."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.web.resource import IResource

from wsd.auth.outcome import AuthenticatedUser
from wsd.config import ConfigError
from wsd.config.auth import isUrl
from wsd.config.code import load
from wsd.connection import Accept, Connection, Factory, Placement, Refused, Request
from wsd.head import Head
from wsd.logs import describeError
from wsd.policies.budget import MemoryUse
from wsd.protocols.soap.demonstration import Demonstration
from wsd.protocols.soap.encodings.choice import encodingOfSocket
from wsd.protocols.soap.encodings.encoding import Encoding, MessageReader
from wsd.protocols.soap.exchange import Answer, PendingAnswer, Responder, faultAnswer
from wsd.protocols.soap.faults import Fault
from wsd.protocols.soap.gateway import SoapGateway
from wsd.protocols.soap.node import Node
from wsd.protocols.soap.offer import Offer
from wsd.protocols.soap.options import SoapOptions
from wsd.protocols.soap.pages import Pages
from wsd.protocols.soap.security.guard import MessageGuard
from wsd.protocols.soap.service import Service
from wsd.protocols.soap.wsdl.reader import readContract

if TYPE_CHECKING:
    from wsd.traces.tracer import Span

_FRAGMENT = 65536
"""Size of a frame of a large answer in bytes, so that the peer can read it while it is sent."""


class SoapConnection(Connection):
    """One WebSocket: each envelope is answered as soon as its answer is known."""

    factory: SoapFactory
    canPush = True
    isFull = False
    encoding: Encoding
    """The encoding of the handshake, which binary messages have."""
    _reader: MessageReader
    _isBinary = True

    async def opening(self, request: Request) -> Accept:
        """Accepts the subprotocol soap in a known content type ([MS-SWSB] 2.1). Raises `Refused`."""
        if "soap" not in request.subprotocols:
            raise Refused(
                426,
                "this route needs the subprotocol soap; offer it in Sec-WebSocket-Protocol",
                [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Protocol", "soap")],
            )
        headers = request.head.headers
        self.encoding = encodingOfSocket(
            headers.get("soap-content-type"),
            headers.get("microsoft-binary-transfer-mode"),
            self.factory.options.session_strings,
        )
        return Accept("soap")

    def opened(self) -> None:
        """Called after the handshake. The client speaks first."""
        self._reader = self.encoding.reader(self.factory.maxMessage)
        self._inText = self.encoding.inText
        self._pending: set[Deferred[Any]] = set()
        self._closeCalls: dict[object, Callable[[], None]] = {}
        self._isHolding = False
        self._weight = 0

    def received(self, payload: bytes, isBinary: bool) -> Deferred[None] | None:
        """Called with a message that came in one piece, as most do."""
        self.began(isBinary)
        self.arrived(payload)
        return self.ended()

    def began(self, isBinary: bool) -> None:
        """Called when another message begins. The answer has the same opcode."""
        if isBinary != self._isBinary:
            self._isBinary = isBinary
            self._reader = self._encodingOf(isBinary).reader(self.factory.maxMessage)

    def _encodingOf(self, isBinary: bool) -> Encoding:
        return self.encoding if isBinary else self._inText

    def arrived(self, data: bytes) -> None:
        """Called with the next bytes of the message."""
        self._reader.feed(data)
        self._weigh()

    def ended(self) -> Deferred[None] | None:
        """
        Called when the message is complete.

        An answer cannot refer to a message without a MessageID. So that message is answered before the next is read.
        """
        isBinary = self._isBinary
        answer: Answer | PendingAnswer
        try:
            answer = self.factory.node.process(self._reader.close(), self.encoding.version, self)
        except Fault as fault:
            answer = faultAnswer(fault, self.encoding.version)
        if self._weight:
            self._weigh()
        if isinstance(answer, Answer):
            self._deliver(answer.text, isBinary)
            return None
        self._pending.add(answer.result)
        done = answer.result.addBoth(self._answered, answer.result, isBinary)
        if not answer.messageId:
            return done
        done.addErrback(self._failed)
        if len(self._pending) >= self.factory.calls and not self._isHolding:
            self._isHolding = True
            self.hold()
        return None

    def _weigh(self) -> None:
        """Reports the memory used by the incomplete message."""
        weight = self._reader.weight
        if weight != self._weight:
            self._weight = weight
            self.noteMemory(MemoryUse.soap, weight)

    def relieve(self, size: int) -> None:
        """Called to free memory: the incomplete message is dropped at once."""
        super().relieve(size)
        self._reader.drop()

    def _answered(self, result: Any, pending: Deferred[Any], isBinary: bool) -> Any:
        """Sends a pending answer. Returns the failure if there is none, unless the call was cancelled."""
        self._pending.discard(pending)
        try:
            if isinstance(result, Answer):
                self._deliver(result.text, isBinary)
                return None
            return None if result.check(CancelledError) else result
        finally:
            if self._isHolding and len(self._pending) < self.factory.calls:
                self._isHolding = False
                self.release()

    def _deliver(self, text: str, isBinary: bool) -> None:
        if text:
            encoding = self._encodingOf(isBinary)
            payload = encoding.write(text)
            self.send(payload, isBinary or not encoding.isText, fragment=_FRAGMENT if len(payload) > _FRAGMENT else 0)

    @property
    def isBusy(self) -> bool:
        """Whether a call has not been answered yet."""
        return super().isBusy or bool(self._pending)

    def full(self) -> None:
        """Called when the client does not read. Stops reading from it."""
        self.isFull = True
        self.hold()

    def drained(self) -> None:
        """Called when the client reads again. Resumes reading from it."""
        self.isFull = False
        self.release()

    def closed(self, code: int, reason: str) -> None:
        """Called when the connection has ended. Cancels the open calls, and calls the `whenClosed` functions."""
        self._reader.drop()
        for pending in list(self._pending):
            pending.cancel()
        for call in list(self._closeCalls.values()):
            call()

    # -- Requester ------------------------------------------------------------------------------------------------

    def header(self, name: str) -> str | None:
        """Returns a header of the opening handshake, None if it is missing."""
        return self.request.head.headers.get(name)

    @property
    def head(self) -> Head:
        """The head of the opening handshake."""
        return self.request.head

    def authenticated(self, user: AuthenticatedUser) -> None:
        """Called with the sender of a message. From now on, the log and `wsd ctl` show this user."""
        if user.name != self.user:
            self.user = user.name
            self.log.info("user {user}", event="soap.user", user=user.name)

    def deliver(self, text: str) -> None:
        """Pushes an envelope, with the opcode of the client's last message."""
        self._deliver(text, self._isBinary)

    def whenClosed(self, call: Callable[[], None]) -> Callable[[], None]:
        """Calls a function when the connection ends. Returns a function that cancels this."""
        key = object()
        self._closeCalls[key] = call

        def forget() -> None:
            self._closeCalls.pop(key, None)

        return forget

    def traced(self, url: str) -> Span | None:
        """Returns the span of a POST in a trace of its own, which is linked with the handshake."""
        tracer = self.factory.tracing.tracer
        return None if tracer is None else tracer.request("POST", url, self.request.span)


class SoapFactory(Factory):
    """A route that serves a service, or is the gateway to one."""

    connection = SoapConnection
    about = MappingProxyType(
        {
            "en": "A SOAP service over WebSocket and over HTTP.",
            "zh": "SOAP 服务，支持 WebSocket 和 HTTP。",
        }
    )
    subprotocols = ("soap",)
    Options = SoapOptions

    @classmethod
    def placementFor(cls, options: SoapOptions) -> Placement:
        """
        The demonstration and the gateway keep nothing between two calls; a service of yours may.

        The nonces of password digests must be known to all connections.
        """
        isFree = options.service is None and not options.username_token and cls is SoapFactory
        return Placement.free if isFree else Placement.shared

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        options: SoapOptions = self.options
        self.threads = self.pool.share("soap", self.route.path, threads=options.threads, timeout=options.timeout)
        self.service: Service | None = None
        self.calls = options.calls
        """Limit of the open calls of one connection."""
        self._node: Responder
        if options.upstream is None:
            self.service = _serviceOf(options)
            self._node = Node(self.service, self.threads, self.route.path, self.clock, options.timeout)
        else:
            self.calls = options.upstream_calls
            self._node = SoapGateway(self.clock, options, self.route.path)
        self.authenticatesMessages = options.username_token
        if options.username_token:
            self._checkLogins()

    def _checkLogins(self) -> None:
        """Raises ConfigError if nothing could judge the passwords in messages."""
        auth = self.route.auth
        if self.route.single is None:
            raise ConfigError(
                "the route must have the protocol soap alone; give it a path of its own", "username_token"
            )
        if not {"basic", "hook"}.intersection(auth.methods):
            raise ConfigError('needs auth.methods with "basic" or "hook", which judge passwords', "username_token")
        if "hook" in auth.methods and isUrl(auth.hook or "") and "authorization" not in auth.hook_headers:
            raise ConfigError(
                'needs "authorization" in auth.hook_headers, in which the hook gets the password', "username_token"
            )

    @cached_property
    def node(self) -> Responder:
        """What answers requests."""
        if not self.authenticatesMessages:
            return self._node
        assert self.authenticator is not None
        withoutTls = self.route.auth.basic_without_tls
        return MessageGuard(self._node, self.authenticator, self.route.path, withoutTls, self.now)

    def check(self) -> Iterable[str]:
        """Checks the subprotocol. Service, contract and upstream service were read by the constructor."""
        if self.route.single is None and "soap" not in self.spoken:
            raise ConfigError('soap has no other name as a subprotocol; write soap = "soap"', "protocol")
        return ()

    def stopped(self) -> Deferred[Any] | None:
        """Called when the daemon stops. Fires when all threads and connections to other services have ended."""
        return gatherResults([self.threads.stop(), self.node.stop()], consumeErrors=True)

    def page(self) -> str | None:
        """The page for people is at the route itself."""
        return None if self.service is None else self.route.path

    def resource(self) -> IResource | None:
        """Returns the service over HTTP, unless the route is shared with other protocols."""
        return Pages(self) if self.route.single is not None else None


def _serviceOf(options: SoapOptions) -> Service:
    """Returns the configured service, or the demonstration. Raises ConfigError."""
    if options.service is None:
        folder = Path(str(files("wsd.protocols.soap")))
        return Service(readContract(folder / "demonstration.wsdl"), Demonstration())
    found = _loaded(options.service)
    if isinstance(found, Offer):
        return found.service()
    if options.contract is None:
        raise ConfigError(f"{options.service} has no contract of its own; name its WSDL or schema", "contract")
    return Service(readContract(Path(options.contract)), found)


def _loaded(service: str) -> Any:
    """Returns a module, or the object named after the colon; a class is instantiated. Raises ConfigError."""
    try:
        found = load(service)
        return found() if isinstance(found, type) else found
    except ConfigError as error:
        raise ConfigError(error.sentence, "service") from None
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{service} cannot be built: {describeError(error)}", "service") from error
