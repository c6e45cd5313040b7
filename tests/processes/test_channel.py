"""Messages and descriptors between two processes: both ends of a socket pair here, and the test is the reactor."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from wsd.processes import channel as module
from wsd.processes.channel import MAX_DESCRIPTORS, ChannelMessage, ProcessChannel


class Turns:
    """A reactor that reads and writes when the test says so."""

    def __init__(self) -> None:
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
    """A channel that keeps what it receives."""

    def __init__(self, turns: Turns, connected: socket.socket) -> None:
        self.messages: list[ChannelMessage] = []
        self.reasons: list[Failure] = []
        self.channel = ProcessChannel(turns, connected, self.messages.append, self.reasons.append)


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
