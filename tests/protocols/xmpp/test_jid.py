"""Addresses are prepared as in RFC 6122, and refused if they cannot be."""

from __future__ import annotations

import pytest

from wsd.protocols.xmpp import jid
from wsd.protocols.xmpp.jid import parseJid


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("a@b", "a@b"),
        ("a@b/c", "a@b/c"),
        ("b", "b"),
        ("b/c", "b/c"),
        ("ALICE@Example.COM/Home", "alice@example.com/Home"),
        ("Ünï@bücher.example/😀", "ünï@bücher.example/😀"),
        ("a@b/c@d/e", "a@b/c@d/e"),
        ("a@example.com.", "a@example.com"),
        ("a@[::1]/x", "a@[::1]/x"),
        ("Ａ@b", "a@b"),
    ],
)
def test_an_address_is_prepared(text: str, full: str) -> None:
    assert parseJid(text).full == full


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@b",
        "a@",
        "a@b/",
        "/c",
        "a b@c",
        "a@b c",
        "a@-b",
        'a"@b',
        "a<@b",
        "a@b@c",
        "a@b/\x00",
        "a@[::1",
        "a@b..c",
        "a@。",
        "a@b..é",
        "a@\u00ad.é",
        "x" * 1024 + "@b",
        "a@b/" + "x" * 1024,
        "ü" * 512 + "@b",
        "a@" + "x" * 300,
        "x" * 4000,
        "a@b/\ue000",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parseJid(text)


def test_a_long_address_is_not_cached() -> None:
    before = jid._known.cache_info().currsize
    assert parseJid(f"{'a' * 1_000}@b.c") == parseJid(f"{'a' * 1_000}@b.c")
    assert jid._known.cache_info().currsize == before
