"""A worker in memory: what it tells its parent, and what it does if it loses the owner or a descriptor."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from wsd.config import Config, parse
from wsd.head import Refused, parseHead
from wsd.processes.channel import ChannelMessage
from wsd.processes.worker import Worker
from wsd.protocols import optionsOf

TEXT = 'workers = 2\nbuilt_in = false\n[route."/echo"]\nprotocol = "echo"\n'
TEXT += '[route."/topics/*"]\nprotocol = "topics"\n'


class Sent:
    """The channel to the parent, which keeps what it is sent."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, dict[str, Any]]] = []

    def send(self, kind: str, fields: dict[str, Any], *_: Any) -> None:
        self.messages.append((kind, fields))

    def take(self) -> list[str]:
        """The kinds of the messages since the last look."""
        messages, self.messages = self.messages, []
        return [kind for kind, _ in messages]


class Started:
    """A worker that is not the owner. Its routes start when `reactor` runs."""

    def __init__(self) -> None:
        self.reactor: Any = MemoryReactorClock()
        self.worker = Worker(self.reactor, 1, 2, self.read(), self.read, [])
        self.channel = Sent()
        self.worker.channel = self.channel  # type: ignore[assignment]
        self.worker.daemon.startService()

    def read(self) -> Config:
        return parse(TEXT, optionsOf)

    def connectOwner(self) -> socket.socket:
        """Give it a channel to the owner. Returns the owner's end."""
        near, far = socket.socketpair()
        self.worker.received(ChannelMessage("peer", {}, b"", (near.detach(),)))
        return far


@pytest.fixture
def ours() -> Iterator[Started]:
    started = Started()
    yield started
    started.worker.daemon.stopService()
    started.reactor.advance(5)


class TestSignsOfLife:
    def test_come_from_the_beginning_as_routes_may_take_long_to_start(self, ours: Started) -> None:
        ours.reactor.pump([1, 1, 1])
        assert ours.channel.take() == ["alive"] * 3

    def test_come_with_the_figures_once_it_serves(self, ours: Started) -> None:
        ours.reactor.run()
        assert ours.channel.take() == ["serving", "told"]
        ours.reactor.advance(1)
        assert ours.channel.take() == ["alive", "told"]

    def test_do_not_depend_on_protocols(self, ours: Started, monkeypatch: pytest.MonkeyPatch) -> None:
        ours.reactor.run()
        ours.channel.take()

        def fail() -> None:
            raise RuntimeError("ready() of a protocol has failed")

        monkeypatch.setattr(ours.worker.daemon, "readiness", fail)
        with capturedLogs() as events:
            ours.reactor.pump([1, 1])
        assert ours.channel.take() == ["alive", "alive"]
        assert [event["event"] for event in events] == ["worker.mute"] * 2

    def test_are_no_answer_to_a_question(self, ours: Started) -> None:
        """What a worker has told before it was asked may not contain what the client has just done."""
        ours.reactor.run()
        ours.reactor.advance(1)
        ours.worker.received(ChannelMessage("ask", {}))
        answers = [fields["isAnswer"] for kind, fields in ours.channel.messages if kind == "told"]
        assert answers == [False, False, True]


class TestTheChannelToTheOwner:
    def test_is_asked_for_again_until_there_is_one(self, ours: Started) -> None:
        far = ours.connectOwner()
        ours.worker._passing.check()
        owner = ours.worker._passing.owner
        assert owner is not None
        owner.connectionLost(Failure(ConnectionDone()))
        with pytest.raises(Refused, match="is starting again"):
            ours.worker._passing.check()
        ours.reactor.pump([1, 1])
        assert ours.channel.take().count("peerless") == 2
        other = ours.connectOwner()
        ours.reactor.pump([1, 1])
        assert "peerless" not in ours.channel.take()
        far.close()
        other.close()


class TestARequest:
    @pytest.mark.parametrize("path", ["/topics/a", "/topics/a/b", "/nothing"])
    def test_for_a_route_of_the_owner_or_for_none_is_passed_on(self, ours: Started, path: str) -> None:
        ours.reactor.run()
        head = parseHead(f"GET {path} HTTP/1.1\r\nHost: localhost".encode())
        assert ours.worker.daemon.site.isElsewhere(head, isMarked=False)


class TestADescriptorThatFindsNoRoom:
    REASON = "this worker has no room for more descriptors; raise LimitNOFILE"

    def lose(self, ours: Started, kind: str, **fields: Any) -> list[tuple[str, dict[str, Any]]]:
        """What a worker says to a message of its parent whose descriptor is lost. The log has it in any case."""
        with capturedLogs() as events:
            ours.worker.dropped(ChannelMessage(kind, fields))
        assert [event["event"] for event in events] == ["worker.full"]
        return ours.channel.messages

    def test_refuses_a_reload(self, ours: Started) -> None:
        assert self.lose(ours, "prepare", listeners=[]) == [("prepared", {"refused": self.REASON})]

    def test_refuses_an_upgrade(self, ours: Started) -> None:
        assert self.lose(ours, "upgrade", question=7) == [("answer", {"refused": self.REASON, "question": 7})]

    def test_leaves_everything_else_as_it_was(self, ours: Started) -> None:
        assert self.lose(ours, "peer") == []


def test_a_worker_that_drains_refuses_an_upgrade(ours: Started) -> None:
    ours.reactor.run()
    ours.channel.take()
    ours.worker.daemon.admit(False)
    near, far = socket.socketpair()
    with near:
        ours.worker.received(ChannelMessage("upgrade", {"question": 7}, b"", (far.detach(),)))
        assert ours.channel.messages == [("answer", {"refused": "worker 1: the daemon is draining", "question": 7})]
        assert near.recv(1) == b"", "the channel to the new worker is closed"
