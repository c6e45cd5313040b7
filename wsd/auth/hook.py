"""
hook: a service over HTTP, as with nginx's auth_request, or a Python function decides who a client is.

The hook fails closed: a request is refused with 503 if it does not decide in time. Equal requests that come at the same
time share one decision, which may be kept for a stated time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionLost
from twisted.internet.error import TimeoutError as TookTooLong
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool, ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers as FieldLines
from twisted.web.iweb import IAgent

from wsd.auth.outcome import AuthenticatedUser, AuthRequest, Rejection, isName
from wsd.auth.shared import SharedAnswers

if TYPE_CHECKING:
    from wsd.traces.tracer import Span

_MOST_KEPT = 10_000
"""Decisions that are kept."""
_MOST_BODY = 64 * 1024
"""Bytes of an answer's body, which is not used."""

_EXPECTED = (401, 403)
"""Statuses that refuse, which are no errors of the hook."""

_REFUSED = "the authentication hook of this route does not accept the request"
_FAILED = Rejection("the authentication hook of this route failed; try again", isFailure=True)

Decision = AuthenticatedUser | Rejection


class Hook(Protocol):
    """Decides about a request."""

    def seen(self, request: AuthRequest) -> Sequence[object]:
        """Everything of the request that the decision may depend on."""

    async def decide(self, request: AuthRequest) -> Decision:
        """Returns who it is, or why it is refused. An exception means that the hook has failed."""


class HookMethod:
    """A hook, with a limit of time and a bounded cache."""

    name = "hook"
    challenge = None
    missing = _REFUSED
    log = Logger(namespace="wsd")

    @property
    def takesDigests(self) -> bool:
        """Whether it can decide about the digest of a password, which only a function gets."""
        return isinstance(self._hook, FunctionHook)

    def __init__(self, hook: Hook, shownAs: str, clock: IReactorTime, timeout: float, kept: float) -> None:
        self._hook = hook
        self._shownAs = shownAs
        self._clock = clock
        self._timeout = timeout
        self._answers: SharedAnswers[Decision] = SharedAnswers(clock, kept, _MOST_KEPT, _isDecided)

    async def authenticate(self, request: AuthRequest) -> AuthenticatedUser | Rejection | None:
        """What the hook decides."""
        question = sha256(repr(tuple(self._hook.seen(request))).encode()).digest()
        return await self._answers.get(question, lambda: self._decide(request))

    async def _decide(self, request: AuthRequest) -> Decision:
        deciding = Deferred.fromCoroutine(self._hook.decide(request)).addTimeout(self._timeout, self._clock)
        try:
            return await deciding
        except TookTooLong:
            reason = f"it took longer than {self._timeout:g} seconds"
        except _HookFailed as error:
            reason = str(error)
        except (ConnectError, ConnectionLost, ResponseFailed) as error:
            reasons = getattr(error, "reasons", ())
            reason = "; ".join(each.getErrorMessage() for each in reasons) or str(error)
        except Exception:
            self.log.failure("{hook} failed", Failure(), event="auth.hook", hook=self._shownAs)
            return _FAILED
        self.log.error("{hook} failed: {reason}", event="auth.hook", hook=self._shownAs, reason=reason[:400])
        return _FAILED


def _isDecided(decision: Decision) -> bool:
    return isinstance(decision, AuthenticatedUser) or not decision.isFailure


class _HookFailed(Exception):
    """Raised with a sentence if a hook gives no usable answer."""


# -- a service over HTTP ----------------------------------------------------------------------------------------------


class HttpHook:
    """
    Asks a service with a GET, whose status decides: 2xx accepts, 401 and 403 refuse, anything else is a failure.

    The request has the original method, URI, host and client in header fields, and those of the client that `passed`
    names. `user` names the field of the answer that has the user.
    """

    def __init__(
        self, reactor: Any, url: str, passed: Sequence[str], user: str, timeout: float, agent: IAgent | None = None
    ) -> None:
        self._url = url.encode("ascii")
        self._passed = passed
        self._user = user
        if agent is None:
            pool = HTTPConnectionPool(reactor)
            pool.maxPersistentPerHost = 8
            agent = Agent(reactor, connectTimeout=timeout, pool=pool)
        self._agent = agent

    def seen(self, request: AuthRequest) -> Sequence[object]:
        """What the service gets."""
        return self._fields(request)

    def _fields(self, request: AuthRequest) -> list[tuple[str, str]]:
        head, peer = request.head, request.peer
        return [
            ("X-Original-Method", head.method),
            ("X-Original-URI", head.target),
            ("X-Forwarded-Host", head.host),
            ("X-Forwarded-Proto", "https" if peer.secure else "http"),
            ("X-Forwarded-For", peer.address),
            *((name, value) for name in self._passed if (value := head.headers.get(name)) is not None),
        ]

    async def decide(self, request: AuthRequest) -> Decision:
        """Ask."""
        fields = FieldLines()
        for name, value in self._fields(request):
            # The values come from a head without control characters. Twisted would replace line breaks.
            fields.addRawHeader(name.encode("latin-1"), value.encode("latin-1", "replace"))
        response = await (self._ask(fields) if request.span is None else self._askTraced(fields, request.span))
        if 200 <= response.code < 300:
            return AuthenticatedUser(self._userIn(response.headers), HookMethod.name)
        if response.code == 401:
            return Rejection(_REFUSED, _challengeIn(response.headers))
        if response.code == 403:
            return Rejection(_REFUSED)
        raise _HookFailed(f"it answered {response.code}; 2xx accepts, and 401 or 403 refuses")

    async def _ask(self, fields: FieldLines) -> Any:
        """The answer of the service, whose body has ended."""
        response: Any = await self._agent.request(b"GET", self._url, fields, None)
        ended = _BodyEnd(_MOST_BODY)
        response.deliverBody(ended)
        await ended.whole
        return response

    async def _askTraced(self, fields: FieldLines, caller: Span) -> Any:
        """The same as a span of the caller's trace, which is passed on to the service."""
        span = caller.request("GET", self._url.decode("ascii"))
        for name, value in span.passOn():
            fields.setRawHeaders(name, [value])
        with span.endsWith():
            response = await self._ask(fields)
        span.answered(response.code, response.code in _EXPECTED)
        return response

    def _userIn(self, headers: FieldLines) -> str | None:
        values = headers.getRawHeaders(self._user.encode("ascii"), [])
        if not values:
            return None
        try:
            name = values[0].strip().decode() if len(values) == 1 else ""
        except UnicodeError:
            name = ""
        if not isName(name):
            raise _HookFailed(f"its answer has no valid name of a user in {self._user}")
        return name


def _challengeIn(headers: FieldLines) -> str | None:
    challenge = b", ".join(headers.getRawHeaders(b"WWW-Authenticate", [])).decode("latin-1")
    return challenge if challenge.isprintable() and 0 < len(challenge) < 1000 else None


class _BodyEnd(TwistedProtocol):
    """Drops the body of an answer. `whole` fires when it has ended, and fails if it is larger than `most` bytes."""

    def __init__(self, most: int) -> None:
        self._left = most
        self.whole: Deferred[None] = Deferred(lambda _: self._abort())

    def _abort(self) -> None:
        transport: Any = self.transport
        if transport is not None:
            transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        """Called with some bytes."""
        self._left -= len(data)
        if self._left < 0 and not self.whole.called:
            self.whole.errback(_HookFailed(f"its answer has more than {_MOST_BODY} bytes; send an empty body"))
            self._abort()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Called at the end."""
        if self.whole.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.whole.callback(None)
        else:
            self.whole.errback(reason)


# -- a Python function ------------------------------------------------------------------------------------------------


class FunctionHook:
    """Calls a function with an `AuthRequest`. A name accepts it as that user, True without one; None refuses."""

    def __init__(self, function: Callable[[AuthRequest], Any]) -> None:
        self._function = function

    def seen(self, request: AuthRequest) -> Sequence[object]:
        """The whole request, without what is new in each handshake."""
        fields = [pair for pair in request.head.headers if pair[0].lower() != "sec-websocket-key"]
        return (
            request.head.line,
            fields,
            request.peer._replace(port=0, proxyId=None),
            request.tls,
            request.tokenInQuery,
            request.digest,
        )

    async def decide(self, request: AuthRequest) -> Decision:
        """Call."""
        answer = await (self._call(request) if request.span is None else self._callTraced(request, request.span))
        if answer is None or answer is False:
            return Rejection(_REFUSED)
        if answer is True:
            return AuthenticatedUser(None, HookMethod.name)
        if not isinstance(answer, str) or not isName(answer):
            raise _HookFailed(f"it returned {type(answer).__name__}; return the name of the user, True or None")
        return AuthenticatedUser(answer, HookMethod.name)

    async def _call(self, request: AuthRequest) -> Any:
        """What the function answers."""
        answer = self._function(request)
        if isawaitable(answer):
            answer = await (answer if isinstance(answer, Deferred) else _value(answer))
        return answer

    async def _callTraced(self, request: AuthRequest, caller: Span) -> Any:
        """The same as a span of the caller's trace."""
        name = getattr(self._function, "__qualname__", type(self._function).__name__)
        span = caller.begin(f"hook {name}", {"code.function.name": name}, isOurs=True)
        with span.endsWith():
            answer = await self._call(request)
        span.end()
        return answer


async def _value(answer: Awaitable[Any]) -> Any:
    return await answer
