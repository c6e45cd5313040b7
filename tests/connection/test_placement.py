"""Which of several workers may serve a route, as its protocol and its options say."""

from __future__ import annotations

from typing import Any

import pytest

from wsd.config import parse
from wsd.connection import Factory, Placement
from wsd.protocols import load, optionsOf
from wsd.service import placementOf


def placed(keys: str) -> Placement:
    return placementOf(parse(f'[route."/x/*"]\n{keys}', optionsOf).routes["/x/*"])


@pytest.mark.parametrize(
    ("keys", "placement"),
    [
        ('protocol = "echo"', Placement.free),
        ('protocol = "describe"', Placement.free),
        ('protocol = "topics"', Placement.shared),
        ('protocol = "topics"\nbackend = "redis://localhost/0"', Placement.free),
        ('protocol = "topics"\nbackend = "file"', Placement.pinned),
        ('protocol = "canvas"', Placement.shared),
        ('protocol = "yjs"', Placement.shared),
        ('protocol = "blob"', Placement.pinned),
        ('protocol = "xmpp"', Placement.pinned),
        ('protocol = "soap"', Placement.free),
        ('protocol = "soap"\nupstream = "https://example.com/service"', Placement.free),
        ('protocol = { "" = "echo", xmpp = "xmpp", soap = "soap" }', Placement.pinned),
        ('protocol = { "" = "echo", soap = "soap" }', Placement.free),
    ],
)
def test_a_route_is_where_the_strictest_of_its_protocols_is(keys: str, placement: Placement) -> None:
    assert placed(keys) is placement


def test_a_protocol_that_says_nothing_is_shared() -> None:
    class Third(Factory):
        pass

    assert Third.placementFor(None) is Placement.shared


@pytest.mark.parametrize("name", ["echo", "describe", "soap", "topics"])
def test_a_subclass_must_say_it_again_as_it_may_add_state(name: str) -> None:
    parent: Any = load(name)
    options = parse(f'[route."/x/*"]\nprotocol = "{name}"', optionsOf).routes["/x/*"].options[name]
    child: Any = type("Child", (parent,), {})
    assert child.placementFor(options) is not Placement.free
