"""Data forms (XEP-0004)."""

from __future__ import annotations

from collections.abc import Iterable

from wsd.protocols.xmpp.stanza import Element

FORM = "jabber:x:data"


def formField(
    name: str, fieldType: str, values: Iterable[str], label: str = "", options: Iterable[str] = ()
) -> Element:
    """A field of a form (XEP-0004 3.2). It may have no type, except in a form to fill in."""
    attrs = {"var": name}
    if fieldType:
        attrs["type"] = fieldType
    if label:
        attrs["label"] = label
    entries = [Element(FORM, "value", {}, value) if value else Element(FORM, "value") for value in values]
    choices = [Element(FORM, "option", {}, Element(FORM, "value", {}, option)) for option in options]
    return Element(FORM, "field", attrs, *entries, *choices)
