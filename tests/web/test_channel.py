"""HTTP when it is awkward: resources that are slow, fail or refuse, clients that are slow, greedy or gone."""

from __future__ import annotations

import select
import socket
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from tests.web.test_door import daemon, get, status, upgrade
from tests.wire import Daemon, Wire
from wsd.config import Policies
from wsd.head import Refused
from wsd.policies.timer import GRAIN
from wsd.resources import IBody, IStreamed
from wsd.web.channel import TURN

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


class Counting(Resource):
    """Counts what it has answered, in so many bytes each."""

    isLeaf = True

    def __init__(self, size: int = 1) -> None:
        super().__init__()
        self.answered = 0
        self.size = size

    def render_GET(self, request: Any) -> bytes:
        self.answered += 1
        return bytes(self.size)


class Producer:
    """Produces nothing, and says when it is stopped."""

    isStopped = False

    def stopProducing(self) -> None:
        self.isStopped = True


class Failing(Resource):
    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        raise RuntimeError("render fails")


@implementer(IStreamed)
class Chunked(Resource):
    """Counts in how many pieces a body has come."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.pieces = 0

    def bodyOf(self, request: Any) -> Any:
        return self

    def received(self, data: bytes) -> None:
        self.pieces += 1

    def ended(self) -> None:
        pass

    def lost(self) -> None:
        pass

    def render_POST(self, request: Any) -> bytes:
        return b"%d" % self.pieces


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
            wire.reset()
        assert later.lost == 1
        assert failures(events) == []
        assert ours.site.doors == set()

    def test_that_answers_whom_nobody_can_tell_from_one_who_listens_leaves_nothing(self) -> None:
        later = Later()
        ours, wire = serving(later)
        wire.exchange(get(b"/page"))
        with capturedLogs() as events:
            wire.close()
            later.requests[0].write(b"at last")
            later.requests[0].finish()
            wire.serve()
        assert failures(events) == []
        assert ours.site.doors == set()
        assert ours.admission.connections == 0

    def test_may_do_all_it_does_for_a_client_that_is_gone(self) -> None:
        later, producer = Later(), Producer()
        _ours, wire = serving(later)
        wire.exchange(get(b"/page"))
        wire.reset()
        (request,) = later.requests
        gone: list[object] = []
        with capturedLogs() as events:
            request.notifyFinish().addErrback(gone.append)
            request.hold()
            request.release()
            request.setHeader(b"X-A", b"a")
            request.registerProducer(producer, True)
            request.write(b"at last")
            request.unregisterProducer()
            request.refuse(Refused(404, "nothing"))
            request.finish()
        assert producer.isStopped
        assert len(gone) == 1
        assert failures(events) == []

    def test_that_fails_for_a_client_that_is_gone_is_one_line(self) -> None:
        later = Later()
        _ours, wire = serving(later)
        wire.exchange(get(b"/page"))
        later.requests[0].write(b"half")
        wire.reset()
        with capturedLogs() as events:
            later.requests[0].processingFailed(Failure(RuntimeError("broken")))
        (failure,) = failures(events)
        assert "id" in failure

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


class TestPipelinedRequests:
    """RFC 9112 9.3.2: they are answered in order, one after the other, and others have their turn between."""

    def test_that_come_in_one_read_are_answered_a_few_a_turn(self) -> None:
        counting = Counting()
        _ours, wire = serving(counting)
        wire.socket.send(get(b"/page") * 100)
        wire.transport.doRead()
        assert 0 < counting.answered <= TURN + 1
        assert wire.exchange(b"").count(b"HTTP/1.1 200") == 100

    def test_in_any_pieces_are_answered_once_each(self) -> None:
        counting = Counting()
        _ours, wire = serving(counting)
        wire.chunk = 7
        assert wire.exchange(get(b"/page") * 20).count(b"HTTP/1.1 200") == 20
        assert counting.answered == 20

    def test_wait_while_the_answers_before_are_not_taken(self) -> None:
        counting = Counting(MIB)
        ours, wire = serving(counting)
        wire.push(get(b"/page") * 1000)
        wire.serve()
        assert 0 < counting.answered < 20
        assert wire.transport.unsent <= ours.site.policies.high_water + 2 * MIB
        taken = 0
        while taken < 30 * MIB:
            select.select([wire.socket], [], [], 10)
            taken += len(wire.socket.recv(4 * MIB))
            wire.serve()
        assert counting.answered >= 30

    def test_of_a_client_that_ends_its_half_are_all_answered(self) -> None:
        counting = Counting()
        _ours, wire = serving(counting)
        wire.socket.send(get(b"/page") * 50)
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.exchange(b"").count(b"HTTP/1.1 200") == 50
        assert wire.ended

    def test_of_a_client_that_goes_are_answered_no_more(self) -> None:
        counting = Counting()
        ours, wire = serving(counting)
        wire.socket.send(get(b"/page") * 100)
        wire.transport.doRead()
        wire.transport.connectionLost(Failure(ConnectionLost()))
        ours.reactor.advance(0)
        assert 0 < counting.answered <= TURN + 1
        assert ours.site.doors == set()

    def test_that_break_the_daemon_end_their_connection_with_one_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        counting = Counting()
        ours, wire = serving(counting)
        wire.socket.send(get(b"/page") * 100)
        select.select([wire.transport], [], [], 10)
        wire.transport.doRead()
        monkeypatch.setattr(wire.door._channel, "_begin", None)
        with capturedLogs() as events:
            wire.serve()
        (failure,) = failures(events)
        assert failure["event"] == "connection.error"
        assert ours.site.doors == set()

    def test_leave_others_their_turn(self) -> None:
        counting = Counting()
        ours, wire = serving(counting)
        calm = ours.connect()
        wire.socket.send(get(b"/page") * 100)
        calm.socket.send(get())
        for flooding in (wire, calm):
            select.select([flooding.transport], [], [], 10)
            flooding.transport.doRead()
        select.select([calm.socket], [], [], 10)
        assert status(calm.read()) == 200
        assert counting.answered <= TURN + 1

    def test_behind_bodies_are_answered_too(self) -> None:
        _ours, wire = serving(Chunked())
        post = b"POST /page HTTP/1.1\r\nHost: localhost\r\n"
        requests = (post + b"Content-Length: 4\r\n\r\nbody" + post + TestABodyThatIsRefused.CHUNKED[len(post) :]) * 9
        assert wire.exchange(requests).count(b"HTTP/1.1 200") == 18

    def test_a_body_in_tiny_chunks_is_read_for_a_turn(self) -> None:
        chunked = Chunked()
        _ours, wire = serving(chunked)
        head = b"POST /page HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        wire.socket.send(head + b"1\r\na\r\n" * 20_000)
        wire.transport.doRead()
        assert 0 < chunked.pieces < 4000
        assert wire.exchange(b"0\r\n\r\n").endswith(b"20000")


class TestTheSameHeadAgain:
    """Most clients send the same head with each request of a connection."""

    GET = b"GET /page HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"

    def admitted(self, monkeypatch: pytest.MonkeyPatch, wire: Wire) -> list[bytes]:
        """The heads that are looked at from now on."""
        channel: Any = wire.door._channel
        looked: list[bytes] = []
        admit = channel._admit

        def look(head: bytes, rest: Any) -> Any:
            looked.append(head)
            return admit(head, rest)

        monkeypatch.setattr(channel, "_admit", look)
        return looked

    def test_is_looked_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        counting = Counting()
        _ours, wire = serving(counting)
        wire.exchange(self.GET)
        looked = self.admitted(monkeypatch, wire)
        assert [status(wire.exchange(self.GET)) for _ in range(3)] == [200, 200, 200]
        assert (len(looked), counting.answered) == (1, 4)

    def test_is_another_one_if_a_byte_differs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        _ours, wire = serving(Counting())
        wire.exchange(self.GET)
        looked = self.admitted(monkeypatch, wire)
        other = self.GET.replace(b"*/*", b"*/x")
        for head in (self.GET, other, other, self.GET):
            assert status(wire.exchange(head)) == 200
        assert len(looked) == 3

    def test_is_not_remembered_if_it_is_large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        _ours, wire = serving(Counting())
        large = self.GET.replace(b"*/*", b"x" * 2048)
        wire.exchange(large)
        looked = self.admitted(monkeypatch, wire)
        for _ in range(3):
            assert status(wire.exchange(large)) == 200
        assert len(looked) == 3

    def test_is_refused_if_a_reload_has_taken_its_host_away(self) -> None:
        ours, wire = serving(Counting())
        head = self.GET.replace(b"localhost", b"wsd.example")
        ours.site.configure(ours.site.policies, ("wsd.example",), ours.site.trust)
        assert [status(wire.exchange(head)) for _ in range(3)] == [200, 200, 200]
        ours.site.configure(ours.site.policies, ("other.example",), ours.site.trust)
        assert status(wire.exchange(head)) == 421

    def test_has_a_body_and_an_id_of_its_own_each_time(self) -> None:
        _ours, wire = serving(Chunked())
        head = b"POST /page HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n"
        with capturedLogs() as events:
            answers = wire.exchange((head + b"ab") * 3)
        assert [answers.count(b"\r\n\r\n%d" % count) for count in (1, 2, 3)] == [1, 1, 1]
        assert len({event["id"] for event in events if event.get("event") == "request.answered"}) == 3


class TestABodyThatIsWhole:
    """The body has arrived with the head, so nothing is waited for."""

    POST = b"POST /page HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nab"

    def test_is_answered_by_a_single_write(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Typed(Chunked):
            def render_POST(self, request: Any) -> bytes:
                request.setHeader(b"Content-Type", b"text/plain")
                return super().render_POST(request)

        _ours, wire = serving(Typed())
        written: list[Any] = []
        wire.exchange(self.POST)
        for name in ("write", "writeSequence"):
            monkeypatch.setattr(wire.transport, name, written.append)
        wire.exchange(self.POST)
        (answer,) = written
        assert answer.endswith(b"\r\n\r\n2")

    def test_of_which_the_answer_is_late_waits_as_for_any_other(self) -> None:
        ours, wire = serving(Later())
        due = ours.timer.now + ours.site.policies.http_body_timeout
        wire.exchange(get(b"/page"))
        assert wire.door._ending.due <= due / GRAIN + 2


class TestAClientThatEndsItsHalf:
    """It has said all it has to say; that is no reason to leave it without an answer (RFC 9112 9.6)."""

    @pytest.mark.parametrize("field", [b"Connection: close", b"Connection: keep-alive"])
    def test_gets_an_answer_that_comes_later(self, field: bytes) -> None:
        later = Later()
        ours, wire = serving(later)
        wire.exchange(get(b"/page", field))
        wire.endHalf()
        assert ours.site.doors
        later.requests[0].write(b"at last")
        later.requests[0].finish()
        assert b"at last" in wire.exchange(b"")
        assert wire.ended
        assert later.lost == 0
        assert ours.site.doors == set()

    def test_gets_its_answer_however_often_its_end_is_read(self) -> None:
        later = Later()
        _ours, wire = serving(later)
        wire.socket.send(get(b"/page") * 2)
        wire.endHalf()
        for _ in range(3):
            later.requests[0].hold()
            later.requests[0].release()
            wire.serve()
        for number in range(2):
            later.requests[number].finish()
            wire.serve()
        assert wire.read().count(b"HTTP/1.1 200") == 2
        assert wire.ended

    def test_in_the_midst_of_a_long_answer_gets_the_rest(self) -> None:
        _ours, wire = serving(Big())
        wire.send(get(b"/page"))
        wire.received = wire.socket.recv(MIB)
        wire.endHalf()
        while not wire.ended:
            wire.read()
            wire.serve()
        assert len(wire.received) > 24 * MIB

    def test_gets_a_long_answer_whole(self) -> None:
        _ours, wire = serving(Big())
        wire.socket.send(get(b"/page"))
        wire.socket.shutdown(socket.SHUT_WR)
        wire.serve()
        while not wire.ended:
            wire.read()
            wire.serve()
        assert len(wire.received) > 24 * MIB

    def test_gets_the_refusal_too(self) -> None:
        _ours, wire = serving(Big())
        wire.socket.send(b"nonsense\r\n\r\n")
        wire.socket.shutdown(socket.SHUT_WR)
        assert status(wire.exchange(b"")) == 400
        assert wire.ended

    @pytest.mark.parametrize(
        "request_",
        [b"", get()[:-2], b"POST /page HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbo", get(), upgrade()],
        ids=["without a word", "in a head", "in a body", "after the answer", "as a WebSocket"],
    )
    def test_is_gone_when_nothing_is_owed(self, request_: bytes) -> None:
        ours, wire = serving(Chunked())
        wire.exchange(request_)
        wire.endHalf()
        assert ours.site.doors == set()
        assert ours.admission.connections == 0

    def test_and_is_shown_nothing_of_its_answer_is_dropped(self) -> None:
        later = Later()
        ours, wire = serving(later, stall_timeout=10)
        wire.exchange(get(b"/page"))
        wire.endHalf()
        later.requests[0].write(b"some")
        wire.serve()
        ours.pass_(15)
        assert ours.site.doors
        ours.pass_(15)
        assert ours.site.doors == set()
        assert later.lost == 1

    def test_is_dropped_sooner_where_the_answer_says_so(self) -> None:
        later = Later()
        ours, wire = serving(later)
        wire.exchange(get(b"/page"))
        later.requests[0].patience = 2.0
        wire.endHalf()
        ours.pass_(1)
        assert ours.site.doors
        ours.pass_(2)
        assert later.lost == 1

    def test_and_takes_no_answer_is_dropped(self) -> None:
        ours, wire = serving(Big(), stall_timeout=10)
        wire.send(get(b"/page"))
        wire.endHalf()
        ours.pass_(100)
        assert ours.site.doors == set()


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
