"""Translation: the XML that differs between a client's stream (RFC 7395) and a stream over TCP (RFC 6120)."""

from __future__ import annotations

import secrets

from wsd.protocols.xmpp.errors import StreamError
from wsd.protocols.xmpp.framing import openTag
from wsd.protocols.xmpp.sasl import SASL
from wsd.protocols.xmpp.stanza import CLIENT, LANG, STREAMS, Element

TLS = "urn:ietf:params:xml:ns:xmpp-tls"
_COMPRESS = "http://jabber.org/protocol/compress"

_HIDDEN_FEATURES = (
    (TLS, "starttls"),
    ("urn:xmpp:sasl-cb:0", "sasl-channel-binding"),
    ("http://jabber.org/features/compress", "compression"),
)
"""Features that concern only the connection to the server; RFC 7395 3.10 leaves compression to the WebSocket."""
_MECHANISM_LISTS = ((SASL, "mechanisms"), ("urn:xmpp:sasl:2", "authentication"))

STREAM_END = "</stream:stream>"


def streamHeader(domain: str, opening: Element) -> str:
    """The header of the stream to the server (RFC 6120 4.2), for a client's <open/>."""
    attrs = {"to": domain, **{name: opening.get(name) for name in ("version", LANG) if opening.get(name)}}
    attrs["xmlns:stream"] = STREAMS
    # An empty element, of which only the start tag is sent.
    return "<?xml version='1.0'?>" + Element(CLIENT, "stream:stream", attrs).toXml().removesuffix("/>") + ">"


def openOf(header: Element) -> str:
    """The <open/> for the client, with the attributes of the server's stream header (RFC 7395 3.4)."""
    return openTag({name: value for name, value in header.attrs.items() if " " not in name})


def openAlone(domain: str) -> str:
    """The <open/> before an error when the server has sent no header (RFC 6120 4.9.1.2); `domain` may be ""."""
    # RFC 6120 4.7.3: a response header has an id.
    attrs = {"from": domain, "id": secrets.token_hex(8), "version": "1.0", LANG: "en"}
    return openTag({name: value for name, value in attrs.items() if value})


def checkForServer(element: Element) -> None:
    """Raises StreamError if a client's element must not reach the server."""
    if not element.ns:
        raise StreamError("invalid-namespace", f"an element must have a namespace; a stanza's is {CLIENT}")
    if element.ns in (TLS, _COMPRESS, STREAMS):
        raise StreamError(
            "unsupported-stanza-type", "the stream negotiates neither TLS nor compression (RFC 7395 3.9, 3.10)"
        )


def featuresForClient(features: Element) -> Element:
    """The server's features without TLS, compression, and mechanisms that are bound to the TLS of our connection."""
    shown = features.copy()
    shown.children = [
        _unboundMechanisms(child) if (child.ns, child.name) in _MECHANISM_LISTS else child
        for child in features.elements()
        if (child.ns, child.name) not in _HIDDEN_FEATURES
    ]
    return shown


def _unboundMechanisms(mechanisms: Element) -> Element:
    kept = mechanisms.copy()
    kept.children = [
        child
        for child in mechanisms.children
        if isinstance(child, str) or child.name != "mechanism" or not _isBound(child.text.strip())
    ]
    return kept


def _isBound(mechanism: str) -> bool:
    """Whether a mechanism uses the TLS connection: its certificates (EXTERNAL) or channel binding (RFC 5802 6)."""
    return mechanism == "EXTERNAL" or mechanism.endswith("-PLUS")
