"""Errors of streams (RFC 6120 4.9) and of stanzas (RFC 6120 8.3), and the base class that SASL failures share."""

from __future__ import annotations

from typing import ClassVar

from wsd.protocols.xmpp.stanza import CLIENT, LANG, STANZAS, STREAM_ERRORS, STREAMS, Element, replaceForbidden, reply

_TYPES = {
    "bad-request": "modify",
    "forbidden": "auth",
    "internal-server-error": "wait",
    "jid-malformed": "modify",
    "not-acceptable": "modify",
    "not-authorized": "auth",
    "policy-violation": "modify",
    "registration-required": "auth",
    "resource-constraint": "wait",
    "unexpected-request": "wait",
}
"""The error type of each condition (RFC 6120 8.3.3); the type of all others is "cancel"."""


class XmppError(Exception):
    """A defined condition, a text for people, and an application-specific condition if there is one."""

    namespace: ClassVar[str]
    """The namespace of the condition and of the text."""

    def __init__(self, condition: str, text: str = "", extra: Element | None = None) -> None:
        super().__init__(condition, text)
        self.condition = condition
        self.text = text
        self.extra = extra

    def details(self) -> list[Element]:
        """The children of the error element, in the order of RFC 6120 4.9.2 and 8.3.2."""
        details = [Element(self.namespace, self.condition)]
        if self.text:
            # A text may quote what the client sent.
            details.append(Element(self.namespace, "text", {LANG: "en"}, replaceForbidden(self.text)))
        if self.extra is not None:
            details.append(self.extra)
        return details


class StreamError(XmppError):
    """Ends a stream: its condition is one of RFC 6120 4.9.3."""

    namespace = STREAM_ERRORS

    def __str__(self) -> str:
        return self.text or self.condition

    def element(self) -> Element:
        """The <stream:error/>."""
        return Element(STREAMS, "error", {}, *self.details())


class StanzaError(XmppError):
    """Refuses a stanza: its condition is one of RFC 6120 8.3.3."""

    namespace = STANZAS

    def element(self) -> Element:
        """The <error/> of a stanza."""
        return Element(CLIENT, "error", {"type": _TYPES.get(self.condition, "cancel")}, *self.details())


def errorOf(stanza: Element, error: StanzaError) -> Element:
    """The error stanza that answers a refused stanza (RFC 6120 8.3.1)."""
    return reply(stanza, "error", error.element())
