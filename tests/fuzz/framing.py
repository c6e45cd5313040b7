"""XMPP over WebSocket: a message is one element or a `StreamError`, and what is passed on reads as the same element."""

from __future__ import annotations

from tests.protocols.xmpp.trees import flat
from wsd.protocols.xmpp.errors import StreamError
from wsd.protocols.xmpp.framing import DEFAULTS, XmlLimits, parse

_WIDER = XmlLimits(size=DEFAULTS.written, attributes=10 * DEFAULTS.attributes)
"""Limits for an element as it is passed on, where it declares more."""


def check(data: bytes) -> None:
    """Takes a message."""
    try:
        element = parse(data)
    except StreamError:
        return
    written = element.toXml()
    assert flat(parse(written.encode(), _WIDER)) == flat(element), written
