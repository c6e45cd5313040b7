"""Entity capabilities (XEP-0115): a hash of the disco#info saves clients from asking for it again."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha1

from wsd.protocols.xmpp.forms import FORM
from wsd.protocols.xmpp.stanza import Element

CAPS = "http://jabber.org/protocol/caps"
_NODE = "urn:wsd:xmpp"


def nodeOf(info: Element) -> str:
    """The node under which a disco#info is found, besides the empty one."""
    return f"{_NODE}#{hashOf(info)}"


def element(info: Element) -> Element:
    """The <c/> in the features of a stream (XEP-0115 6.3)."""
    return Element(CAPS, "c", {"hash": "sha-1", "node": _NODE, "ver": hashOf(info)})


def hashOf(info: Element) -> str:
    """The verification string of XEP-0115 5.1."""
    children = list(info.elements())
    identities = sorted(_identity(child) for child in children if child.name == "identity")
    features = sorted(child.get("var") for child in children if child.name == "feature")
    forms = sorted(_fields(child) for child in children if child.ns == FORM)
    parts = [*identities, *features, *(part for form in forms for part in form)]
    digest = sha1("".join(f"{part}<" for part in parts).encode(), usedforsecurity=False).digest()
    return b64encode(digest).decode()


def _identity(identity: Element) -> str:
    return "/".join(identity.get(name) for name in ("category", "type", "xml:lang", "name"))


def _fields(form: Element) -> list[str]:
    """The type of a form, then its fields with their values, in order."""
    fields = {field.get("var"): sorted(value.text for value in field.elements()) for field in form.elements()}
    parts = fields.pop("FORM_TYPE", [])
    for name, values in sorted(fields.items()):
        parts += [name, *values]
    return parts
