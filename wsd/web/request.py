"""An HTTP request (RFC 9110): routed after its head, with a body that the resource reads while it arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.web.error import UnsupportedMethod
from twisted.web.http import BAD_REQUEST, NOT_MODIFIED
from twisted.web.resource import IResource
from twisted.web.server import NOT_DONE_YET

from wsd import resources
from wsd.auth.outcome import AuthenticatedUser
from wsd.connection.access import clientFields, requestLine
from wsd.connection.deprecated import renamed
from wsd.connection.request import newId
from wsd.head import Refused
from wsd.logs import ConnectionLog, logOf
from wsd.policies.coroutines import begin
from wsd.web.admitted import Admitted
from wsd.web.errorpage import answerTo
from wsd.web.lazyrequest import LazyRequest
from wsd.web.memory import BodyMemory
from wsd.web.route import SiteRoute
from wsd.web.site import Site

if TYPE_CHECKING:
    from wsd.traces.tracer import Span

__getattr__ = renamed(
    __name__,
    {
        "IBody": "wsd.resources.IBody",
        "IStreamed": "wsd.resources.IStreamed",
        "Request": "wsd.web.request.HttpRequest",
    },
)

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class RequestChannel(Protocol):
    """The channel of a request, as far as our own code uses it."""

    transport: Any

    def answerEarly(self, request: HttpRequest) -> None:
        """Answer without reading the rest of the body."""

    def loseConnection(self) -> None:
        """End the connection once everything is sent."""

    def requestDone(self, request: Any) -> None:
        """Called when the answer is complete."""


class HttpRequest(LazyRequest):
    """
    One request, and its answer.

    `peer` is the true peer, `tls` is None without TLS, and `id` is in its log lines.
    """

    channel: RequestChannel | None
    body: resources.IBody | None = None
    received = 0
    """Bytes of the body that have arrived."""
    held = 0
    """The number of holds on reading."""
    pieces = 0
    """The number of pieces of the body received so far."""

    patience: float | None = None
    """Seconds for which the answer may stop after the client has closed its half; None for `stall_timeout`."""

    isLost = False
    """Whether the client is gone."""

    isRefused = False
    """Whether it was refused, of which the log has a line."""

    user: str | None = None  # type: ignore[assignment]
    """The name of the authenticated user."""

    identity: AuthenticatedUser | None = None
    """Who the client is, as the authentication of the route has found out; None without one."""

    span: Span | None = None
    """The request in its trace; None without traces."""

    site: Any
    log: ConnectionLog
    _resource: Any = None
    _begunAt = 0.0
    _refused: Refused | None = None
    _deciding: Deferred[None] | None = None
    _memory: BodyMemory | None = None

    def __init__(self, channel: RequestChannel, admitted: Admitted, site: Site) -> None:
        super().__init__(channel, admitted)
        self.site = site
        self.id = newId()
        self.log = ConnectionLog(self.id)
        self._begunAt = site.clock.seconds()

    def arrive(self) -> Deferred[None] | None:
        """
        Called when the head is complete: find the resource, and let it choose whether to read the body.

        Returns a Deferred that fires when that is done, if authenticating the client takes time.
        """
        if self.site.tracing.tracer is not None:
            self._trace(self.site)
        try:
            guard = self.site.guardOf(self.head)
            if guard is not None:
                return self._admitted(begin(self._authenticate(guard)))
            self._find()
        except Refused as refused:
            self._refused = refused
        except Exception:
            self._fail()
        return None

    def _trace(self, site: Site) -> None:
        """Begin the span of this request."""
        self.span = site.trace(self.head, self.peer)
        if self.span is not None:
            self.span.identify(self.id)
            self.log = logOf(self.id, self.span.traceId)

    async def _authenticate(self, guard: SiteRoute) -> None:
        """Find out who the client is. Raises `Refused`."""
        assert guard.authenticator is not None
        asked = guard.authRequest(self.head, self.peer, self.tls, self.span)
        try:
            self.identity = await guard.authenticator.authenticate(asked)
        except Refused as refused:
            raise guard.readable(refused, self.head, self.site.hosts) from None
        self.user = self.identity.name

    def getUser(self) -> bytes:
        """The authenticated user, b"" without one. What the client claims alone does not count."""
        return (self.user or "").encode()

    def getPassword(self) -> bytes:
        """Nobody needs it any more."""
        return b""

    def _admitted(self, authenticated: Deferred[None] | None) -> Deferred[None] | None:
        if authenticated is None:
            self._find()
            return None
        self._deciding = authenticated.addCallback(lambda _: self._find()).addErrback(self._notAdmitted)
        return self._deciding

    def _notAdmitted(self, failure: Failure) -> None:
        if failure.check(Refused):
            self._refused = failure.value  # type: ignore[assignment]
        elif not failure.check(CancelledError):
            self._fail(failure)

    def _fail(self, failure: Failure | None = None) -> None:
        """Answer 500 for an exception. Only the log says which."""
        self.log.failure("a resource failed", failure or Failure(), event="http.error")
        self._refused = Refused(500, "an internal error occurred; see the server's log")

    def _find(self) -> None:
        """Find the resource. Raises `Refused`."""
        self._resource = self.site.resourceFor(self)
        if self.admitted.length and resources.IStreamed.providedBy(self._resource):
            self.body = self._resource.bodyOf(self)
            if self.body is not None and self.site.budget is not None:
                self._memory = BodyMemory(self.site.budget, self)

    @property
    def wantsBody(self) -> bool:
        """Whether the body is to be read."""
        return self.body is not None and self._refused is None

    # -- the body arrives -----------------------------------------------------------------------------------------

    def handleContentChunk(self, data: bytes) -> None:
        """Called with a piece of the body: pass it to the resource."""
        self.received += len(data)
        self.pieces += 1
        if self.body is not None and self._refused is None:
            body = self.body
            self._give(body.received, data)
            if self._memory is not None and self._refused is None:
                self._memory.put(getattr(body, "kept", 0))

    def bodyEnded(self) -> None:
        """Called when the body is complete. Its memory counts until the answer is."""
        body, self.body = self.body, None
        if body is not None and self._refused is None:
            self._give(body.ended)

    def giveUp(self, refused: Refused) -> None:
        """Called to free the memory of the body: refuse the request, or end the connection if it is being answered."""
        body, self.body = self.body, None
        if self.channel is None or self.isLost:
            return
        if body is None:
            self.channel.transport.abortConnection()
            return
        self._refused = refused
        body.lost()
        self.channel.answerEarly(self)

    def _letGo(self) -> None:
        """Called when the body is not needed any more."""
        memory, self._memory = self._memory, None
        if memory is not None:
            memory.close()

    def _give(self, hook: Any, *arguments: Any) -> None:
        try:
            hook(*arguments)
        except Refused as refused:
            self._refused = refused
        except Exception:
            self._fail()
        if self._refused is not None and not self.startedWriting and self.channel is not None:
            self.channel.answerEarly(self)

    def connectionLost(self, reason: Failure) -> None:
        """Called when the connection is lost before the answer is complete."""
        self._letGo()
        deciding, self._deciding = self._deciding, None
        if deciding is not None:
            deciding.cancel()
        body, self.body = self.body, None
        if body is not None:
            try:
                body.lost()
            except Exception:
                self.log.failure("a resource failed", Failure(), event="http.error")
        self.isLost = True
        self._left()
        super().connectionLost(reason)

    def answered(self) -> None:
        """Called when the answer is complete: write the access line, unless that of the refusal was written."""
        self._letGo()
        self.site.metrics.http.count(self.code, self.site.clock.seconds() - self._begunAt)
        if self.span is not None:
            self.span.served(self.code)
        if not self.isRefused:
            template, fields = self._line("answered {method} {path} for {peer} with {status}")
            self.log.info(template, event="request.answered", **fields)

    def _left(self) -> None:
        """The same if the client has left before the answer was complete."""
        if self.span is not None:
            self.span.end("client_left")
        if not self.isRefused:
            template, fields = self._line(
                "the client left before the answer to {method} {path} for {peer} was complete"
            )
            self.log.info(template, event="request.left", **fields)

    def _line(self, beginning: str) -> tuple[str, dict[str, Any]]:
        duration = self.site.clock.seconds() - self._begunAt
        client = self.admitted.client if self.user is None else clientFields(self.peer, self.tls, self.user)
        if self.log.traceId is not None:
            client = {**client, "trace_id": self.log.traceId}
        return requestLine(beginning, self.head, client, self.code, duration, self.received, self.sentLength)

    def hold(self) -> None:
        """Pause reading of the body. Each `hold` needs its own `release`."""
        self.held += 1
        if self.held == 1 and self.channel is not None:
            self.channel.transport.pauseProducing()

    def release(self) -> None:
        """Take back one `hold`. Reading resumes after the last one."""
        self.held -= 1
        if not self.held and self.channel is not None:
            self.channel.transport.resumeProducing()

    # -- once the client is gone, the answer is discarded -----------------------------------------------------------

    def notifyFinish(self) -> Deferred[None]:
        """As in Twisted, but fails at once if the client is already gone."""
        if self.isLost:
            return fail(ConnectionLost("the client has disconnected"))
        finished: Deferred[None] = super().notifyFinish()
        return finished

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Register a producer, or stop it if the client is gone."""
        if self.isLost:
            producer.stopProducing()
        else:
            super().registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """Called when the producer is done."""
        if self.isLost:
            self.producer = None
        else:
            super().unregisterProducer()

    def write(self, data: bytes) -> None:
        """Send some of the answer. Every error has the request's id, also one that a protocol answers with."""
        if self.isLost:
            return
        if not self.startedWriting and self.code >= BAD_REQUEST:
            self.setHeader(b"X-Request-Id", self.id.encode())
        super().write(data)

    def finish(self) -> None:
        """Called when the answer is complete."""
        if not self.isLost:
            super().finish()

    # -- the answer -----------------------------------------------------------------------------------------------

    def process(self) -> None:
        """Render the resource that was found, or the refusal."""
        if self._refused is not None:
            self.refuse(self._refused)
            return
        assert self._resource is not None
        try:
            self.render(self._resource)
        except Refused as refused:
            self.refuse(refused)
        except Exception:
            self.processingFailed(Failure())

    def render(self, resource: IResource) -> None:
        """Render. An unsupported method gets 405 with Allow (RFC 9110 15.5.6), an unknown one 501 (15.6.2)."""
        try:
            content = resource.render(self)
        except UnsupportedMethod as unsupported:
            allowedMethods: list[bytes] = list(unsupported.allowedMethods)
            allowed = ", ".join(sorted(bytes(name).decode("latin-1") for name in allowedMethods))
            status = 405 if self.head.method in _METHODS else 501
            self.refuse(
                Refused(
                    status, f"{self.head.method[:20]} is not supported here; use one of {allowed}", [("Allow", allowed)]
                )
            )
            return
        if content is not NOT_DONE_YET:
            if self.code != NOT_MODIFIED:
                self.setHeader(b"Content-Length", b"%d" % len(content))
            if self.head.method != "HEAD":
                self.write(content)
            self.finish()

    def processingFailed(self, reason: Failure) -> Failure:
        """Called when a resource raised an error: log it, and answer with 500 and no details."""
        self.log.failure("a resource failed", reason, event="http.error")
        if self.isLost:
            return reason
        if self.startedWriting:
            assert self.channel is not None
            self.channel.loseConnection()
        else:
            self.refuse(Refused(500, "an internal error occurred; see the server's log"))
        return reason

    def refuse(self, refused: Refused) -> None:
        """Answer with a status, and a page or one sentence."""
        if self.isLost:
            return
        self.isRefused = True
        self.site.refused(self.log, self.head, self.peer, refused, self.tls, self.user)
        content, fields = answerTo(refused, self.head, self.peer, self.site.hasConsole, self.id)
        self.setResponseCode(refused.status, refused.phrase.encode())
        for name, value in (*refused.headers, *fields):
            self.setHeader(name.encode(), value.encode("latin-1", "replace"))
        self.setHeader(b"Content-Length", b"%d" % len(content))
        if self.head.method != "HEAD":
            self.write(content)
        self.finish()
