"""The settings of a room, and the form with which its owner changes them (XEP-0004, XEP-0045 10.2)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from sys import getsizeof

from wsd.protocols.xmpp.errors import StanzaError
from wsd.protocols.xmpp.forms import FORM, formField
from wsd.protocols.xmpp.stanza import Element, isText
from wsd.protocols.xmpp.values import boolean, number

CONFIG = "http://jabber.org/protocol/muc#roomconfig"
_LONGEST = 1023
"""Limit in characters of a text."""
_STORED = {
    "membersOnly": "members_only",
    "semiAnonymous": "open",
    "changeSubject": "subjects",
    "allowInvites": "invites",
    "maxUsers": "most",
}
"""The settings whose stored names differ from their names here."""


@dataclass(frozen=True, slots=True)
class RoomConfig:
    """The settings of a room."""

    name: str = ""
    description: str = ""
    persistent: bool = False
    """Whether the room stays when the last occupant has left."""
    public: bool = True
    """Whether disco lists the room."""
    membersOnly: bool = False
    """Whether only members may enter."""
    moderated: bool = False
    """Whether only occupants with a voice may speak."""
    semiAnonymous: bool = True
    """Whether only moderators see the addresses of occupants; in a non-anonymous room all do (XEP-0045 4.2)."""
    password: str = ""
    changeSubject: bool = False
    """Whether participants may change the subject, not only moderators."""
    allowInvites: bool = False
    """Whether members may invite to a members-only room."""
    maxUsers: int = 0
    """Limit of the occupants, 0 for none."""

    @property
    def size(self) -> int:
        """The bytes of memory that the texts take."""
        return getsizeof(self.name) + getsizeof(self.description) + getsizeof(self.password)

    def write(self) -> str:
        """The stored form."""
        return json.dumps({_STORED.get(name, name): value for name, value in asdict(self).items()}, ensure_ascii=False)

    @classmethod
    def read(cls, kept: str) -> RoomConfig:
        """Reads what `write` wrote, and ignores settings that no longer exist. Raises ValueError for anything else."""
        written = json.loads(kept)
        names = {_STORED.get(each.name, each.name): each.name for each in fields(cls)}
        known = {name: written[stored] for stored, name in names.items() if stored in written}
        for name, value in known.items():
            if type(value) is not type(getattr(cls(), name)) or (isinstance(value, str) and not isText(value)):
                raise ValueError(f"{value!r} cannot be the {name} of a room")
        return cls(**known)


_FIELDS = (
    ("muc#roomconfig_roomname", "name", "text-single", "Name"),
    ("muc#roomconfig_roomdesc", "description", "text-single", "Description"),
    ("muc#roomconfig_persistentroom", "persistent", "boolean", "Keep the room when the last occupant leaves"),
    ("muc#roomconfig_publicroom", "public", "boolean", "List the room publicly"),
    ("muc#roomconfig_membersonly", "membersOnly", "boolean", "Only members may enter"),
    ("muc#roomconfig_moderatedroom", "moderated", "boolean", "Only occupants with a voice may speak"),
    ("muc#roomconfig_changesubject", "changeSubject", "boolean", "Anyone may change the subject"),
    ("muc#roomconfig_allowinvites", "allowInvites", "boolean", "Members may invite"),
)


def form(config: RoomConfig) -> Element:
    """The form with the present settings (XEP-0045 10.2)."""
    shown = [formField("FORM_TYPE", "hidden", [CONFIG])]
    for name, key, fieldType, label in _FIELDS:
        value = getattr(config, key)
        shown.append(formField(name, fieldType, [str(int(value)) if fieldType == "boolean" else value], label))
    whois = "moderators" if config.semiAnonymous else "anyone"
    shown += [
        formField("muc#roomconfig_whois", "list-single", [whois], "Who can see addresses", ["moderators", "anyone"]),
        formField(
            "muc#roomconfig_passwordprotectedroom", "boolean", [str(int(bool(config.password)))], "Require a password"
        ),
        formField("muc#roomconfig_roomsecret", "text-private", [config.password], "Password"),
        formField(
            "muc#roomconfig_maxusers",
            "text-single",
            [str(config.maxUsers)],
            "Maximum number of occupants, 0 for no limit",
        ),
    ]
    return Element(FORM, "x", {"type": "form"}, Element(FORM, "title", {}, "The room"), *shown)


def submitted(config: RoomConfig, x: Element) -> RoomConfig:
    """Returns the settings after a submitted form, which may omit unchanged ones. Raises StanzaError."""
    values = {child.get("var"): child.textOf(FORM, "value") for child in x.elements() if child.name == "field"}
    if values.get("FORM_TYPE", CONFIG) != CONFIG:
        raise StanzaError("bad-request", "this is not the form of a room")
    changed: dict[str, object] = {}
    for name, key, fieldType, _ in _FIELDS:
        if name in values:
            changed[key] = _boolean(values[name], name) if fieldType == "boolean" else _text(values[name])
    if "muc#roomconfig_whois" in values:
        if values["muc#roomconfig_whois"] not in ("moderators", "anyone"):
            raise StanzaError("bad-request", "addresses are shown to moderators or to anyone")
        changed["semiAnonymous"] = values["muc#roomconfig_whois"] != "anyone"
    if "muc#roomconfig_roomsecret" in values:
        changed["password"] = _text(values["muc#roomconfig_roomsecret"])
    if "muc#roomconfig_passwordprotectedroom" in values:
        hasPassword = _boolean(values["muc#roomconfig_passwordprotectedroom"], "muc#roomconfig_passwordprotectedroom")
        if hasPassword and not changed.get("password", config.password):
            raise StanzaError("not-acceptable", "a room with a password needs a password")
        if not hasPassword:
            changed["password"] = ""
    if "muc#roomconfig_maxusers" in values:
        changed["maxUsers"] = _number(values["muc#roomconfig_maxusers"])
    return replace(config, **changed)  # type: ignore[arg-type]


def _boolean(text: str, name: str) -> bool:
    return bool(text) and boolean(text, name)


def _text(text: str) -> str:
    if len(text) > _LONGEST:
        raise StanzaError("not-acceptable", f"a text has at most {_LONGEST} characters")
    return text


def _number(text: str) -> int:
    if text in ("", "none"):
        return 0
    return number(text, "muc#roomconfig_maxusers", 0, 999_999)
