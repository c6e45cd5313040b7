"""Tracer and Span: begin and end spans. Only imported while traces are on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, format_trace_id
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from twisted.internet.defer import CancelledError

from wsd.head import Head
from wsd.policies.address import Peer
from wsd.traces.semantics import (
    CONNECTION,
    Attributes,
    clientAttributes,
    clientName,
    serverAttributes,
    serverName,
)

_PROPAGATOR = TraceContextTextMapPropagator()
"""Reads and writes traceparent and tracestate; what is invalid is ignored (W3C Trace Context 1, 3.2 to 3.4)."""

_CARRIED = ("traceparent", "tracestate")

_SERVER_ERROR = 500
_CLIENT_ERROR = 400


class Span:
    """
    One operation: a request of a client, or a call of ours to another service.

    Not all spans are sampled. Those that are not still pass the caller's trace on.
    """

    __slots__ = ("_context", "_span", "_tracer")

    def __init__(self, tracer: Tracer, span: trace.Span) -> None:
        self._tracer = tracer
        self._span: trace.Span | None = span
        self._context = span.get_span_context()

    @property
    def traceId(self) -> str | None:
        """The id of its trace, 32 hexadecimal digits; None if it is not sampled, so that no collector knows it."""
        return format_trace_id(self._context.trace_id) if self._context.trace_flags.sampled else None

    def note(self, name: str, value: str | int | bool) -> None:
        """Set an attribute."""
        if self._span is not None:
            self._span.set_attribute(name, value)

    def passOn(self) -> list[tuple[str, str]]:
        """The header fields that make the receiver's spans children of this one: traceparent, perhaps tracestate."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, self.within())
        return list(carrier.items())

    def within(self) -> Context:
        """The context in which spans are its children."""
        return trace.set_span_in_context(trace.NonRecordingSpan(self._context), Context())

    def link(self) -> Link:
        """What links a span of another trace with it."""
        return Link(self._context)

    def begin(self, name: str, attributes: Attributes, isOurs: bool = False) -> Span:
        """Begin a child: a call to another service or, if it `isOurs`, something that is done here."""
        kind = SpanKind.INTERNAL if isOurs else SpanKind.CLIENT
        return self._tracer.start(name, kind, attributes, self.within())

    def request(self, method: str, url: str) -> Span:
        """Begin a child: a request over HTTP to another service."""
        return self.begin(clientName(method, url), clientAttributes(method, url))

    def answered(self, status: int, isExpected: bool = False) -> None:
        """End a call over HTTP that was answered. A status of 400 and above is an error, unless it `isExpected`."""
        self._end(status, str(status) if status >= _CLIENT_ERROR and not isExpected else None)

    @contextmanager
    def endsWith(self, cancelled: Callable[[], str] = lambda: "timeout") -> Iterator[None]:
        """End with the error that the body raises, if it raises one; `cancelled` names a cancellation."""
        try:
            yield
        except CancelledError:
            self.end(cancelled())
            raise
        except Exception as error:
            self.end(type(error).__name__)
            raise

    def identify(self, connectionId: str) -> None:
        """Note the id of the connection or request in wsd's log and answers."""
        self.note(CONNECTION, connectionId)

    def served(self, status: int) -> None:
        """End a request of a client that was answered. Only a status of 500 and above is our error."""
        self._end(status, str(status) if status >= _SERVER_ERROR else None)

    def end(self, error: str | None = None) -> None:
        """End, with the kind of an error in one word if there was one. Only the first end counts."""
        self._end(None, error)

    def _end(self, status: int | None, error: str | None) -> None:
        span, self._span = self._span, None
        if span is None:
            return
        if status is not None:
            span.set_attribute("http.response.status_code", status)
        if error is not None:
            span.set_attribute("error.type", error)
            span.set_status(Status(StatusCode.ERROR))
        span.end()


class Tracer:
    """Begins spans. Each of them is exported when it has ended."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    def start(
        self, name: str, kind: SpanKind, attributes: Attributes, context: Context, links: Sequence[Link] = ()
    ) -> Span:
        """Begin a span in a context."""
        return Span(self, self._tracer.start_span(name, context, kind, dict(attributes), links))

    def serve(self, head: Head, peer: Peer, route: str | None) -> Span:
        """Begin the span of a client's request, in the trace that its traceparent names."""
        context = _contextOf(head.headers.byName)
        return self.start(serverName(head, route), SpanKind.SERVER, serverAttributes(head, peer, route), context)

    def call(self, name: str, attributes: Attributes, cause: Span | None = None) -> Span:
        """
        Begin the span of a call to another service in a trace of its own.

        It is linked with its `cause`: the handshake of a WebSocket, which may have ended hours ago.
        """
        return self.start(name, SpanKind.CLIENT, attributes, Context(), () if cause is None else (cause.link(),))

    def request(self, method: str, url: str, cause: Span | None = None) -> Span:
        """The same for a request over HTTP."""
        return self.call(clientName(method, url), clientAttributes(method, url), cause)


def _contextOf(fields: Mapping[str, str]) -> Context:
    """The context that a request names, an empty one if it names none, or an invalid one."""
    carrier = {name: fields[name] for name in _CARRIED if name in fields}
    return _PROPAGATOR.extract(carrier, Context())
