"""docs/topics.md is enough to write a client: one that was written from it alone loses and doubles nothing."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.protocols.topics.pageclient import PageClient
from tests.protocols.topics.routes import daemonOf, heard
from tests.protocols.topics.test_enveloped import enveloped
from tests.wire import Client, Daemon


class Talk:
    """Clients of one daemon. A connection may be cut at any time, with what is on its way."""

    def __init__(self, daemon: Daemon, *names: str) -> None:
        self._daemon = daemon
        self.clients = [PageClient(name) for name in names]
        self._wires: dict[str, Client] = {}
        for client in self.clients:
            self.connect(client)

    def connect(self, client: PageClient) -> None:
        wire = self._wires[client.name] = enveloped(self._daemon)
        client.send = self._sender(wire)
        client.connected()

    @staticmethod
    def _sender(wire: Client) -> Callable[[str | bytes], object]:
        return lambda message: (
            wire.protocol.send_text(message.encode())
            if isinstance(message, str)
            else wire.protocol.send_binary(message)
        )

    def cut(self, client: PageClient) -> None:
        """What it has sent arrives, but nothing more comes to it; then the connection is gone."""
        wire = self._wires.pop(client.name)
        wire.exchange()
        wire.wire.close()
        client.send = lambda _: None

    def pump(self) -> None:
        """Move everything."""
        for _ in range(2):
            for client in self.clients:
                for message in heard(self._wires[client.name]) if client.name in self._wires else ():
                    client.received(message)


@pytest.mark.parametrize("seed", range(5))
def test_it_loses_and_doubles_nothing_however_often_it_is_cut_off(seed: int) -> None:
    drawn = random.Random(seed)
    talk = Talk(daemonOf(history_count=1000), "ann", "bob")
    ann, bob = talk.clients
    for client in talk.clients:
        client.subscribe("room")
    talk.pump()
    sent: dict[str, list[object]] = {"ann": [], "bob": []}
    for number in range(60):
        client = drawn.choice(talk.clients)
        payload = drawn.choice([f"{client.name} {number}", {"n": number, "by": client.name}, bytes([number])])
        client.publish("room", payload)
        sent[client.name].append(payload)
        if drawn.random() < 0.3:
            talk.cut(client)
            talk.connect(client)
        elif drawn.random() < 0.5:
            talk.pump()
    talk.pump()
    assert (ann.payloads, bob.payloads) == (sent["bob"], sent["ann"])
    assert ann.gaps == bob.gaps == []


def test_it_is_told_of_a_gap_of_members_and_of_errors() -> None:
    talk = Talk(daemonOf(history_count=1), "ann", "bob")
    ann, bob = talk.clients
    ann.subscribe("room")
    bob.enter("room", {"name": "Bob"})
    talk.pump()
    assert list(ann.members.values()) == [{"name": "Bob"}]
    talk.cut(ann)
    for number in range(3):
        bob.publish("room", number)
    refused = bob.publish("room/+", 1)
    talk.pump()
    talk.connect(ann)
    talk.pump()
    assert (ann.gaps, ann.payloads) == (["room"], [2])
    assert bob.errors == {refused: "bad_topic"}
    talk.cut(bob)
    talk.pump()
    assert ann.members == {}
