"""HTTP upload (XEP-0363): a URL for a file, where another route of the daemon keeps files."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from wsd.connection import Refused
from wsd.protocols.xmpp.stanza import Element, StanzaError, result
from wsd.protocols.xmpp.values import number
from wsd.resources import Slots

if TYPE_CHECKING:
    from wsd.protocols.xmpp.server import Server
    from wsd.protocols.xmpp.session import Session

UPLOAD = "urn:xmpp:http:upload:0"
DATA = "jabber:x:data"


class Upload:
    """Answers who asks for a slot; `slots` gives where there are some."""

    def __init__(self, server: Server, slots: Callable[[], Slots | None]) -> None:
        self._server = server
        self._slots = slots
        server.queries.add("get", UPLOAD, "request", self._request)
        now = slots()
        if now is not None:
            kind, most = _field("FORM_TYPE", UPLOAD, {"type": "hidden"}), _field("max-file-size", str(now.maxFile), {})
            server.forms.append(Element(DATA, "x", {"type": "result"}, kind, most))

    async def _request(self, server: Server, session: Session, iq: Element, query: Element) -> Element:
        slots = self._slots()
        if slots is None:
            raise StanzaError("service-unavailable", "no route keeps files here at the moment")
        if session.user.isAnonymous:
            raise StanzaError("forbidden", "files are kept for who has an account")
        name, size = query.get("filename"), number(query.get("size"), "size", 0, 2**53)
        if not name:
            raise StanzaError("bad-request", "a slot is for a filename and a size in bytes")
        if size > slots.maxFile:
            most = Element(UPLOAD, "file-too-large", {}, Element(UPLOAD, "max-file-size", {}, str(slots.maxFile)))
            raise StanzaError("not-acceptable", f"{slots.maxFile} bytes are the most", most)
        try:
            kind, source = query.get("content-type"), None if session.link is None else session.link.address
            path = await slots.newSlot(session.user.bare, name, size, kind or None, source)
        except Refused as refused:
            condition = "bad-request" if refused.status == 400 else "resource-constraint"
            raise StanzaError(condition, refused.sentence) from None
        url = self._base(session) + path
        told = (Element(UPLOAD, "put", {"url": url}), Element(UPLOAD, "get", {"url": url}))
        return result(iq, Element(UPLOAD, "slot", {}, *told))

    def _base(self, session: Session) -> str:
        """The scheme and the name by which clients come: those that were told, or those that this one used."""
        told = self._server.options.url
        if told is not None:
            scheme, _, rest = told.partition("://")
            return f"{'https' if scheme == 'wss' else 'http'}://{rest.partition('/')[0]}"
        return "" if session.link is None else session.link.web


def _field(name: str, value: str, attrs: dict[str, str]) -> Element:
    return Element(DATA, "field", {"var": name, **attrs}, Element(DATA, "value", {}, value))
