"""The queries that the server itself answers: disco (XEP-0030), ping (XEP-0199), time (XEP-0202) and many more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from wsd import __version__
from wsd.protocols.xmpp import caps, carbons
from wsd.protocols.xmpp.asyncstore import AsyncStore
from wsd.protocols.xmpp.blocking import BLOCKING, BlockLists
from wsd.protocols.xmpp.delay import stamp
from wsd.protocols.xmpp.disco import INFO, ITEMS, PING, information, refuseNodes
from wsd.protocols.xmpp.errors import StanzaError
from wsd.protocols.xmpp.jid import JID
from wsd.protocols.xmpp.register import REGISTER, Registration
from wsd.protocols.xmpp.rooms.service import Rooms
from wsd.protocols.xmpp.roster import RosterQueries
from wsd.protocols.xmpp.rosteritem import ROSTER
from wsd.protocols.xmpp.session import Session
from wsd.protocols.xmpp.stanza import Element, result

TIME = "urn:xmpp:time"
VERSION = "jabber:iq:version"
SESSION = "urn:ietf:params:xml:ns:xmpp-session"
"""Session establishment (RFC 3921 3), which old clients ask for and which does nothing."""

_FEATURES = (
    INFO,
    ITEMS,
    PING,
    TIME,
    VERSION,
    caps.CAPS,
    ROSTER,
    BLOCKING,
    carbons.CARBONS,
    "msgoffline",
    "urn:xmpp:carbons:rules:0",
)
"""The features of the server."""

_STORED = (ROSTER, BLOCKING, REGISTER)
"""Changes in these namespaces are stored."""

Handler = Callable[[Session, Element, Element], Awaitable[Element]]
"""Answers an iq, whose child is the query, from a session."""
Handlers = dict[tuple[str, str, str], Handler]
"""By the type of the iq, and by the namespace and the name of the query."""


class Queries:
    """Answers an iq to the server, or to the sender's own account."""

    def __init__(
        self,
        store: AsyncStore,
        rooms: Rooms | None,
        rosters: RosterQueries,
        blockLists: BlockLists,
        registration: Registration,
        now: Callable[[], float],
    ) -> None:
        self._store = store
        self._rooms = rooms
        self._now = now
        own: Handlers = {
            ("get", INFO, "query"): _ownInfo,
            ("get", ITEMS, "query"): _ownItems,
            ("get", ROSTER, "query"): rosters.get,
            ("set", ROSTER, "query"): rosters.change,
            ("get", BLOCKING, "blocklist"): blockLists.get,
            ("set", BLOCKING, "block"): blockLists.block,
            ("set", BLOCKING, "unblock"): blockLists.unblock,
            ("set", carbons.CARBONS, "enable"): carbons.enable,
            ("set", carbons.CARBONS, "disable"): carbons.disable,
        }
        both: Handlers = {
            ("get", PING, "ping"): _nothing,
            ("set", SESSION, "session"): _nothing,
            ("get", REGISTER, "query"): registration.form,
            ("set", REGISTER, "query"): registration.change,
        }
        host: Handlers = {
            ("get", INFO, "query"): self._hostInfo,
            ("get", ITEMS, "query"): self._hostItems,
            ("get", TIME, "time"): self._time,
            ("get", VERSION, "query"): _version,
        }
        self._unaddressed = {**host, **own, **both}
        self._own = {**own, **both}
        self._host = {**host, **both}
        self._features = list(_FEATURES)
        self._forms: list[Element] = []

    def add(self, iqType: str, namespace: str, name: str, handler: Handler, *forms: Element) -> None:
        """Answer one more query to the server, and announce it in disco, with forms (XEP-0128)."""
        self._host[iqType, namespace, name] = self._unaddressed[iqType, namespace, name] = handler
        self._features.append(namespace)
        self._forms += forms

    def info(self) -> Element:
        """The disco#info of the server."""
        return information("server", "im", "wsd", tuple(self._features), *self._forms)

    async def answer(self, session: Session, iq: Element, query: Element, to: JID | None) -> None:
        """Answer an iq. Raises StanzaError and StoreError."""
        if to is None:
            handlers = self._unaddressed
            if query.ns in (INFO, ITEMS):
                handlers = self._own
        elif not to.local:
            handlers = self._host
        elif to.bare == session.user.bare:
            handlers = self._own
        else:
            if query.ns in (INFO, ITEMS):
                # The answer is the same for all, so that nobody learns which users exist.
                refuseNodes(query)
            raise StanzaError(
                "service-unavailable", "the server answers only queries to itself and to your own account"
            )
        handler = handlers.get((iq.get("type"), query.ns, query.name))
        if handler is None:
            raise StanzaError("service-unavailable", f"{query.ns} is not served here")
        store = self._store
        since = store.lastNumber
        if query.ns in _STORED and iq.get("type") == "set" and not session.user.isAnonymous:
            store.check()
        answer = await handler(session, iq, query)
        if iq.get("type") == "set":
            # A change is on disk before its result is sent.
            await store.flush(since)
        session.send(answer)

    async def _hostInfo(self, session: Session, iq: Element, query: Element) -> Element:
        info = self.info()
        node = query.get("node")
        if node == caps.nodeOf(info):
            info.attrs["node"] = node
        else:
            refuseNodes(query)
        return result(iq, info)

    async def _hostItems(self, session: Session, iq: Element, query: Element) -> Element:
        refuseNodes(query)
        domain = iq.get("to") or session.user.bare.partition("@")[2]
        items = () if self._rooms is None else (Element(ITEMS, "item", {"jid": self._rooms.domainOf(domain)}),)
        return result(iq, Element(ITEMS, "query", {}, *items))

    async def _time(self, session: Session, iq: Element, query: Element) -> Element:
        parts = (Element(TIME, "tzo", {}, "+00:00"), Element(TIME, "utc", {}, stamp(self._now())))
        return result(iq, Element(TIME, "time", {}, *parts))


async def _ownInfo(session: Session, iq: Element, query: Element) -> Element:
    refuseNodes(query)
    kind = "anonymous" if session.user.isAnonymous else "registered"
    return result(iq, information("account", kind, "", (INFO, ITEMS, carbons.CARBONS, BLOCKING)))


async def _ownItems(session: Session, iq: Element, query: Element) -> Element:
    refuseNodes(query)
    items = (Element(ITEMS, "item", {"jid": each.jid}) for each in session.user.available())
    return result(iq, Element(ITEMS, "query", {}, *items))


async def _nothing(session: Session, iq: Element, query: Element) -> Element:
    return result(iq)


async def _version(session: Session, iq: Element, query: Element) -> Element:
    parts = (Element(VERSION, "name", {}, "wsd"), Element(VERSION, "version", {}, __version__))
    return result(iq, Element(VERSION, "query", {}, *parts))
