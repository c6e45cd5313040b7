"""In-band registration (XEP-0077): an account is made, its password is changed, it is given up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsd.protocols.xmpp import credentials
from wsd.protocols.xmpp.jid import prepareLocal
from wsd.protocols.xmpp.stanza import Element, StanzaError, result

if TYPE_CHECKING:
    from wsd.protocols.xmpp.server import Server
    from wsd.protocols.xmpp.session import Session

REGISTER = "jabber:iq:register"
FEATURE = "http://jabber.org/features/iq-register"


def fields() -> Element:
    """What has to be said to register."""
    told = (Element(REGISTER, name) for name in ("username", "password"))
    words = Element(REGISTER, "instructions", {}, "Choose a name and a password.")
    return Element(REGISTER, "query", {}, words, *told)


async def register(server: Server, domain: str, query: Element) -> None:
    """Make an account, for somebody who has not logged in. Raises StanzaError."""
    name, password = query.textOf(REGISTER, "username"), query.textOf(REGISTER, "password")
    if not name or not password:
        raise StanzaError("not-acceptable", "an account has a name and a password")
    try:
        local = prepareLocal(name)
    except ValueError as error:
        raise StanzaError("not-acceptable", str(error)) from None
    bare = f"{local}@{domain}"
    if not await server.vault.read(credentials.add, bare, await _keys(server, password), owner=bare):
        raise StanzaError("conflict", "this name is taken")
    server.forgetUser(bare)


async def _keys(server: Server, password: str) -> str:
    try:
        return await server.derive(password)
    except ValueError as error:
        raise StanzaError("not-acceptable", str(error)) from None


async def form(server: Server, session: Session, iq: Element, query: Element) -> Element:
    """Who is logged in is registered."""
    _refuseAnonymous(session)
    name = session.user.bare.partition("@")[0]
    told = (Element(REGISTER, "registered"), Element(REGISTER, "username", {}, name), Element(REGISTER, "password"))
    return result(iq, Element(REGISTER, "query", {}, *told))


async def change(server: Server, session: Session, iq: Element, query: Element) -> Element:
    """Change the password, or give the account up."""
    _refuseAnonymous(session)
    bare = session.user.bare
    if query.child(REGISTER, "remove") is not None:
        if not server.options.register:
            raise StanzaError("not-allowed", "accounts are made and removed by who runs this server")
        await server.vault.read(lambda store: store.forget(bare), owner=bare)
        # The last that is sent to it: with the account its sessions end.
        session.send(result(iq))
        await server.remove(session.user)
        return result(iq)
    name, password = query.textOf(REGISTER, "username"), query.textOf(REGISTER, "password")
    if not password or name not in ("", bare.partition("@")[0]):
        raise StanzaError("bad-request", "a change has one's own name and the new password")
    await server.vault.read(credentials.change, bare, await _keys(server, password), owner=bare)
    return result(iq)


def _refuseAnonymous(session: Session) -> None:
    if session.user.isAnonymous:
        raise StanzaError("not-allowed", "who is anonymous has no account")
