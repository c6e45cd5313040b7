"""What the server itself answers: disco (XEP-0030), ping (0199), time (0202), version (0092), and what others bring."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from wsd import __version__
from wsd.protocols.xmpp import blocking, caps, carbons, register, roster
from wsd.protocols.xmpp.jid import JID
from wsd.protocols.xmpp.offline import stamp
from wsd.protocols.xmpp.stanza import Element, StanzaError, result

if TYPE_CHECKING:
    from wsd.protocols.xmpp.server import Server
    from wsd.protocols.xmpp.session import Session

INFO = "http://jabber.org/protocol/disco#info"
ITEMS = "http://jabber.org/protocol/disco#items"
PING = "urn:xmpp:ping"
TIME = "urn:xmpp:time"
VERSION = "jabber:iq:version"
SESSION = "urn:ietf:params:xml:ns:xmpp-session"

_HOST = (
    INFO,
    ITEMS,
    PING,
    TIME,
    VERSION,
    caps.CAPS,
    roster.ROSTER,
    blocking.BLOCKING,
    carbons.CARBONS,
    "msgoffline",
    "urn:xmpp:carbons:rules:0",
)
"""What the server says it can."""

_KEPT = (roster.ROSTER, blocking.BLOCKING, register.REGISTER)
"""Changes in these namespaces are stored."""

Handler = Callable[["Server", "Session", Element, Element], Awaitable[Element]]


def refuseNodes(query: Element) -> None:
    """Raises StanzaError for any node but the empty one (XEP-0030 7)."""
    if query.get("node"):
        raise StanzaError("item-not-found", "there is no such node")


def information(category: str, type: str, name: str, features: tuple[str, ...], *forms: Element) -> Element:
    """A disco#info (XEP-0030 3)."""
    attrs = {"category": category, "type": type}
    if name:
        attrs["name"] = name
    told = (Element(INFO, "feature", {"var": feature}) for feature in features)
    return Element(INFO, "query", {}, Element(INFO, "identity", attrs), *told, *forms)


class Queries:
    """Whom an iq for the server, or for a user's own bare address, is for."""

    def __init__(self, server: Server) -> None:
        self._server = server
        own: dict[tuple[str, str, str], Handler] = {
            ("get", INFO, "query"): _ownInfo,
            ("get", ITEMS, "query"): _ownItems,
            ("get", roster.ROSTER, "query"): roster.get,
            ("set", roster.ROSTER, "query"): roster.set,
            ("get", blocking.BLOCKING, "blocklist"): blocking.get,
            ("set", blocking.BLOCKING, "block"): blocking.block,
            ("set", blocking.BLOCKING, "unblock"): blocking.unblock,
            ("set", carbons.CARBONS, "enable"): carbons.enable,
            ("set", carbons.CARBONS, "disable"): carbons.disable,
        }
        both: dict[tuple[str, str, str], Handler] = {
            ("get", PING, "ping"): _nothing,
            ("set", SESSION, "session"): _nothing,
            ("get", register.REGISTER, "query"): register.form,
            ("set", register.REGISTER, "query"): register.change,
        }
        host: dict[tuple[str, str, str], Handler] = {
            ("get", INFO, "query"): _hostInfo,
            ("get", ITEMS, "query"): _hostItems,
            ("get", TIME, "time"): _time,
            ("get", VERSION, "query"): _version,
        }
        self._nobody = {**host, **own, **both}
        self._own = {**own, **both}
        self._host = {**host, **both}
        self.features = list(_HOST)

    def add(self, type: str, ns: str, name: str, handler: Handler) -> None:
        """Answer one more query to the server, and say so."""
        self._host[type, ns, name] = self._nobody[type, ns, name] = handler
        self.features.append(ns)

    def info(self) -> Element:
        """The disco#info of the server."""
        return information("server", "im", "wsd", tuple(self.features), *self._server.forms)

    async def answer(self, session: Session, iq: Element, query: Element, to: JID | None) -> None:
        """Answer, or raise StanzaError."""
        if to is None:
            handlers = self._nobody
            if query.ns in (INFO, ITEMS):
                handlers = self._own
        elif not to.local:
            handlers = self._host
        elif to.bare == session.user.bare:
            handlers = self._own
        else:
            if query.ns in (INFO, ITEMS):
                # The same for everybody, so that nobody learns which users exist.
                refuseNodes(query)
            raise StanzaError("service-unavailable", "nobody else's queries are answered here")
        handler = handlers.get((iq.get("type"), query.ns, query.name))
        if handler is None:
            raise StanzaError("service-unavailable", f"{query.ns} is not served here")
        vault = self._server.vault
        since = vault.asked
        if query.ns in _KEPT and iq.get("type") == "set" and not session.user.isAnonymous:
            vault.check()
        answer = await handler(self._server, session, iq, query)
        if iq.get("type") == "set":
            # A change is on disk before its result is sent.
            await vault.kept(since)
        session.send(answer)


async def _ownInfo(server: Server, session: Session, iq: Element, query: Element) -> Element:
    refuseNodes(query)
    type = "anonymous" if session.user.isAnonymous else "registered"
    return result(iq, information("account", type, "", (INFO, ITEMS, carbons.CARBONS, blocking.BLOCKING)))


async def _ownItems(server: Server, session: Session, iq: Element, query: Element) -> Element:
    refuseNodes(query)
    items = (Element(ITEMS, "item", {"jid": each.jid}) for each in session.user.available())
    return result(iq, Element(ITEMS, "query", {}, *items))


async def _hostInfo(server: Server, session: Session, iq: Element, query: Element) -> Element:
    info = server.queries.info()
    node = query.get("node")
    if node == caps.nodeOf(info):
        info.attrs["node"] = node
    else:
        refuseNodes(query)
    return result(iq, info)


async def _hostItems(server: Server, session: Session, iq: Element, query: Element) -> Element:
    refuseNodes(query)
    domain = iq.get("to") or session.user.bare.partition("@")[2]
    items = () if server.rooms is None else (Element(ITEMS, "item", {"jid": server.rooms.domainOf(domain)}),)
    return result(iq, Element(ITEMS, "query", {}, *items))


async def _nothing(server: Server, session: Session, iq: Element, query: Element) -> Element:
    return result(iq)


async def _time(server: Server, session: Session, iq: Element, query: Element) -> Element:
    told = (Element(TIME, "tzo", {}, "+00:00"), Element(TIME, "utc", {}, stamp(server.now())))
    return result(iq, Element(TIME, "time", {}, *told))


async def _version(server: Server, session: Session, iq: Element, query: Element) -> Element:
    told = (Element(VERSION, "name", {}, "wsd"), Element(VERSION, "version", {}, __version__))
    return result(iq, Element(VERSION, "query", {}, *told))
