"""One message for many connections at once, on each plane."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from tests import wire
from tests.wire import Client, Daemon
from wsd.connection import Connection, Factory
from wsd.frames import PLANES


class Everyone(Connection):
    """A message goes to all others; one that begins with "me" is answered, too, and with "end" ends the others."""

    factory: EveryoneFactory

    def opened(self) -> None:
        self.factory.frames = [each.frames for each in self.factory.connections]

    def received(self, payload: bytes, isBinary: bool) -> None:
        factory = self.factory
        frames = list(factory.frames) if payload.startswith(b"other list") else factory.frames
        factory.plane.sendAll(frames, factory.prepare(payload, isBinary), self.frames)
        if payload.startswith(b"me"):
            self.send(b"you " + payload, isBinary)
        if payload == b"end":
            for each in factory.connections - {self}:
                each.close(1000, "enough")


class Echoing(Everyone):
    """A message goes to all, and is answered as well."""

    def received(self, payload: bytes, isBinary: bool) -> None:
        factory = self.factory
        factory.plane.sendAll(factory.frames, factory.prepare(payload, isBinary), None)
        self.send(b"(%b)" % payload, isBinary)


class EveryoneFactory(Factory):
    connection = Everyone
    frames: list[Any]


@pytest.fixture(params=PLANES)
def daemon(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    monkeypatch.setattr(wire, "PLANE", PLANES[request.param])
    return Daemon({"/": EveryoneFactory})


def heard(client: Client) -> list[str | bytes]:
    client.exchange()
    messages = client.messages()
    client.frames.clear()
    return messages


def sayTogether(client: Client, *messages: str) -> None:
    """Send several messages as one piece."""
    for message in messages:
        client.protocol.send_text(message.encode())
    client.exchange()


def deflating(daemon: Daemon) -> Client:
    return daemon.open(extensions=[ClientPerMessageDeflateFactory()])


@pytest.mark.parametrize("opens", [Daemon.open, deflating])
def test_all_others_get_it(daemon: Daemon, opens: Callable[[Daemon], Client]) -> None:
    sender, *others = (opens(daemon) for _ in range(4))
    for message in ("small", "large" * 100, "very large" * 10_000):
        sender.say(message)
        assert [heard(each) for each in others] == [[message]] * 3
        assert heard(sender) == []


@pytest.mark.parametrize("opens", [Daemon.open, deflating])
def test_what_is_said_together_comes_in_order(daemon: Daemon, opens: Callable[[Daemon], Client]) -> None:
    sender, other = opens(daemon), opens(daemon)
    messages = [f"{number} " * size for number, size in enumerate((1, 100, 2, 30_000, 3, 200))]
    sayTogether(sender, *messages)
    assert heard(other) == messages


def test_a_message_of_its_own_comes_in_its_place(daemon: Daemon) -> None:
    sender, other = daemon.open(), daemon.open()
    sayTogether(sender, "a", "me", "b", "c")
    assert heard(sender) == ["you me"]
    assert heard(other) == ["a", "me", "b", "c"]


def test_so_does_a_message_to_another_list(daemon: Daemon) -> None:
    sender, other = daemon.open(), daemon.open()
    messages = ["a", "b", "other list 1", "other list 2", "c"]
    sayTogether(sender, *messages)
    assert heard(other) == messages


def test_a_sender_may_be_among_those_who_get_it(daemon: Daemon) -> None:
    class EchoingFactory(EveryoneFactory):
        connection = Echoing

    daemon = Daemon({"/": EchoingFactory})
    sender, other = daemon.open(), daemon.open()
    sayTogether(sender, "a", "b", "c")
    assert heard(sender) == ["a", "(a)", "b", "(b)", "c", "(c)"]
    assert heard(other) == ["a", "b", "c"]


def test_a_close_comes_behind(daemon: Daemon) -> None:
    sender, other = daemon.open(), daemon.open()
    sayTogether(sender, "a", "b", "end", "c")
    assert heard(other) == ["a", "b", "end"]
    assert other.closeCode == 1000


def test_who_is_gone_meanwhile_is_left_out(daemon: Daemon) -> None:
    sender, gone, other = (daemon.open() for _ in range(3))
    gone.wire.reset()
    sayTogether(sender, "a", "b")
    assert heard(other) == ["a", "b"]


def test_messages_of_one_read_leave_as_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled plane sends nothing before the last of them."""
    monkeypatch.setattr(wire, "PLANE", PLANES["_fast"])
    sent = []

    class Watched(Everyone):
        def received(self, payload: bytes, isBinary: bool) -> None:
            super().received(payload, isBinary)
            sent.append(sum(each.frames.sent for each in self.factory.connections) - before)

    class WatchedFactory(EveryoneFactory):
        connection = Watched

    daemon = Daemon({"/": WatchedFactory})
    sender, other = daemon.open(), daemon.open()
    before = sum(each.frames.sent for each in daemon.connections)
    sayTogether(sender, "a", "b", "c")
    assert sent == [0, 0, 9]
    assert heard(other) == ["a", "b", "c"]


def test_it_is_counted(daemon: Daemon) -> None:
    sender, *_ = (daemon.open() for _ in range(4))
    sayTogether(sender, "abc", "de")
    traffic = daemon.factories["/"].counters.traffic
    assert (traffic.messagesOut, traffic.bytesOut) == (6, 15)


class TestGathering:
    """Several messages of the server's own to the same connections."""

    @staticmethod
    def sendAll(daemon: Daemon, *messages: str) -> None:
        factory = daemon.factories["/"]
        for message in messages:
            factory.plane.sendAll(factory.frames, factory.prepare(message.encode(), False), None)

    @pytest.mark.parametrize("opens", [Daemon.open, deflating])
    def test_they_come_in_order(self, daemon: Daemon, opens: Callable[[Daemon], Client]) -> None:
        clients = [opens(daemon) for _ in range(3)]
        messages = [f"{number} " * size for number, size in enumerate((1, 100, 2, 30_000, 3, 200))]
        with daemon.factories["/"].plane.gathering():
            self.sendAll(daemon, *messages)
        assert [heard(each) for each in clients] == [messages] * 3

    def test_a_message_to_one_of_them_comes_in_its_place(self, daemon: Daemon) -> None:
        one, other = daemon.open(), daemon.open()
        mine = next(each for each in daemon.connections if each.frames is daemon.factories["/"].frames[0])
        with daemon.factories["/"].plane.gathering():
            self.sendAll(daemon, "a", "b")
            mine.send(b"for one", False)
            self.sendAll(daemon, "c")
        assert sorted([heard(one), heard(other)], key=len) == [["a", "b", "c"], ["a", "b", "for one", "c"]]

    def test_they_leave_when_it_fails_as_well(self, daemon: Daemon) -> None:
        client = daemon.open()
        gathering = daemon.factories["/"].plane.gathering()
        with suppress(KeyError), gathering:
            self.sendAll(daemon, "a")
            raise KeyError
        assert heard(client) == ["a"]
        self.sendAll(daemon, "b")
        assert heard(client) == ["b"]

    def test_they_leave_as_one_write_at_the_end_of_the_outermost(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """In the compiled plane, which sends nothing before, unless there is much of it."""
        monkeypatch.setattr(wire, "PLANE", PLANES["_fast"])
        daemon = Daemon({"/": EveryoneFactory})
        client = daemon.open()
        [connection] = daemon.connections
        frames, gathering = connection.frames, connection.factory.plane.gathering
        before = frames.sent
        with gathering():
            self.sendAll(daemon, "a", "b")
            with gathering():
                self.sendAll(daemon, "c")
            assert frames.sent == before
        assert frames.sent == before + 9
        with gathering():
            self.sendAll(daemon, *["x" * 1000] * 64)
            assert frames.sent == before + 9
            self.sendAll(daemon, *["x" * 1000] * 2)
            assert frames.sent > 65_536
        assert heard(client) == ["a", "b", "c", *["x" * 1000] * 66]

    def test_while_a_read_is_handled_they_leave_with_what_answers_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(wire, "PLANE", PLANES["_fast"])

        class Gathered(Everyone):
            def received(self, payload: bytes, isBinary: bool) -> None:
                with self.factory.plane.gathering():
                    super().received(payload, isBinary)

        class GatheredFactory(EveryoneFactory):
            connection = Gathered

        daemon = Daemon({"/": GatheredFactory})
        sender, other = daemon.open(), daemon.open()
        sayTogether(sender, "a", "me", "b")
        assert heard(sender) == ["you me"]
        assert heard(other) == ["a", "me", "b"]
