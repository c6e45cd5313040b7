"""Guard: authenticates each message by its UsernameToken before a node answers it, and stamps the answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from wsd.auth.authenticator import Authenticator
from wsd.auth.logins import Login
from wsd.auth.outcome import AuthenticatedUser, AuthRequest
from wsd.head import Head, Refused
from wsd.policies.address import Peer, TlsInfo
from wsd.policies.coroutines import begin
from wsd.protocols.soap.encodings.encoding import Encoding
from wsd.protocols.soap.envelope import Envelope, readRelayed
from wsd.protocols.soap.exchange import Answer, PendingAnswer, Requester, Responder, faultAnswer
from wsd.protocols.soap.faults import Fault
from wsd.protocols.soap.names import Version
from wsd.protocols.soap.reader import Document
from wsd.protocols.soap.security.faults import SecurityFault
from wsd.protocols.soap.security.header import takeLogin
from wsd.protocols.soap.security.nonces import UsedNonces
from wsd.protocols.soap.security.timestamps import withTimestamp

if TYPE_CHECKING:
    from wsd.traces.tracer import Span

_UNAVAILABLE = 503


class MessageGuard:
    """
    Answers requests with a node, once it is known who has sent them.

    The node gets a message without its Security header. Answers and pushed messages get one with a Timestamp, which WCF
    requires. A fault about the security of a message gets none over HTTP: WCF's servers send it so, and their clients
    expect it (MessageSecurityException). On a WebSocket, WCF would end the channel without the reason of the fault.
    """

    log = Logger(namespace="wsd")

    def __init__(
        self, node: Responder, authenticator: Authenticator, route: str, withoutTls: bool, now: Callable[[], float]
    ) -> None:
        self._node = node
        self._authenticator = authenticator
        self._route = route
        self._withoutTls = withoutTls
        self._now = now
        self._nonces = UsedNonces(now)

    def stop(self) -> Deferred[Any]:
        """Fires when all connections of the node are closed."""
        return self._node.stop()

    def process(
        self, document: Document, spoken: Version, requester: Requester, action: str = ""
    ) -> Answer | PendingAnswer:
        """Answers a request, with a fault if its sender is not authenticated."""
        envelope = readRelayed(document.root, spoken)
        if envelope.fault is not None:
            return faultAnswer(envelope.fault, envelope.version, envelope.addressing)
        answer = begin(self._answer(document, envelope, requester, action))
        return PendingAnswer(answer, envelope.addressing.MessageID) if isinstance(answer, Deferred) else answer

    def refuse(self, envelope: Envelope, fault: Fault, requester: Requester) -> Answer:
        """Returns the answer with a fault to a request that is not processed."""
        return self._node.refuse(envelope, fault, requester)

    async def _answer(self, document: Document, envelope: Envelope, requester: Requester, action: str) -> Answer:
        root = document.root
        try:
            user = await self._authenticate(root, envelope.version, requester)
        except Fault as fault:
            self.log.warn(
                "{route}: a message of {peer} is not authenticated: {sentence}",
                event="soap.unauthenticated",
                route=self._route,
                peer=str(requester.peer),
                sentence=fault.reason[:400],
            )
            answer = self.refuse(envelope, fault, requester)
            return self._stamp(answer) if requester.canPush else answer
        requester.authenticated(user)
        known = AuthenticatedRequester(requester, user.name, self._stamped)
        # Without its bytes, in which the password is, so that they are not kept.
        found = self._node.process(Document(root, document.size), envelope.version, known, action)
        return self._stamp(await found.result if isinstance(found, PendingAnswer) else found)

    async def _authenticate(self, root: Any, version: Version, requester: Requester) -> AuthenticatedUser:
        """Returns the sender of a message. Raises `Fault`."""
        if not requester.peer.secure and not self._withoutTls:
            raise SecurityFault("InvalidSecurity", "this route takes passwords over TLS only; use wss:// or https://")
        login = takeLogin(root, version, self._now())
        if login.digest is not None and not self._authenticator.takesDigests:
            raise SecurityFault(
                "UnsupportedSecurityToken",
                "this route has only hashes of its passwords, by which a PasswordDigest cannot be verified; "
                "send PasswordText",
            )
        user = await self._userOf(login, requester)
        if login.digest is not None and not self._nonces.use(login.user, login.digest.nonce):
            raise SecurityFault("FailedAuthentication", "the PasswordDigest was used before; send a new wsse:Nonce")
        return user

    async def _userOf(self, login: Login, requester: Requester) -> AuthenticatedUser:
        request = AuthRequest(requester.head, requester.peer, requester.tls)
        try:
            return await self._authenticator.authenticateLogin(login, request)
        except Refused as refused:
            if refused.status == _UNAVAILABLE:
                raise Fault(refused.sentence, "Receiver") from None
            raise SecurityFault("FailedAuthentication", refused.sentence) from None

    def _stamp(self, answer: Answer) -> Answer:
        return replace(answer, text=self._stamped(answer.text)) if answer.text else answer

    def _stamped(self, text: str) -> str:
        return withTimestamp(text, self._now())


class AuthenticatedRequester:
    """The peer of a message whose sender is known. What is pushed to it has a Timestamp."""

    def __init__(self, requester: Requester, user: str | None, stamped: Callable[[str], str]) -> None:
        self._requester = requester
        self._stamped = stamped
        self.user = user
        self.peer: Peer = requester.peer
        self.canPush: bool = requester.canPush
        self.encoding: Encoding = requester.encoding

    @property
    def isFull(self) -> bool:
        """Whether the peer reads too slowly."""
        return self._requester.isFull

    @property
    def head(self) -> Head:
        """The head of the request that has brought the message."""
        return self._requester.head

    @property
    def tls(self) -> TlsInfo | None:
        """What the TLS handshake agreed on."""
        return self._requester.tls

    @property
    def clock(self) -> IReactorTime:
        """The clock to use."""
        return self._requester.clock

    @property
    def isOpen(self) -> bool:
        """Whether the peer is still connected."""
        return self._requester.isOpen

    def header(self, name: str) -> str | None:
        """Returns a header of the HTTP request or of the opening handshake."""
        return self._requester.header(name)

    def deliver(self, text: str) -> None:
        """Sends an envelope."""
        self._requester.deliver(self._stamped(text))

    def whenClosed(self, call: Callable[[], None]) -> Callable[[], None]:
        """Calls a function when the connection ends. Returns a function that cancels this."""
        return self._requester.whenClosed(call)

    def authenticated(self, user: AuthenticatedUser) -> None:
        """Called with the sender of a message. It is known already."""

    def traced(self, url: str) -> Span | None:
        """Returns the span of a POST to a URL that the message causes, None without traces."""
        return self._requester.traced(url)
