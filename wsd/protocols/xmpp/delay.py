"""Delayed delivery (XEP-0203): a stanza that is delivered later says when it arrived."""

from __future__ import annotations

from datetime import UTC, datetime

from wsd.protocols.xmpp.stanza import Element

DELAY = "urn:xmpp:delay"


def stamp(seconds: float) -> str:
    """A time in the format of XEP-0082."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def delayed(stanza: Element, by: str, seconds: float) -> Element:
    """The stanza with a <delay/>, unless it has one from the same address already."""
    if any(child.ns == DELAY and child.get("from") == by for child in stanza.elements()):
        return stanza
    late = stanza.copy()
    late.children.append(Element(DELAY, "delay", {"from": by, "stamp": stamp(seconds)}))
    return late
