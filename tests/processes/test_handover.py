"""A worker passes connections on to the owner, unless nothing can be passed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.address import IPv4Address

from wsd.head import Refused
from wsd.processes.handover import Passing

ADDRESS = IPv4Address("TCP", "127.0.0.1", 1)


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
