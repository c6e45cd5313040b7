"""
Tracing: whether traces are made. A reload switches them on and off.

`tracer` is None while they are off, which is all that others test. Only then are the libraries of OpenTelemetry needed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from wsd.config import ConfigError, Traces
from wsd.config.prepared import PreparedChange
from wsd.metrics import SpanCounters
from wsd.traces.headers import readHeaders

if TYPE_CHECKING:
    from wsd.traces.export import Pipeline
    from wsd.traces.tracer import Tracer

FLUSH = 3.0
"""Seconds for which the end of the daemon waits until the last spans are exported."""

_EXPORT = "wsd.traces.export"
"""The module that imports the libraries."""
_LIBRARIES = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http.trace_exporter", "requests")

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_DEFAULT_ENDPOINT = "http://localhost:4318"


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """How spans are exported."""

    traces: Traces
    headers: tuple[tuple[str, str], ...]

    @property
    def collector(self) -> str:
        """The URL of the collector for the log, without credentials."""
        variables = (os.environ.get(name) for name in _ENDPOINTS)
        url = self.traces.endpoint or next(filter(None, variables), _DEFAULT_ENDPOINT)
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def settingsOf(traces: Traces) -> ExportSettings | None:
    """How spans are exported, None if they are not. Raises ConfigError if a library is missing, or a file is wrong."""
    # The standard switch of OpenTelemetry's SDKs.
    if not traces.enabled or os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    missing = next((name for name in _LIBRARIES if not _isInstalled(name)), None)
    if missing is not None:
        sentence = f'traces need the library {missing}; install it with: pip install "txwsd[otel]"'
        raise ConfigError(sentence, "traces.enabled")
    return ExportSettings(traces, tuple(readHeaders(traces.headers_file).items()))


def _isInstalled(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


class Tracing:
    """The traces of one process; `worker` is its number if it is one of several workers."""

    def __init__(
        self,
        reactor: Any = None,
        counters: SpanCounters | None = None,
        worker: int | None = None,
        makePipeline: Callable[[ExportSettings, Tracing], Pipeline] | None = None,
    ) -> None:
        self.tracer: Tracer | None = None
        """Begins spans; None while traces are off."""
        self.reactor = reactor
        self.counters = counters or SpanCounters()
        self.worker = worker
        self._makePipeline = makePipeline or _pipeline
        self._settings: ExportSettings | None = None
        self._loading: ExportSettings | None = None
        """What will be in use when the libraries are loaded."""
        self._pipeline: Pipeline | None = None

    def begin(self, traces: Traces) -> Callable[[], None]:
        """What a daemon that starts calls when it has its own process. Raises ConfigError."""
        settings = settingsOf(traces)
        return lambda: self._use(settings)

    def prepare(self, traces: Traces) -> PreparedChange:
        """Prepare a reload. Raises ConfigError. Nothing is exported before the change is committed."""
        settings = settingsOf(traces)
        return PreparedChange(lambda: self._load(settings))

    def _load(self, settings: ExportSettings | None) -> None:
        """Load the libraries if they are needed for the first time: in a thread, since nobody waits for traces."""
        if settings is None or _EXPORT in sys.modules:
            self._use(settings)
            return
        self._loading = settings

        def load() -> None:
            import_module(_EXPORT)
            self.reactor.callFromThread(self._loaded, settings)

        Thread(target=load, name="wsd-traces-load", daemon=True).start()

    def _loaded(self, settings: ExportSettings) -> None:
        if self._loading is settings:
            self._use(settings)

    def _use(self, settings: ExportSettings | None) -> None:
        self._loading = None
        if settings == self._settings:
            return
        self._settings, before = settings, self._pipeline
        self._pipeline = None if settings is None else self._makePipeline(settings, self)
        self.tracer = None if self._pipeline is None else self._pipeline.tracer
        if before is not None:
            self._close(before)

    def stop(self) -> Deferred[None]:
        """Make no more spans. Fires when those that have ended are exported, at the latest after `FLUSH` seconds."""
        pipeline, self._pipeline = self._pipeline, None
        self.tracer = self._settings = self._loading = None
        if pipeline is None:
            return succeed(None)
        return self._close(pipeline).addTimeout(FLUSH, self.reactor, lambda value, seconds: None)

    def _close(self, pipeline: Pipeline) -> Deferred[None]:
        """Close a pipeline in a thread of its own, which does not keep the process alive."""
        closed: Deferred[None] = Deferred()

        def close() -> None:
            try:
                pipeline.close()
            finally:
                self.reactor.callFromThread(closed.callback, None)

        Thread(target=close, name="wsd-traces-close", daemon=True).start()
        return closed


def _pipeline(settings: ExportSettings, tracing: Tracing) -> Pipeline:
    """The pipeline to the collector of the settings."""
    from wsd.traces import export

    traces = settings.traces
    return export.pipelineTo(
        traces.endpoint,
        dict(settings.headers),
        traces.timeout,
        export.resourceOf(traces.service_name, tracing.worker),
        export.samplerOf(traces.sample),
        tracing.counters,
        LoggedOutcome(tracing.reactor, settings.collector, tracing.counters),
    )


class LoggedOutcome:
    """Says once in the log that spans are lost, and once that they are no longer. Called from any thread."""

    log = Logger(namespace="wsd")

    def __init__(self, reactor: Any, collector: str, counters: SpanCounters) -> None:
        self._reactor = reactor
        self._collector = collector
        self._counters = counters
        self._isLosing = False
        self._lostBefore = counters.lost

    def lost(self, reason: str) -> None:
        """Spans were lost."""
        if not self._isLosing:
            self._isLosing = True
            self._reactor.callFromThread(self._tellLost, reason)

    def exported(self) -> None:
        """The collector has accepted spans, and none were lost since the last time."""
        if self._isLosing:
            self._isLosing = False
            self._reactor.callFromThread(self._tellExported)

    def _tellLost(self, reason: str) -> None:
        self.log.warn(
            "spans of traces are lost, because the collector at {collector} does not accept them: {reason}",
            event="traces.lost",
            collector=self._collector,
            reason=reason,
        )

    def _tellExported(self) -> None:
        lost, self._lostBefore = self._counters.lost - self._lostBefore, self._counters.lost
        self.log.info(
            "the collector at {collector} accepts spans again; spans lost meanwhile: {count}",
            event="traces.exported",
            collector=self._collector,
            count=lost,
        )
