"""A connection that a worker hands over to the owner: what is known about the client goes with it."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace
from typing import Any

from tests.processes.proxied import FACTS, ProxiedDoors
from tests.wire import Daemon, Wire
from wsd.processes.channel import ChannelMessage
from wsd.processes.handover import Passing, Receiving
from wsd.protocols.echo import EchoFactory
from wsd.web.door import Doors

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


def handOver(wire: Wire, owner: Daemon) -> Any:
    """Hand the connection over with the bytes that were read, and return its transport there."""
    sent: list[ChannelMessage] = []

    def send(kind: str, fields: Any, body: bytes, descriptors: list[int]) -> None:
        sent.append(ChannelMessage(kind, json.loads(json.dumps(fields)), body, tuple(map(os.dup, descriptors))))

    site = wire.daemon.site
    passing = Passing(site.tlsOf, lambda: None)
    passing.owner = SimpleNamespace(isOpen=True, send=send)  # type: ignore[assignment]
    assert passing.passOn(wire.door.transport, HEAD) is None
    Receiving(Doors(owner.site), lambda: owner.reactor).received(sent[0])
    (door,) = owner.site.doors
    return door.transport


def test_what_a_proxy_says_goes_with_it_and_the_descriptor_too() -> None:
    daemon, owner = Daemon({"/": EchoFactory}), Daemon({"/": EchoFactory})
    transport = handOver(Wire(daemon, factory=ProxiedDoors(daemon.site)), owner)
    assert transport.facts == FACTS
    assert (transport.via, transport.getPeer().host) == ("10.0.0.1", "203.0.113.7")
    assert owner.site.tlsOfClient(transport) == FACTS.tls
    transport.abortConnection()


def test_without_a_proxy_nothing_is_said() -> None:
    daemon, owner = Daemon({"/": EchoFactory}), Daemon({"/": EchoFactory})
    transport = handOver(Wire(daemon), owner)
    assert (transport.facts.tls, transport.facts.id, transport.via) == (None, None, None)
    transport.abortConnection()
