"""HTTP upload (XEP-0363): URLs for files, if another route of the daemon keeps files."""

from __future__ import annotations

from collections.abc import Callable

from wsd.connection import Refused
from wsd.protocols.xmpp.errors import StanzaError
from wsd.protocols.xmpp.forms import FORM, formField
from wsd.protocols.xmpp.queries import Queries
from wsd.protocols.xmpp.session import Session
from wsd.protocols.xmpp.settings import Settings
from wsd.protocols.xmpp.stanza import Element, result
from wsd.protocols.xmpp.values import number
from wsd.resources import Slots

UPLOAD = "urn:xmpp:http:upload:0"


class UploadService:
    """Answers requests for an upload slot."""

    def __init__(self, settings: Settings, queries: Queries, slots: Callable[[], Slots | None]) -> None:
        self._settings = settings
        self._slots = slots
        """Returns the slots of the route that keeps files, None if there is none at the moment."""
        now, forms = slots(), []
        if now is not None:
            formType = formField("FORM_TYPE", "hidden", [UPLOAD])
            maxFile = formField("max-file-size", "", [str(now.maxFile)])
            forms.append(Element(FORM, "x", {"type": "result"}, formType, maxFile))
        queries.add("get", UPLOAD, "request", self._request, *forms)

    async def _request(self, session: Session, iq: Element, query: Element) -> Element:
        """Give a slot (XEP-0363 4). Raises StanzaError."""
        slots = self._slots()
        if slots is None:
            raise StanzaError("service-unavailable", "no route for stored files is available")
        if session.user.isAnonymous:
            raise StanzaError("forbidden", "only users with an account may upload files")
        name, size = query.get("filename"), number(query.get("size"), "size", 0, 2**53)
        if not name:
            raise StanzaError("bad-request", "a slot request needs a filename and a size in bytes")
        if size > slots.maxFile:
            tooLarge = Element(UPLOAD, "file-too-large", {}, Element(UPLOAD, "max-file-size", {}, str(slots.maxFile)))
            raise StanzaError("not-acceptable", f"the upload limit is {slots.maxFile} bytes", tooLarge)
        try:
            kind, source = query.get("content-type"), None if session.stream is None else session.stream.client.address
            path = await slots.newSlot(session.user.bare, name, size, kind or None, source)
        except Refused as refused:
            condition = "bad-request" if refused.status == 400 else "resource-constraint"
            raise StanzaError(condition, refused.sentence) from None
        url = self._base(session) + path
        put, get = Element(UPLOAD, "put", {"url": url}), Element(UPLOAD, "get", {"url": url})
        return result(iq, Element(UPLOAD, "slot", {}, put, get))

    def _base(self, session: Session) -> str:
        """Scheme and authority of the URLs: those of the key `url`, else those that the client itself uses."""
        url = self._settings.options.url
        if url is not None:
            scheme, _, rest = url.partition("://")
            return f"{'https' if scheme == 'wss' else 'http'}://{rest.partition('/')[0]}"
        return "" if session.stream is None else session.stream.client.web
