"""Export: the queue is bounded, what is lost is counted, and the log says it once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import requests
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from twisted.logger import capturedLogs, formatEvent

from wsd.metrics import Metrics, SpanCounters
from wsd.traces.export import QUEUE, CollectorSession, Pipeline, resourceOf, samplerOf
from wsd.traces.tracing import LoggedOutcome


class Collector(SpanExporter):
    """A collector that answers when the test lets it."""

    def __init__(self) -> None:
        self.isThere = True
        self.mayAnswer = threading.Event()
        self.mayAnswer.set()
        self.isAsked = threading.Event()
        self.taken = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.isAsked.set()
        assert self.mayAnswer.wait(60)
        if not self.isThere:
            return SpanExportResult.FAILURE
        self.taken += len(spans)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        pass


class Outcomes:
    """What is told of spans."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def exported(self) -> None:
        self.told.append("exported")

    def lost(self, reason: str) -> None:
        self.told.append(reason)


@pytest.fixture
def collector() -> Collector:
    return Collector()


@pytest.fixture
def counters() -> SpanCounters:
    return SpanCounters()


@pytest.fixture
def outcomes() -> Outcomes:
    return Outcomes()


@pytest.fixture
def pipeline(
    collector: Collector, counters: SpanCounters, outcomes: Outcomes, monkeypatch: pytest.MonkeyPatch
) -> Pipeline:
    # Only what fills a batch, or the end, is sent in this time.
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
    return Pipeline(collector, Resource({}), ALWAYS_ON, counters, outcomes, lambda: "away")


def end(pipeline: Pipeline, count: int = 1) -> None:
    for _ in range(count):
        pipeline.tracer.call("x", {}).end()


class TestTheQueue:
    def test_is_sent_at_the_end(
        self, pipeline: Pipeline, collector: Collector, counters: SpanCounters, outcomes: Outcomes
    ) -> None:
        end(pipeline, 700)
        pipeline.close()
        assert (collector.taken, counters.exported, counters.lost) == (700, 700, 0)
        assert set(outcomes.told) == {"exported"}

    def test_has_a_bound_beyond_which_spans_are_lost_and_nobody_waits(
        self, pipeline: Pipeline, collector: Collector, counters: SpanCounters, outcomes: Outcomes
    ) -> None:
        collector.mayAnswer.clear()
        end(pipeline, 512)
        assert collector.isAsked.wait(60)
        end(pipeline, QUEUE + 5)
        assert counters.dropped == 5
        assert set(outcomes.told) == {"spans end faster than it accepts them"}
        collector.mayAnswer.set()
        pipeline.close()
        assert (counters.exported, collector.taken) == (512 + QUEUE, 512 + QUEUE)

    def test_counts_what_the_collector_does_not_take(
        self, pipeline: Pipeline, collector: Collector, counters: SpanCounters, outcomes: Outcomes
    ) -> None:
        collector.isThere = False
        end(pipeline, 3)
        pipeline.close()
        assert (counters.failed, counters.lost, counters.exported) == (3, 3, 0)
        assert outcomes.told == ["away"]

    def test_has_no_place_for_spans_that_are_not_sampled(
        self, collector: Collector, counters: SpanCounters, outcomes: Outcomes
    ) -> None:
        pipeline = Pipeline(collector, Resource({}), ALWAYS_OFF, counters, outcomes)
        end(pipeline, 10)
        pipeline.close()
        assert (collector.taken, counters.lost) == (0, 0)


def test_the_metrics_count_spans() -> None:
    metrics = Metrics()
    metrics.spans.exported, metrics.spans.failed, metrics.spans.dropped = 5, 2, 1
    text = metrics.render("")[1].decode()
    for result, count in (("exported", 5), ("failed", 2), ("dropped", 1)):
        assert f'wsd_spans_total{{result="{result}"}} {count}.0' in text


class TestTheLog:
    class Reactor:
        @staticmethod
        def callFromThread(call: Callable[..., object], *arguments: object) -> None:
            call(*arguments)

    def test_says_once_that_spans_are_lost_and_once_that_they_are_not(self) -> None:
        counters = SpanCounters(failed=7)
        lost = "spans of traces are lost, because the collector at http://c:4318 does not accept them"
        again = "the collector at http://c:4318 accepts spans again; spans lost meanwhile"
        outcome = LoggedOutcome(self.Reactor, "http://c:4318", counters)
        with capturedLogs() as events:
            for _ in range(3):
                counters.failed += 10
                outcome.lost("Connection refused")
            for _ in range(3):
                outcome.exported()
            counters.dropped += 1
            outcome.lost("it answered 503")
            outcome.exported()
        assert [(event["event"], formatEvent(event)) for event in events] == [
            (
                "traces.lost",
                f"{lost}: Connection refused",
            ),
            ("traces.exported", f"{again}: 30"),
            (
                "traces.lost",
                f"{lost}: it answered 503",
            ),
            ("traces.exported", f"{again}: 1"),
        ]


class TestASession:
    def test_remembers_the_error_of_the_system(self) -> None:
        session = CollectorSession()
        session.trust_env = False
        with pytest.raises(requests.ConnectionError):
            session.post("http://127.0.0.1:1/v1/traces", timeout=10)
        assert session.reason == "Connection refused"

    @pytest.mark.parametrize(
        ("error", "reason"),
        [(requests.ReadTimeout("slow"), "it does not answer"), (ValueError("odd"), "ValueError")],
    )
    def test_remembers_others_in_few_words(
        self, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
    ) -> None:
        def failing(*_: Any, **__: Any) -> None:
            raise error

        monkeypatch.setattr(requests.Session, "request", failing)
        session = CollectorSession()
        with pytest.raises(type(error)):
            session.request("POST", "http://c/")
        assert session.reason == reason


class TestTheResource:
    @pytest.fixture(autouse=True)
    def alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"):
            monkeypatch.delenv(name, raising=False)

    def test_is_wsd_by_default(self) -> None:
        assert resourceOf(None, None).attributes["service.name"] == "wsd"
        assert "wsd.worker" not in resourceOf(None, None).attributes

    def test_has_the_number_of_the_worker(self) -> None:
        assert resourceOf(None, 3).attributes["wsd.worker"] == 3

    def test_has_the_name_of_the_configuration_or_of_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OTEL_SERVICE_NAME", "theirs")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
        assert resourceOf(None, None).attributes["service.name"] == "theirs"
        assert resourceOf("ours", None).attributes["service.name"] == "ours"
        assert resourceOf("ours", None).attributes["deployment.environment.name"] == "test"


def test_a_sample_holds_only_for_traces_that_begin_here() -> None:
    assert samplerOf(None) is None
    sampler = samplerOf(0.25)
    assert sampler is not None
    assert "ParentBased{root:TraceIdRatioBased{0.25}" in sampler.get_description()
