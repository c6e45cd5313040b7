"""Messages and descriptors between two processes: both ends of a socket pair here, and the test is the reactor."""

from __future__ import annotations

import errno
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from wsd.processes import channel as module
from wsd.processes.channel import MAX_DESCRIPTORS, ChannelMessage, ProcessChannel


class Turns(Clock):
    """A reactor that reads and writes when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[Any] = set()
        self.writers: set[Any] = set()
        self.addReader, self.addWriter = self.readers.add, self.writers.add
        self.removeReader, self.removeWriter = self.readers.discard, self.writers.discard

    def run(self, turns: int = 200) -> None:
        """As the reactor: until nothing more happens, or for some turns."""
        for _ in range(turns):
            for each in list(self.writers):
                each.doWrite()
            for each in list(self.readers):
                reason = each.doRead()
                if reason is not None:
                    self.removeReader(each)
                    self.removeWriter(each)
                    each.connectionLost(Failure(reason))


class End:
    """A channel that keeps what it receives. `dropped` has the messages that came without their descriptors."""

    def __init__(self, turns: Turns, connected: socket.socket, toleratesLoss: bool = False) -> None:
        self.messages: list[ChannelMessage] = []
        self.dropped: list[ChannelMessage] = []
        self.reasons: list[Failure] = []
        self.channel = ProcessChannel(
            turns,
            connected,
            self.messages.append,
            self.reasons.append,
            self.dropped.append if toleratesLoss else None,
        )


class Pair:
    """Two ends that are connected."""

    def __init__(self) -> None:
        self.turns = Turns()
        near, far = socket.socketpair()
        self.near, self.far = End(self.turns, near), End(self.turns, far)

    def close(self) -> None:
        for end in (self.near, self.far):
            end.channel.close()
            for message in end.messages:
                message.closeDescriptors()


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()


@contextmanager
def noDescriptorsLeft() -> Iterator[None]:
    """Nothing can be opened meanwhile."""
    next_ = os.open("/dev/null", os.O_RDONLY)
    os.close(next_)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def openDescriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


class TestMessages:
    @staticmethod
    def hasFired(deferred: Deferred[None]) -> bool:
        return bool(deferred.called)

    def test_a_message_arrives_with_its_kind_fields_and_body(self, pair: Pair) -> None:
        pair.near.channel.send("reload", {"worker": 1, "name": "é"}, b"\0\xff")
        pair.turns.run()
        assert pair.far.messages == [ChannelMessage("reload", {"worker": 1, "name": "é"}, b"\0\xff", ())]

    def test_messages_arrive_in_order_and_both_ways(self, pair: Pair) -> None:
        for number in range(500):
            pair.near.channel.send("count", {"number": number})
            pair.far.channel.send("answer", {"number": number})
        pair.turns.run()
        assert [message.fields["number"] for message in pair.far.messages] == list(range(500))
        assert [message.fields["number"] for message in pair.near.messages] == list(range(500))

    def test_a_large_body_is_sent_as_the_other_reads(self, pair: Pair) -> None:
        body = os.urandom(5_000_000)
        pair.near.channel.send("state", {}, body)
        assert 0 < pair.near.channel.unsent < len(body) + 100
        flushed = pair.near.channel.flush()
        assert not self.hasFired(flushed), "the other process has not read yet"
        pair.near.channel.send("end", {})
        pair.turns.run()
        assert [message.body for message in pair.far.messages] == [body, b""]
        assert self.hasFired(flushed)
        assert pair.near.channel.unsent == 0
        assert pair.near.channel.flush().called

    def test_a_field_of_the_senders_does_not_replace_the_kind(self, pair: Pair) -> None:
        pair.near.channel.send("a", {"kind": "b"})
        pair.turns.run()
        assert pair.far.messages[0].kind == "a"


class TestDescriptors:
    def test_a_descriptor_arrives_open_and_is_not_inheritable(self, pair: Pair) -> None:
        readable, writable = os.pipe()
        pair.near.channel.send("pipe", {}, b"", [writable])
        os.close(writable)
        pair.turns.run()
        (received,) = pair.far.messages[0].descriptors
        assert not os.get_inheritable(received)
        os.write(received, b"hello")
        assert os.read(readable, 5) == b"hello"
        os.close(readable)

    def test_each_message_has_its_own_descriptors_in_order(self, pair: Pair) -> None:
        files = [os.memfd_create(f"file{number}") for number in range(6)]
        for number in range(3):
            pair.near.channel.send("files", {}, b"x" * 300_000 * number, files[:number])
        pair.turns.run()
        assert [len(message.descriptors) for message in pair.far.messages] == [0, 1, 2]
        for message in pair.far.messages:
            names = [os.readlink(f"/proc/self/fd/{descriptor}") for descriptor in message.descriptors]
            assert names == [os.readlink(f"/proc/self/fd/{descriptor}") for descriptor in files[: len(names)]]
        for descriptor in files:
            os.close(descriptor)

    def test_descriptors_that_wait_survive_the_senders_close(self, pair: Pair) -> None:
        file = os.memfd_create("waits")
        os.write(file, b"kept")
        pair.near.channel.send("first", {}, bytes(2_000_000))
        pair.near.channel.send("file", {}, b"", [file])
        os.close(file)
        pair.turns.run()
        assert os.pread(pair.far.messages[1].descriptors[0], 4, 0) == b"kept"

    @pytest.mark.parametrize("toleratesLoss", [False, True], ids=["fatal", "tolerated"])
    def test_those_that_find_no_room_end_the_channel_unless_the_receiver_can_do_without(
        self, toleratesLoss: bool
    ) -> None:
        turns = Turns()
        near, far = socket.socketpair()
        sender, receiver = End(turns, near), End(turns, far, toleratesLoss)
        file = os.memfd_create("one")
        sender.channel.send("first", {"number": 1}, b"body", [file, file])
        with noDescriptorsLeft(), capturedLogs() as events:
            turns.run()
        sender.channel.send("second", {}, b"", [file])
        turns.run()
        if toleratesLoss:
            assert receiver.dropped == [ChannelMessage("first", {"number": 1}, b"body")]
            assert [message.kind for message in receiver.messages] == ["second"]
            assert os.readlink(f"/proc/self/fd/{receiver.messages[0].descriptors[0]}").startswith("/memfd:one")
            assert events == []
        else:
            assert "raise LimitNOFILE" in str(receiver.reasons[0].value)
            assert [event["event"] for event in events] == ["channel.broken"]
        for end in (sender, receiver):
            end.channel.close()
            for message in end.messages:
                message.closeDescriptors()
        os.close(file)

    def test_are_sent_later_if_too_many_are_on_their_way(self, pair: Pair) -> None:
        class Busy:
            """The socket, for which the kernel has no room."""

            def __init__(self, real: Any) -> None:
                self.real = real

            def sendmsg(self, *_: Any) -> int:
                pair.near.channel._socket = self.real
                raise OSError(errno.ETOOMANYREFS, "Too many references: cannot splice")

        file = os.memfd_create("later")
        pair.near.channel._socket = Busy(pair.near.channel._socket)  # type: ignore[assignment]
        pair.near.channel.send("file", {}, b"", [file])
        pair.near.channel.send("next", {})
        os.close(file)
        pair.turns.run()
        assert pair.far.messages == []
        pair.turns.advance(1)
        pair.turns.run()
        assert [(message.kind, len(message.descriptors)) for message in pair.far.messages] == [("file", 1), ("next", 0)]

    def test_many_are_sent_in_one_message(self, pair: Pair) -> None:
        file = os.memfd_create("many")
        pair.near.channel.send("files", {}, b"", [file] * MAX_DESCRIPTORS)
        pair.turns.run()
        assert len(set(pair.far.messages[0].descriptors)) == MAX_DESCRIPTORS
        os.close(file)

    def test_none_is_left_open_after_the_end(self) -> None:
        before = openDescriptors()
        pair = Pair()
        file = os.memfd_create("leak")
        pair.near.channel.send("body", {}, bytes(2_000_000))
        pair.near.channel.send("file", {}, b"", [file])
        pair.near.channel.close()
        # The beginning of a message whose rest never comes:
        pair.far.channel.close()
        os.close(file)
        assert openDescriptors() == before

    def test_those_of_an_incomplete_message_are_closed(self) -> None:
        before = openDescriptors()
        turns = Turns()
        near, far = socket.socketpair()
        end = End(turns, far)
        file = os.memfd_create("half")
        socket.send_fds(near, [b"\0\0\0\x10"], [file])
        os.close(file)
        near.close()
        turns.run()
        assert end.reasons[0].check(error.ConnectionDone)
        assert openDescriptors() == before


class TestLimits:
    def test_a_message_over_a_limit_is_refused_by_its_sender(self, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MAX_BODY", 100)
        pair.near.channel.send("fits", {}, bytes(100))
        with pytest.raises(ValueError, match="over the limits"):
            pair.near.channel.send("large", {}, bytes(101))
        with pytest.raises(ValueError, match="descriptors"):
            pair.near.channel.send("many", {}, b"", [0] * (MAX_DESCRIPTORS + 1))
        pair.turns.run()
        assert [message.kind for message in pair.far.messages] == ["fits"]

    def test_a_process_that_does_not_read_ends_the_channel(self, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MAX_UNSENT", 1_000_000)
        pair.near.channel.send("a", {}, bytes(900_000))
        pair.near.channel.send("b", {}, bytes(900_000))
        assert pair.near.reasons[0].check(error.ConnectionLost)
        assert not pair.near.channel.isOpen
        pair.near.channel.send("nothing happens", {})

    @pytest.mark.parametrize(
        "data",
        [
            b"\xff" * 10,
            b"\0\0\0\x02\0\0\0\0\0\0[]",
            b"\0\0\0\x02\0\0\0\0\0\0{}",
            b"\0\0\0\x02\0\0\0\0\0\0{x",
            b'\0\0\0\x0a\0\0\0\0\0\0{"kind":1}',
            b'\0\0\0\x0c\0\0\0\0\0\x01{"kind":"a"}',
        ],
        ids=["lengths", "array", "no kind", "no JSON", "kind is a number", "descriptor missing"],
    )
    def test_what_is_no_message_ends_the_channel(self, data: bytes) -> None:
        turns = Turns()
        near, far = socket.socketpair()
        end = End(turns, far)
        near.sendall(data)
        turns.run()
        assert end.messages == []
        assert end.reasons[0].check(error.ConnectionLost)
        assert "message" in str(end.reasons[0].value)
        near.close()


class TestEnds:
    def test_the_other_end_is_told_of_a_close_after_what_was_sent(self, pair: Pair) -> None:
        pair.near.channel.send("last", {})
        pair.near.channel.close()
        pair.turns.run()
        assert [message.kind for message in pair.far.messages] == ["last"]
        assert len(pair.far.reasons) == 1
        assert pair.near.reasons == []
        assert not pair.far.channel.isOpen

    def test_what_waits_for_a_flush_is_told_of_the_end(self, pair: Pair) -> None:
        pair.near.channel.send("large", {}, bytes(2_000_000))
        failures: list[Failure] = []
        pair.near.channel.flush().addErrback(failures.append)
        pair.near.channel.close()
        pair.near.channel.flush().addErrback(failures.append)
        assert [failure.type for failure in failures] == [error.ConnectionLost] * 2

    def test_all_that_a_process_has_sent_before_its_end_can_be_read(self, pair: Pair) -> None:
        """A crash writes more to the log than one read returns."""
        pair.near.channel.send("first", {}, bytes(100_000))
        pair.near.channel.send("last", {})
        pair.near.channel._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_000_000)
        pair.near.channel.send("log", {}, bytes(1_000_000))
        pair.near.channel._socket.shutdown(socket.SHUT_RDWR)
        pair.far.channel.readRest()
        assert [message.kind for message in pair.far.messages][:2] == ["first", "last"]
        pair.far.channel.close()
        pair.far.channel.readRest()

    def test_a_receiver_that_closes_gets_no_more_messages(self) -> None:
        turns = Turns()
        near, far = socket.socketpair()
        sender = End(turns, near)
        kinds: list[str] = []

        def received(message: ChannelMessage) -> None:
            kinds.append(message.kind)
            receiver.close()

        receiver = ProcessChannel(turns, far, received, lambda reason: None)
        sender.channel.send("first", {})
        sender.channel.send("second", {})
        turns.run()
        assert kinds == ["first"]
        assert sender.reasons
