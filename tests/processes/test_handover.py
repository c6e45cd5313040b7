"""A worker passes a connection on to the owner, with what is known about the client, unless nothing can be passed."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.address import IPv4Address

from tests.processes.proxied import FACTS, ProxiedDoors
from tests.wire import Daemon, Wire
from wsd.head import Refused
from wsd.processes.channel import ChannelMessage
from wsd.processes.handover import Passing, Receiving
from wsd.protocols.echo import EchoFactory
from wsd.web.door import Doors

ADDRESS = IPv4Address("TCP", "127.0.0.1", 1)
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


class FullChannel:
    """A channel that cannot duplicate a descriptor."""

    isOpen = True

    def send(self, *_: Any) -> None:
        raise OSError(24, "Too many open files")


@pytest.fixture
def passing() -> Passing:
    return Passing(lambda transport: None, lambda: None)


def test_without_the_owner_a_request_is_refused(passing: Passing) -> None:
    with pytest.raises(Refused, match="is starting again"):
        passing.check()


@pytest.mark.parametrize("unsent", [0, 1], ids=["by descriptor", "by relay"])
def test_without_descriptors_a_request_is_refused(passing: Passing, unsent: int) -> None:
    passing.owner = FullChannel()  # type: ignore[assignment]
    passing.check()
    wire = SimpleNamespace(unsent=unsent, fileno=lambda: 0)
    transport = SimpleNamespace(getPeer=lambda: ADDRESS, getHost=lambda: ADDRESS, wire=wire)
    with pytest.raises(Refused, match="no descriptors left") as refused:
        passing.passOn(transport, b"GET / HTTP/1.1\r\n\r\n")
    assert refused.value.status == 503
