"""
Export: ended spans wait in a bounded queue, from which a thread sends them to the collector (OTLP over HTTP).

Only imported while traces are on. A collector that is away or too slow loses spans, which are counted; it never delays
anybody.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio, Sampler

from wsd import __version__
from wsd.metrics import SpanCounters
from wsd.traces.semantics import WORKER
from wsd.traces.tracer import Tracer

QUEUE = 2048
"""Ended spans that may wait. Further ones are lost."""
_BATCH = 512
"""Spans that are sent together."""

_DEFAULT_NAME = "wsd"
_UNNAMED = "unknown_service"
"""What the SDK calls a service without a name."""

_DEPTH = 10
"""How often an error may wrap another one."""

_SLOW = "spans end faster than it accepts them"

# The exporter logs each failed try. `ExportOutcome` says it once.
logging.getLogger("opentelemetry").addHandler(logging.NullHandler())


class ExportOutcome(Protocol):
    """Hears what becomes of spans, from any thread."""

    def exported(self) -> None:
        """The collector has accepted spans, and none were lost since the last time."""

    def lost(self, reason: str) -> None:
        """Spans were lost."""


class CollectorSession(requests.Session):
    """Sends the exporter's requests, and remembers why the last one has failed."""

    reason = ""

    def request(self, *arguments: Any, **named: Any) -> requests.Response:
        """Send one request. Raises what `requests` raises."""
        try:
            response = super().request(*arguments, **named)
        except Exception as error:
            self.reason = _causeOf(error)
            raise
        self.reason = f"it answered {response.status_code}"
        return response


def _causeOf(error: BaseException) -> str:
    """Why a request failed, in few words: `requests` wraps the error of the system several times."""
    if isinstance(error, requests.Timeout):
        return "it does not answer"
    seen: BaseException | None = error
    for _ in range(_DEPTH):
        if seen is None:
            break
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        inner = (getattr(seen, "reason", None), *seen.args, seen.__cause__, seen.__context__)
        seen = next((each for each in inner if isinstance(each, BaseException)), None)
    return type(error).__name__


class CountingExporter(SpanExporter):
    """An exporter whose outcome is counted. The thread of the queue calls it."""

    def __init__(
        self, exporter: SpanExporter, counters: SpanCounters, outcome: ExportOutcome, why: Callable[[], str]
    ) -> None:
        self._exporter = exporter
        self._counters = counters
        self._outcome = outcome
        self._why = why
        self._droppedBefore = 0
        self.taken = 0
        """Spans that were taken out of the queue."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans."""
        self.taken += len(spans)
        counters, before = self._counters, self._droppedBefore
        self._droppedBefore = counters.dropped
        if self._exporter.export(spans) is SpanExportResult.SUCCESS:
            counters.exported += len(spans)
            if counters.dropped == before:
                self._outcome.exported()
            return SpanExportResult.SUCCESS
        counters.failed += len(spans)
        self._outcome.lost(self._why())
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Send nothing more."""
        self._exporter.shutdown()


class BoundedProcessor(BatchSpanProcessor):
    """
    The queue and its thread. A span for which there is no room is lost.

    The SDK would drop the oldest one, and log a line for each.
    """

    def __init__(self, exporter: CountingExporter, counters: SpanCounters, outcome: ExportOutcome) -> None:
        super().__init__(exporter, max_queue_size=QUEUE, max_export_batch_size=_BATCH)
        self._counting = exporter
        self._counters = counters
        self._outcome = outcome
        self._queued = 0

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span that has ended, if it is sampled. Only the thread of the reactor calls this."""
        if span.context is None or not span.context.trace_flags.sampled:
            return
        if self._queued - self._counting.taken >= QUEUE:
            self._counters.dropped += 1
            self._outcome.lost(_SLOW)
            return
        self._queued += 1
        super().on_end(span)


class Pipeline:
    """All that is between a span and the collector. `tracer` begins the spans."""

    def __init__(
        self,
        exporter: SpanExporter,
        resource: Resource,
        sampler: Sampler | None,
        counters: SpanCounters,
        outcome: ExportOutcome,
        why: Callable[[], str] = lambda: "the exporter failed",
    ) -> None:
        # Without a sampler, that of OTEL_TRACES_SAMPLER.
        self._provider = TracerProvider(sampler, resource, shutdown_on_exit=False)
        self._provider.add_span_processor(
            BoundedProcessor(CountingExporter(exporter, counters, outcome, why), counters, outcome)
        )
        self.tracer = Tracer(self._provider.get_tracer("wsd", __version__))

    def close(self) -> None:
        """Send what waits, and end the thread. Blocks for as long as that takes, at most half a minute."""
        self._provider.shutdown()


def pipelineTo(
    endpoint: str | None,
    headers: dict[str, str],
    timeout: float | None,
    resource: Resource,
    sampler: Sampler | None,
    counters: SpanCounters,
    outcome: ExportOutcome,
) -> Pipeline:
    """A pipeline to a collector. What is None or empty is that of the standard variables (OTEL_EXPORTER_OTLP_...)."""
    session = CollectorSession()
    exporter = OTLPSpanExporter(endpoint, headers=headers or None, timeout=timeout, session=session)
    return Pipeline(exporter, resource, sampler, counters, outcome, lambda: session.reason)


def resourceOf(name: str | None, worker: int | None) -> Resource:
    """What describes this process. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES add to it."""
    attributes: dict[str, str | int] = {"service.version": __version__, "process.pid": os.getpid()}
    if name is not None:
        attributes[SERVICE_NAME] = name
    if worker is not None:
        attributes[WORKER] = worker
    resource = Resource.create(attributes)
    if str(resource.attributes[SERVICE_NAME]).startswith(_UNNAMED):
        return resource.merge(Resource({SERVICE_NAME: _DEFAULT_NAME}))
    return resource


def samplerOf(sample: float | None) -> Sampler | None:
    """What decides whether a trace is made if its caller has not decided; None for that of OTEL_TRACES_SAMPLER."""
    return None if sample is None else ParentBasedTraceIdRatio(sample)
