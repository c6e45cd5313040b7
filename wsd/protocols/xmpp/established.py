"""An established stream: stanzas after a resource is bound, and stream management (XEP-0198)."""

from __future__ import annotations

from wsd.protocols.xmpp.boundstream import BoundStream
from wsd.protocols.xmpp.errors import StanzaError, StreamError
from wsd.protocols.xmpp.resumption import Resumption
from wsd.protocols.xmpp.routing import Router
from wsd.protocols.xmpp.sasl import SASL
from wsd.protocols.xmpp.session import Session
from wsd.protocols.xmpp.stanza import LANG, Element
from wsd.protocols.xmpp.streammanagement import SM, failed, numberOf
from wsd.protocols.xmpp.values import boolean, number


class Established:
    """A stream with its session."""

    def __init__(
        self, router: Router, resumption: Resumption, stream: BoundStream, session: Session, lang: str
    ) -> None:
        self.session = session
        self._router = router
        self._resumption = resumption
        self._stream = stream
        self._lang = lang
        """The default language of the stream."""

    async def receive(self, element: Element) -> None:
        """Called with each element of the client. Raises StreamError."""
        if element.ns == SM:
            self._manage(element)
            return
        if element.ns == SASL:
            raise StreamError("unsupported-stanza-type", "this stream is already authenticated")
        if self._lang and element.name != "iq":
            # RFC 6120 8.1.5: a stanza without a language has that of its stream.
            element.attrs.setdefault(LANG, self._lang)
        await self._router.receive(self.session, element)

    def _manage(self, element: Element) -> None:
        session = self.session
        if element.name == "enable" and session.inbound is None:
            self._enable(element)
        elif element.name in ("enable", "resume"):
            self._stream.write(failed("unexpected-request").toXml())
        elif element.name == "r" and session.inbound is not None:
            session.inbound.asked()
        elif element.name == "a" and session.inbound is not None:
            session.acknowledge(numberOf(element))

    def _enable(self, element: Element) -> None:
        """Begin stream management, with resumption if the client wants it (XEP-0198 3, 5)."""
        try:
            wantsResume = boolean(element.get("resume", "false"), "resume")
            number(element.get("max", "0"), "max")
        except StanzaError as error:
            self._stream.write(failed(error.condition).toXml())
            return
        attrs = self._resumption.enable(self.session, wantsResume)
        self._stream.write(Element(SM, "enabled", attrs).toXml())
