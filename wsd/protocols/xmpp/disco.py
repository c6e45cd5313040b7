"""Service discovery (XEP-0030): what the server and its rooms share."""

from __future__ import annotations

from wsd.protocols.xmpp.errors import StanzaError
from wsd.protocols.xmpp.stanza import Element

INFO = "http://jabber.org/protocol/disco#info"
ITEMS = "http://jabber.org/protocol/disco#items"
PING = "urn:xmpp:ping"
"""XEP-0199, which the server and its rooms both answer."""


def refuseNodes(query: Element) -> None:
    """Raises StanzaError for any node but the empty one (XEP-0030 7)."""
    if query.get("node"):
        raise StanzaError("item-not-found", "there is no such node")


def information(category: str, kind: str, name: str, features: tuple[str, ...], *forms: Element) -> Element:
    """A disco#info: an identity of a category and a type, features, and forms of XEP-0128 (XEP-0030 3)."""
    attrs = {"category": category, "type": kind}
    if name:
        attrs["name"] = name
    listed = (Element(INFO, "feature", {"var": feature}) for feature in features)
    return Element(INFO, "query", {}, Element(INFO, "identity", attrs), *listed, *forms)
