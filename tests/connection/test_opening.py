"""Failing opening handshakes: one response, one log line, one count. As many connections close as were opened."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import capturedLogs
from websockets.protocol import State

from tests.every import EveryFactory
from tests.wire import Client, Daemon
from wsd.config import Policies
from wsd.connection import Accept, Closed, Connection, Factory, Refused
from wsd.metrics import Cause


def opening(hook: Any, **policies: Any) -> tuple[Daemon, Client]:
    """A client of a protocol with this `opening`."""

    class Slow(Connection):
        opening = hook

    class SlowFactory(Factory):
        connection = Slow

    daemon = Daemon({"/": SlowFactory}, Policies(**policies))
    return daemon, daemon.open()


def balance(daemon: Daemon) -> tuple[int, int]:
    """The numbers of opened and closed connections."""
    counters = daemon.factories["/"].counters
    return counters.opened, sum(counters.closed.values())


class TestAnOpeningThatTakesTooLong:
    async def stubborn(self: Any, request: Any) -> Accept:
        with suppress(CancelledError):
            await Deferred()
        return Accept()

    async def broken(self: Any, request: Any) -> Accept:
        try:
            await Deferred()
        finally:
            raise RuntimeError("cancelled")

    @pytest.mark.parametrize("hook", [stubborn, broken])
    def test_is_answered_once_whatever_its_protocol_makes_of_being_cancelled(self, hook: Any) -> None:
        with capturedLogs() as events:
            daemon, client = opening(hook, opening_timeout=10)
            daemon.pass_(11)
            client.exchange()
        assert client.response is not None
        assert client.response.status_code == 503
        assert client.wire.received.count(b"HTTP/1.1") <= 1
        assert [event["event"] for event in events if "id" in event] == ["request.refused"]
        assert daemon.metrics.handshakes == {"503": 1}
        assert daemon.metrics.refusals == {503: 1}
        daemon.pass_(5)
        assert balance(daemon) == (0, 0)

    def test_its_time_runs_for_one_that_will_take_the_bare_stream_too(self) -> None:
        async def raw(self: Any, request: Any) -> None:
            request.takeRaw(EveryFactory)
            await Deferred()

        daemon, client = opening(raw, opening_timeout=10)
        daemon.pass_(11)
        client.exchange()
        assert client.response is not None
        assert client.response.status_code == 503


class TestAnOpeningThatRaisesBeforeItReturnsACoroutine:
    @pytest.mark.parametrize(
        ("error", "status"), [(Refused(403, "not you"), 403), (RuntimeError("broken"), 500)], ids=["refused", "broken"]
    )
    def test_is_answered_like_any_other(self, error: Exception, status: int) -> None:
        def hook(self: Any, request: Any) -> Any:
            raise error

        daemon, client = opening(hook)
        assert client.response is not None
        assert client.response.status_code == status
        assert daemon.metrics.refusals == {status: 1}
        assert balance(daemon) == (0, 0)


class TestAConnectionThatNeverOpens:
    def test_is_told_when_the_daemon_stops_meanwhile(self) -> None:
        daemon = Daemon({"/": EveryFactory})
        client = daemon.open("/?wish=wait")
        (connection,) = daemon.connections
        connection.close(1001, "the server is shutting down", Cause.shutdown)
        client.exchange()
        assert client.response is not None
        assert client.response.status_code == 503
        assert client.response.body == b"the server is shutting down\n"

    def test_is_not_counted_as_closed_when_it_is_dropped(self) -> None:
        async def drop(self: Any, request: Any) -> Accept:
            self.drop()
            return Accept()

        daemon, _client = opening(drop)
        daemon.reactor.advance(0)
        assert daemon.connections == []
        assert balance(daemon) == (0, 0)

    def test_leaves_a_line_and_a_count_when_its_peer_goes(self) -> None:
        daemon = Daemon({"/": EveryFactory})
        client = daemon.open("/?wish=wait")
        with capturedLogs() as events:
            client.wire.close()
        assert [event["event"] for event in events if "id" in event] == ["connection.left"]
        assert daemon.metrics.handshakes == {"left": 1}
        assert balance(daemon) == (0, 0)


class TestErrors:
    """One log line with the id, and 1011."""

    @pytest.mark.parametrize("hook", ["opened", "received", "full", "drained", "closed"])
    def test_of_any_hook(self, hook: str) -> None:
        def fail(self: Any, *arguments: Any) -> None:
            raise RuntimeError(hook)

        kind = type("Failing", (Connection,), {hook: fail})
        daemon = Daemon({"/": type("FailingFactory", (Factory,), {"connection": kind})}, Policies(high_water=1 << 20))
        with capturedLogs() as events:
            client = daemon.open()
            for connection in daemon.connections:
                connection.pauseProducing()
                connection.resumeProducing()
            if client.protocol.state is State.OPEN:
                client.say("hello")
            code = client.closeCode
            if client.protocol.state is State.OPEN:
                client.close()
        failures = [event for event in events if "log_failure" in event]
        assert len(failures) == 1
        assert failures[0]["event"] == "connection.error"
        assert "id" in failures[0]
        if hook != "closed":
            assert code == 1011
        assert balance(daemon) == (1, 1)

    def test_a_code_that_may_not_be_sent_is_an_error_of_the_hook(self) -> None:
        class Wrong(Connection):
            def received(self, payload: bytes, isBinary: bool) -> None:
                raise Closed(1005)

        daemon = Daemon({"/": type("WrongFactory", (Factory,), {"connection": Wrong})})
        with capturedLogs() as events:
            client = daemon.open()
            client.say("hello")
            assert client.closeCode == 1011
        (failure,) = [event for event in events if "log_failure" in event]
        assert "1005" in failure["log_failure"].getErrorMessage()

    def test_any_awaitable_may_be_returned(self) -> None:
        class Later:
            def __await__(self) -> Any:
                yield from Deferred.fromCoroutine(self.done()).__await__()

            async def done(self) -> None: ...

        class Awaiting(Connection):
            def received(self, payload: bytes, isBinary: bool) -> Any:
                self.send(payload)
                return Later()

        daemon = Daemon({"/": type("AwaitingFactory", (Factory,), {"connection": Awaiting})})
        client = daemon.open()
        client.say(b"one")
        client.say(b"two")
        assert client.messages() == [b"one", b"two"]

    def test_of_what_comes_with_the_handshake_ends_the_connection_with_a_line(self) -> None:
        """No error after the 101 is swallowed, whether a hook raised it or not."""

        class Odd(Connection):
            def release(self) -> None:
                raise RuntimeError("odd")

        daemon = Daemon({"/": type("OddFactory", (Factory,), {"connection": Odd})})
        client = Client(daemon.connect())
        client.protocol.send_request(client.request)
        with capturedLogs() as events:
            client.wire.send(b"".join(client.protocol.data_to_send()) + b"\x89\x80\0\0\0\0")
            daemon.reactor.advance(0)
        assert [event["event"] for event in events if "log_failure" in event] == ["connection.error"]
        assert daemon.connections == []
        assert daemon.factories["/"].counters.closed == {Cause.internal_error: 1}


class TestSending:
    def test_from_closed_is_nothing(self) -> None:
        class Last(Connection):
            def closed(self, code: int, reason: str) -> None:
                self.send("late")
                self.ping(b"late")
                self.close(4000)
                self.hold()
                self.release()
                self.release()

        daemon = Daemon({"/": type("LastFactory", (Factory,), {"connection": Last})})
        client = daemon.open()
        with capturedLogs() as events:
            client.close()
        assert [event for event in events if "log_failure" in event] == []
        assert balance(daemon) == (1, 1)

    def test_a_stalled_peer_is_one_drop(self) -> None:
        daemon = Daemon(
            {"/": EveryFactory}, Policies(stall_timeout=5, ping_interval=5, ping_timeout=2, high_water=1 << 20)
        )
        client = daemon.open()
        client.protocol.send_text(b"flood 256")
        client.wire.send(b"".join(client.protocol.data_to_send()))
        daemon.pass_(30)
        assert daemon.connections == []
        assert sum(daemon.factories["/"].counters.drops.values()) == 1
