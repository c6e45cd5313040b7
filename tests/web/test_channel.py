"""HTTP when it is awkward: resources that are slow, fail or refuse, clients that are slow, greedy or gone."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from tests.web.test_door import daemon, get, status, upgrade
from tests.wire import Daemon, Wire
from wsd.config import Policies
from wsd.head import Refused
from wsd.web.request import IBody, IStreamed

MIB = 1024 * 1024


class Later(Resource):
    """Answers when it is told to."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Any] = []
        self.lost = 0

    def render_GET(self, request: Any) -> int:
        self.requests.append(request)
        request.notifyFinish().addErrback(self._lost)
        return NOT_DONE_YET

    def _lost(self, reason: Any) -> None:
        self.lost += 1


class Big(Resource):
    """More than the kernel's buffers take."""

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        return bytes(24 * MIB)


class Failing(Resource):
    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        raise RuntimeError("render fails")


@implementer(IBody)
class Body:
    """Raises where it is told to."""

    def __init__(self, where: str, error: Exception) -> None:
        self.where = where
        self.error = error

    def received(self, data: bytes) -> None:
        if self.where == "received":
            raise self.error

    def ended(self) -> None:
        if self.where == "ended":
            raise self.error

    def lost(self) -> None:
        if self.where == "lost":
            raise self.error


@implementer(IStreamed)
class Taking(Resource):
    isLeaf = True

    def __init__(self, where: str, error: Exception) -> None:
        super().__init__()
        self.where = where
        self.error = error

    def bodyOf(self, request: Any) -> Body:
        if self.where == "bodyOf":
            raise self.error
        return Body(self.where, self.error)

    def render_POST(self, request: Any) -> bytes:
        return b"taken"


def serving(resource: Resource, **policies: Any) -> tuple[Daemon, Wire]:
    """A daemon with this resource at /page, and a connection to it."""
    ours = daemon(policies=Policies(**policies))
    ours.site.pages["/page"] = resource
    return ours, ours.connect()


def failures(events: Any) -> list[Any]:
    return [event for event in events if "log_failure" in event]


class TestABodyThatIsRefused:
    POST = b"POST /page HTTP/1.1\r\nHost: localhost\r\n"
    PLAIN = POST + b"Content-Length: 4\r\n\r\nbody"
    CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n"

    @pytest.mark.parametrize("where", ["bodyOf", "received", "ended"])
    @pytest.mark.parametrize("request_", [PLAIN, CHUNKED], ids=["plain", "chunked"])
    @pytest.mark.parametrize("chunk", [None, 1])
    def test_is_one_answer_wherever_that_is_found(self, where: str, request_: bytes, chunk: int | None) -> None:
        ours = daemon()
        ours.site.pages["/page"] = Taking(where, Refused(413, "too much"))
        with capturedLogs() as events:
            answer = ours.connect(chunk=chunk).exchange(request_)
        assert status(answer) == 413
        assert answer.count(b"HTTP/1.1 ") == 1
        assert failures(events) == []
        assert ours.metrics.refusals == {413: 1}

    @pytest.mark.parametrize("where", ["bodyOf", "received", "ended"])
    def test_an_error_there_is_500_and_one_line(self, where: str) -> None:
        _ours, wire = serving(Taking(where, RuntimeError("broken")))
        with capturedLogs() as events:
            assert status(wire.exchange(self.PLAIN)) == 500
        (failure,) = failures(events)
        assert "id" in failure

    def test_holding_and_releasing_it_when_the_client_is_gone_does_nothing(self) -> None:
        _ours, wire = serving(Taking("never", RuntimeError("broken")))
        wire.send(self.PLAIN[:-2])
        (request,) = wire.door._channel.requests  # type: ignore[union-attr]
        request.hold()
        wire.transport.connectionLost(Failure(ConnectionDone()))
        request.release()
        request.hold()
        request.release()
        assert (request.channel, request.held) == (None, 0)

    def test_an_error_as_the_client_goes_is_one_line_and_leaves_nothing(self) -> None:
        ours, wire = serving(Taking("lost", RuntimeError("broken")))
        wire.send(self.PLAIN[:-2])
        with capturedLogs() as events:
            wire.close()
        (failure,) = failures(events)
        assert "id" in failure
        assert ours.site.doors == set()
        assert ours.admission.connections == 0


class TestAResource:
    def test_that_fails_is_500_and_one_line(self) -> None:
        _ours, wire = serving(Failing())
        with capturedLogs() as events:
            assert status(wire.exchange(get(b"/page"))) == 500
            assert status(wire.exchange(get())) == 200
        (failure,) = failures(events)
        assert "id" in failure

    def test_that_answers_later_answers_in_order(self) -> None:
        later = Later()
        _ours, wire = serving(later)
        assert wire.exchange(get(b"/page") + get() + upgrade()) == b""
        later.requests[0].write(b"at last")
        later.requests[0].finish()
        first, second, third = wire.exchange(b"").split(b"HTTP/1.1 ")[1:]
        assert b"at last" in first
        assert second.startswith(b"200")
        assert third.startswith(b"101")

    def test_that_answers_when_the_client_is_gone_is_told_so(self) -> None:
        later = Later()
        ours, wire = serving(later)
        wire.exchange(get(b"/page"))
        with capturedLogs() as events:
            wire.close()
        assert later.lost == 1
        assert failures(events) == []
        assert ours.site.doors == set()

    def test_keeps_a_client_that_sends_on_waiting(self) -> None:
        later = Later()
        _ours, wire = serving(later)
        wire.exchange(get(b"/page"))
        assert wire.push(get() * 500_000) < 12 * MIB

    def test_keeps_one_that_does_not_read_either_waiting_too(self) -> None:
        later = Later()
        _ours, wire = serving(later)
        wire.send(get(b"/page"))
        later.requests[0].write(bytes(24 * MIB))
        assert wire.push(get() * 500_000) < 12 * MIB


class TestAnAnswer:
    def test_that_is_taken_slowly_is_not_cut_off(self) -> None:
        ours, wire = serving(Big())
        wire.send(get(b"/page", b"Connection: close"))
        taken = 0
        while taken < 24 * MIB:
            ours.pass_(1.5)
            data = wire.socket.recv(MIB)
            assert data
            taken += len(data)
            wire.serve()

    @pytest.mark.parametrize("field", [b"Connection: close", b"Connection: keep-alive"])
    def test_that_is_not_taken_ends_its_connection(self, field: bytes) -> None:
        ours, wire = serving(Big(), stall_timeout=10)
        wire.send(get(b"/page", field))
        ours.pass_(100)
        assert ours.site.doors == set()
        assert ours.admission.connections == 0


class TestTheEnd:
    def test_of_the_daemon_comes_when_the_last_answer_is_out(self) -> None:
        later = Later()
        ours, wire = serving(later)
        wire.exchange(get(b"/page"))
        ours.site.stopping = True
        for door in list(ours.site.doors):
            door.end()
        later.requests[0].finish()
        assert status(wire.exchange(b"")) == 200
        assert wire.ended

    @pytest.mark.parametrize("sent", [b"", get(b"/page")], ids=["nothing asked yet", "answered"])
    def test_of_the_daemon_is_at_once_for_who_waits_for_nothing(self, sent: bytes) -> None:
        later = Later()
        ours, wire = serving(later)
        if sent:
            wire.send(sent)
            later.requests[0].write(b"hello")
            later.requests[0].finish()
            assert wire.exchange(b"").endswith(b"hello\r\n0\r\n\r\n")
        for door in list(ours.site.doors):
            door.end()
        wire.serve()
        wire.read()
        assert (wire.ended, ours.site.doors) == (True, set())

    def test_is_not_for_who_has_not_taken_the_answer(self) -> None:
        ours, wire = serving(Big())
        wire.send(get(b"/page"))
        (door,) = ours.site.doors
        door.end()
        assert ours.site.doors == {door}
        assert len(wire.exchange(b"")) > 24 * MIB
        assert wire.ended

    def test_is_seen_although_reading_was_paused(self) -> None:
        later = Later()
        ours, wire = serving(later)
        wire.exchange(get(b"/page", b"Connection: close"))
        wire.push(get() * 500_000)
        later.requests[0].finish()
        wire.exchange(b"")
        wire.close()
        assert ours.site.doors == set()
