"""zeep, over the WebSocket transport that is shipped, over HTTP, and through a gateway: the same typed values."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from queue import Queue
from typing import Any

import pytest
import zeep

from tests.daemon import ROOT, RunningDaemon, runningDaemon
from wsd.protocols.soap.zeeptransport import WebSocketTransport

CONFIG = f"""
[route."/waiting"]
protocol = "soap"
contract = "{ROOT}/tests/protocols/soap/waiting.xsd"
service = "tests.protocols.soap.waiting"
calls = 100
"""


@pytest.fixture(scope="module")
def daemon() -> Iterator[RunningDaemon]:
    with runningDaemon(config=CONFIG) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def gateway(daemon: RunningDaemon) -> Iterator[RunningDaemon]:
    """Another daemon, in front of the first one's HTTP."""
    upstream = f'[route."/soap"]\nprotocol = "soap"\nupstream = "http://127.0.0.1:{daemon.port()}/soap"\n'
    with runningDaemon(config=upstream) as gateway:
        yield gateway


def wsdl(daemon: RunningDaemon, path: str = "/soap") -> str:
    return f"http://localhost:{daemon.port()}{path}?wsdl&transport=http"


@pytest.fixture
def pushed() -> Queue[Any]:
    return Queue()


@pytest.fixture(params=[f"{way} {version}" for way in ("WebSocket", "HTTP", "gateway") for version in ("1.2", "1.1")])
def service(request: pytest.FixtureRequest, daemon: RunningDaemon, pushed: Queue[Any]) -> Iterator[Any]:
    transport, _, version = request.param.partition(" ")
    port = f"Soap{version.replace('.', '')}"
    if transport == "HTTP":
        yield zeep.Client(wsdl(daemon)).bind("Demonstration", port)
        return
    asked = request.getfixturevalue("gateway") if transport == "gateway" else daemon
    soap = WebSocketTransport(f"ws://localhost:{asked.port()}/soap", pushed.put, soap11=version == "1.1")
    yield zeep.Client(wsdl(daemon), transport=soap, plugins=[soap]).bind("Demonstration", port)
    soap.close()


class TestTheDemonstration:
    def test_each_operation_gives_the_same_typed_values(self, service: Any) -> None:
        assert service.Echo("grüße <&>") == "grüße <&>"
        assert service.Add(2**31 - 2, 1) == 2**31 - 1
        file = service.ReadFile("hello.txt")
        assert (file.name, file.content, file.modified) == ("hello.txt", b"Hello!\n", date(2026, 1, 31))
        line = [{"item": "tea", "amount": 3, "price": Decimal("1.10")}]
        order = service.Order(customer="Ada", line=line, speed="express", wanted=date(2090, 1, 2), tags=["a", "b"])
        assert (order.total, order.delivery, order.speed) == (Decimal("3.63"), date(2090, 1, 2), "express")
        assert [(each.item, each.amount, each.price) for each in order.line] == [("tea", 3, Decimal("1.10"))]
        assert order.tags == ["a", "b"]
        assert service.Note("one-way") is None

    def test_faults_are_typed(self, service: Any) -> None:
        with pytest.raises(zeep.exceptions.Fault, match=r"secret\.txt is forbidden") as caught:
            service.ReadFile("secret.txt")
        (fault,) = caught.value.detail
        assert [each.text for each in fault] == ["secret.txt", "forbidden"]

    def test_what_is_not_as_the_contract_says_is_a_fault(self, service: Any) -> None:
        with pytest.raises(zeep.exceptions.Fault, match="not a valid value of the atomic type 'xs:int'"):
            service.Add(2**31, 0)
        assert service.Add(1, 1) == 2

    def test_quotes_are_pushed_over_a_websocket_alone(
        self, service: Any, pushed: Queue[Any], request: pytest.FixtureRequest
    ) -> None:
        if "WebSocket" not in request.node.name:
            with pytest.raises(zeep.exceptions.Fault, match="only over a WebSocket") as caught:
                service.Watch("WSD", 2, 10)
            assert caught.value.detail[0][0].text == "http"
            return
        watch = service.Watch("WSD", 2, 10)
        for _ in range(2):
            assert pushed.get(timeout=10).find(".//{*}Quote/{*}watch").text == watch


class TestManyAtOnce:
    def test_a_hundred_are_answered_the_last_first(self, daemon: RunningDaemon) -> None:
        soap = WebSocketTransport(f"ws://localhost:{daemon.port()}/waiting")
        client = zeep.Client(wsdl(daemon, "/waiting"), transport=soap, plugins=[soap])
        done: list[int] = []

        def call(number: int) -> int:
            answer = client.service.Wait(number, 100)
            done.append(answer)
            return int(answer)

        began = time.monotonic()
        with ThreadPoolExecutor(100) as threads:
            assert list(threads.map(call, range(100))) == list(range(100))
        assert done != sorted(done)
        # One after the other they would take 25 seconds.
        assert time.monotonic() - began < 20
        soap.close()

    def test_what_blocks_runs_in_a_thread(self, daemon: RunningDaemon) -> None:
        assert zeep.Client(wsdl(daemon, "/waiting")).service.Block("this") == "this in a thread"


class TestWithoutAnAnswer:
    def test_a_call_that_timed_out_is_forgotten(self, daemon: RunningDaemon) -> None:
        soap = WebSocketTransport(f"ws://localhost:{daemon.port()}/waiting", timeout=0.05)
        client = zeep.Client(wsdl(daemon, "/waiting"), transport=soap, plugins=[soap])
        with pytest.raises(TimeoutError):
            client.service.Wait(0, 1000)
        assert soap._waiting == {}
        soap.close()
