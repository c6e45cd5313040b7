"""What the owner of a room may set, and the form in which it is set (XEP-0004, XEP-0045 10)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from sys import getsizeof

from wsd.protocols.xmpp.stanza import Element, StanzaError, isText
from wsd.protocols.xmpp.values import boolean, number

FORM = "jabber:x:data"
CONFIG = "http://jabber.org/protocol/muc#roomconfig"
_LONGEST = 1023


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of a room."""

    name: str = ""
    description: str = ""
    persistent: bool = False
    """Whether it stays when the last has left."""
    public: bool = True
    """Whether it is found in the list of rooms."""
    members_only: bool = False
    moderated: bool = False
    """Whether only who was given a voice may speak."""
    open: bool = True
    """Whether whom it shows addresses to are moderators alone."""
    password: str = ""
    subjects: bool = False
    """Whether anyone may change the subject."""
    invites: bool = False
    """Whether members may invite where there are only members."""
    most: int = 0
    """Occupants at the most, 0 for any number."""

    @property
    def size(self) -> int:
        """Bytes of its texts."""
        return getsizeof(self.name) + getsizeof(self.description) + getsizeof(self.password)

    def write(self) -> str:
        """As it is stored."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def read(cls, kept: str) -> Config:
        """Read what `write` wrote, and ignore settings that no longer exist. Raises ValueError for anything else."""
        written = json.loads(kept)
        known = {field.name: written[field.name] for field in fields(cls) if field.name in written}
        for name, value in known.items():
            if type(value) is not type(getattr(cls(), name)) or (isinstance(value, str) and not isText(value)):
                raise ValueError(f"{value!r} cannot be the {name} of a room")
        return cls(**known)


_FIELDS = (
    ("muc#roomconfig_roomname", "name", "text-single", "Name"),
    ("muc#roomconfig_roomdesc", "description", "text-single", "Description"),
    ("muc#roomconfig_persistentroom", "persistent", "boolean", "It stays when the last has left"),
    ("muc#roomconfig_publicroom", "public", "boolean", "It is in the list of rooms"),
    ("muc#roomconfig_membersonly", "members_only", "boolean", "Only members come in"),
    ("muc#roomconfig_moderatedroom", "moderated", "boolean", "Only who has a voice may speak"),
    ("muc#roomconfig_changesubject", "subjects", "boolean", "Anyone may change the subject"),
    ("muc#roomconfig_allowinvites", "invites", "boolean", "Members may invite"),
)


def field(name: str, type: str, values: Iterable[str], label: str = "", options: Iterable[str] = ()) -> Element:
    """A field of a form."""
    attrs = {"var": name, "type": type}
    if label:
        attrs["label"] = label
    told = [Element(FORM, "value", {}, value) if value else Element(FORM, "value") for value in values]
    choices = [Element(FORM, "option", {}, Element(FORM, "value", {}, option)) for option in options]
    return Element(FORM, "field", attrs, *told, *choices)


def form(config: Config) -> Element:
    """The form that an owner is given."""
    shown = [field("FORM_TYPE", "hidden", [CONFIG])]
    for name, key, type, label in _FIELDS:
        value = getattr(config, key)
        shown.append(field(name, type, [str(int(value)) if type == "boolean" else value], label))
    whois = "moderators" if config.open else "anyone"
    shown += [
        field("muc#roomconfig_whois", "list-single", [whois], "Who sees addresses", ["moderators", "anyone"]),
        field(
            "muc#roomconfig_passwordprotectedroom", "boolean", [str(int(bool(config.password)))], "It has a password"
        ),
        field("muc#roomconfig_roomsecret", "text-private", [config.password], "Password"),
        field("muc#roomconfig_maxusers", "text-single", [str(config.most)], "Limit of occupants, 0 for any number"),
    ]
    return Element(FORM, "x", {"type": "form"}, Element(FORM, "title", {}, "The room"), *shown)


def submitted(config: Config, x: Element) -> Config:
    """The settings after a form; what it does not name stays. Raises StanzaError."""
    values = {child.get("var"): child.textOf(FORM, "value") for child in x.elements() if child.name == "field"}
    if values.get("FORM_TYPE", CONFIG) != CONFIG:
        raise StanzaError("bad-request", "this is not the form of a room")
    changed: dict[str, object] = {}
    for name, key, type, _ in _FIELDS:
        if name in values:
            changed[key] = _boolean(values[name], name) if type == "boolean" else _text(values[name])
    if "muc#roomconfig_whois" in values:
        if values["muc#roomconfig_whois"] not in ("moderators", "anyone"):
            raise StanzaError("bad-request", "addresses are shown to moderators or to anyone")
        changed["open"] = values["muc#roomconfig_whois"] != "anyone"
    if "muc#roomconfig_roomsecret" in values:
        changed["password"] = _text(values["muc#roomconfig_roomsecret"])
    if "muc#roomconfig_passwordprotectedroom" in values:
        has = _boolean(values["muc#roomconfig_passwordprotectedroom"], "muc#roomconfig_passwordprotectedroom")
        if has and not changed.get("password", config.password):
            raise StanzaError("not-acceptable", "a room with a password needs one")
        if not has:
            changed["password"] = ""
    if "muc#roomconfig_maxusers" in values:
        changed["most"] = _number(values["muc#roomconfig_maxusers"])
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
