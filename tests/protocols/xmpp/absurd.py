"""Well-formed and mostly absurd stanzas from the words of the protocol; the same ones for the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from xml.sax.saxutils import escape, quoteattr

SM = "urn:xmpp:sm:3"
MUC = "http://jabber.org/protocol/muc"
USERS = ("alice@localhost", "bob@localhost", "carol@localhost")
ROOMS = ("den@conference.localhost", "pit@conference.localhost")
NICKS = ("a", "b", "c")
PLACES = ("", "localhost", "conference.localhost", "nobody@localhost", "elsewhere.example")
SPACES = (
    "jabber:client",
    MUC,
    f"{MUC}#user",
    f"{MUC}#admin",
    f"{MUC}#owner",
    "jabber:x:data",
    "jabber:x:delay",
    "jabber:iq:roster",
    "jabber:iq:register",
    "jabber:iq:version",
    "urn:xmpp:blocking",
    "urn:xmpp:carbons:2",
    "urn:xmpp:forward:0",
    "urn:xmpp:delay",
    "urn:xmpp:sid:0",
    "urn:xmpp:ping",
    "urn:xmpp:time",
    "urn:xmpp:hints",
    "urn:xmpp:sm:3",
    "urn:ietf:params:xml:ns:xmpp-bind",
    "urn:ietf:params:xml:ns:xmpp-session",
    "urn:ietf:params:xml:ns:xmpp-stanzas",
    "http://jabber.org/protocol/disco#info",
    "http://jabber.org/protocol/disco#items",
    "http://jabber.org/protocol/chatstates",
    "http://jabber.org/protocol/nick",
    "vcard-temp",
    "",
)
NAMES = (
    *(
        "x",
        "query",
        "item",
        "invite",
        "decline",
        "history",
        "password",
        "status",
        "destroy",
        "reason",
        "field",
        "value",
    ),
    *(
        "body",
        "subject",
        "thread",
        "priority",
        "show",
        "delay",
        "stanza-id",
        "sent",
        "received",
        "private",
        "forwarded",
    ),
    *("ping", "time", "blocklist", "block", "unblock", "enable", "disable", "r", "a", "bind", "resource", "session"),
    *("error", "text", "remove", "username", "group", "nick", "message", "presence", "iq", "no-store", "composing"),
)
ATTRIBUTES = (
    *(
        "to",
        "from",
        "id",
        "type",
        "jid",
        "nick",
        "affiliation",
        "role",
        "node",
        "var",
        "stamp",
        "by",
        "maxchars",
        "name",
    ),
    *("maxstanzas", "seconds", "since", "h", "resume", "max", "subscription", "ask", "code", "version", "xml:lang"),
)
AFFILIATIONS = ("outcast", "none", "member", "admin", "owner")
ROLES = ("none", "visitor", "participant", "moderator")
SUBSCRIPTIONS = ("subscribe", "subscribed", "unsubscribe", "unsubscribed")
FIELDS = ("persistentroom", "membersonly", "moderatedroom", "maxusers", "roomname", "whois", "roomsecret", "publicroom")
ODD = (
    *("", " ", "x", "0", "1", "-1", "true", "false", "9" * 30, "9" * 400, "2001-09-09T01:46:40Z", "garbage", "١", "😀"),
    *(
        "@",
        "@localhost",
        "a@b@c",
        "/",
        "localhost/",
        "alice@localhost/",
        "x" * 1_200,
        "ß@localhost",
        "[::1]",
        "[x]",
        "。",
    ),
    *("xn--", "a..é", "\u00ad.é", "\u200b@localhost", "\ufffd", "%s", "{}", "x-roomuser-item", "FORM_TYPE", f"{MUC}#x"),
)
LIMITS = ("maxchars", "maxstanzas", "seconds", "since")
TYPES = {
    "message": ("chat", "groupchat", "groupchat", "normal", "headline", "error", "", "x"),
    "presence": ("", "", "", "", "unavailable", "probe", "error", "x", *SUBSCRIPTIONS),
    "iq": ("get", "get", "set", "set", "set", "result", "error", "", "x"),
}


class Absurd:
    """Makes the stanzas; `there` are the full addresses of the sessions."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.there: list[str] = []

    def one(self, values: Sequence[str]) -> str:
        """One of these."""
        return self.random.choice(values)

    def stanza(self) -> str:
        """The next one."""
        kind = self.one(
            ("message", "message", *("presence",) * 3, *("iq",) * 4, "room", "room", "join", "sm", "element")
        )
        if kind == "sm":
            h = self.one(("0", "1", "2", "5", *ODD))
            return self.one((f"<a xmlns='{SM}' h={quoteattr(h)}/>", f"<r xmlns='{SM}'/>", f"<enable xmlns='{SM}'/>"))
        if kind == "element":
            return self._element()
        if kind == "join":
            to = f"{self.one(ROOMS)}/{self.one(NICKS)}"
            return f"<presence xmlns='jabber:client' to='{to}'><x xmlns='{MUC}'/></presence>"
        if kind == "room":
            return f"<iq xmlns='jabber:client' type='set' id='i' to='{self.one(ROOMS)}'>{self._management()}</iq>"
        stanzaType, to = self.one(TYPES[kind]), self._address()
        attributes = (f" type={quoteattr(stanzaType)}" if stanzaType else "") + (f" to={quoteattr(to)}" if to else "")
        attributes += " id='i'" if self.random.random() < 0.95 else ""
        count = 1 if kind == "iq" else self.random.choice((0, 1, 1, 2, 3))
        inner = "".join(self._payload() for _ in range(count))
        return f"<{kind} xmlns='jabber:client'{attributes}>{inner}</{kind}>"

    def _address(self) -> str:
        in_room = f"{self.one(ROOMS)}/{self.one(NICKS)}"
        return self.one((*PLACES, *USERS, *ROOMS, *(in_room,) * 4, *self.there, self.one(ODD)))

    def _value(self) -> str:
        near = (self._address(), *NICKS, *AFFILIATIONS, *ROLES, *SUBSCRIPTIONS, *map(_field, FIELDS))
        return self.one(near) if self.random.random() < 0.5 else self.one(ODD)

    def _text(self) -> str:
        return escape(self._value())

    def _attributes(self) -> str:
        chosen = self.random.sample(ATTRIBUTES, self.random.randrange(4))
        return "".join(f" {name}={quoteattr(self._value())}" for name in chosen)

    def _element(self, depth: int = 0) -> str:
        """An element of any name, in any namespace, with any content."""
        count = self.random.choice((0, 0, 1, 1, 2, 3)) if depth < 4 else 0
        inner = "".join(self._element(depth + 1) if self.random.random() < 0.6 else self._text() for _ in range(count))
        name, namespace = self.one(NAMES), quoteattr(self.one(SPACES))
        return f"<{name} xmlns={namespace}{self._attributes()}>{inner}</{name}>"

    def _management(self) -> str:
        """Queries of owners and moderators."""
        if self.random.random() < 0.6:
            items = "".join(self._item() for _ in range(self.random.randrange(4)))
            return f"<query xmlns='{MUC}#admin'>{items}</query>"
        if self.random.random() < 0.1:
            return f"<query xmlns='{MUC}#owner'><destroy jid={quoteattr(self._value())}/></query>"
        fields = "".join(
            f"<field var='{_field(self.one(FIELDS))}'><value>{self.one(('0', '1', self._text()))}</value></field>"
            for _ in range(self.random.randrange(4))
        )
        formType = self.one(("submit", "submit", "submit", "cancel", "form"))
        return f"<query xmlns='{MUC}#owner'><x xmlns='jabber:x:data' type='{formType}'>{fields}</x></query>"

    def _item(self) -> str:
        whom = self.one((*(f"jid='{user}'" for user in USERS), *(f"nick='{nick}'" for nick in NICKS)))
        what = self.one((f"role='{self.one(ROLES)}'", f"affiliation='{self.one(AFFILIATIONS)}'"))
        if self.random.random() < 0.1:
            what += self._attributes().replace(" role=", " x=").replace(" affiliation=", " y=").replace(" jid=", " z=")
            what = what.replace(" nick=", " n=")
        return f"<item {whom} {what}><reason>{self._text()}</reason></item>"

    def _payload(self) -> str:
        """A text that resembles a meaningful one, or not."""
        if self.random.random() < 0.2:
            return self._element()
        v = [quoteattr(self._value()) for _ in range(3)]
        t = self._text()
        way, block = self.one(("invite", "decline")), self.one(("block", "unblock", "blocklist"))
        disco, carbons = self.one(("info", "items")), self.one(("enable", "disable"))
        return self.one(
            (
                f"<x xmlns='{MUC}'><history {self.one(LIMITS)}={v[0]}/><password>{t}</password></x>",
                f"<x xmlns='{MUC}#user'><{way} to={v[0]}><reason>{t}</reason></{way}></x>",
                self._management(),
                f"<query xmlns='{MUC}#admin'><item {self.one(('affiliation', 'role'))}={v[0]}/></query>",
                f"<query xmlns='{MUC}#owner'/>",
                f"<query xmlns='jabber:iq:roster'><item jid={v[0]} name={v[1]} subscription={v[2]}/></query>",
                f"<query xmlns='jabber:iq:roster'><item jid={v[0]}><group>{t}</group></item></query>",
                f"<{block} xmlns='urn:xmpp:blocking'><item jid={v[0]}/><item jid={v[1]}/></{block}>",
                f"<{block} xmlns='urn:xmpp:blocking'/>",
                f"<query xmlns='http://jabber.org/protocol/disco#{disco}' node={v[0]}/>",
                f"<query xmlns='jabber:iq:register'><username>{t}</username><password>{t}</password></query>",
                f"<{carbons} xmlns='urn:xmpp:carbons:2'/>",
                "<ping xmlns='urn:xmpp:ping'/>",
                f"<body>{t}</body>",
                f"<body>{t}</body><delay xmlns='urn:xmpp:delay' from={v[0]} stamp={v[1]}/>",
                f"<subject>{t}</subject>",
                f"<priority>{t}</priority><status>{t}</status>",
                f"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{t}</resource></bind>",
            )
        )


def _field(name: str) -> str:
    return f"muc#roomconfig_{name}"
