"""Traces that are kept in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Sampler
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from tests.wire import Wire
from wsd.traces.tracer import Tracer
from wsd.traces.tracing import Tracing

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
UNSAMPLED = f"00-{TRACE}-{PARENT}-00"


class KeptTraces:
    """Traces that are on; ended spans are kept."""

    def __init__(self, sampler: Sampler = DEFAULT_ON) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(sampler, Resource({}), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Tracing()
        self.tracing.tracer = Tracer(provider.get_tracer("test"))

    @property
    def tracer(self) -> Tracer:
        assert self.tracing.tracer is not None
        return self.tracing.tracer

    @property
    def spans(self) -> list[ReadableSpan]:
        """The ended spans, in the order of their ends."""
        return list(self._exporter.get_finished_spans())

    def only(self) -> ReadableSpan:
        """The only span that has ended."""
        (span,) = self.spans
        return span


def lose(wire: Wire) -> None:
    """The connection is lost, even while nothing is read from it."""
    wire.transport.connectionLost(Failure(ConnectionLost()))


def attributesOf(span: ReadableSpan) -> Mapping[str, Any]:
    return dict(span.attributes or {})


def traceOf(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


def idOf(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.span_id:016x}"


def parentOf(span: ReadableSpan) -> str | None:
    return None if span.parent is None else f"{span.parent.span_id:016x}"
