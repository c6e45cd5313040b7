"""The answers of disco about a room (XEP-0045 6.4, 6.5)."""

from __future__ import annotations

from wsd.protocols.xmpp.disco import INFO, ITEMS, information
from wsd.protocols.xmpp.forms import FORM, formField
from wsd.protocols.xmpp.jid import parseJid
from wsd.protocols.xmpp.rooms.muc import MUC
from wsd.protocols.xmpp.rooms.room import Room
from wsd.protocols.xmpp.stanza import Element


def nameOf(room: Room) -> str:
    """The configured name of a room, else the local part of its address."""
    return room.config.name or parseJid(room.jid).local


def roomInfo(room: Room) -> Element:
    """The disco#info of a room."""
    config = room.config
    features = (
        MUC,
        f"{MUC}#self-ping-optimization",
        "muc_persistent" if config.persistent else "muc_temporary",
        "muc_public" if config.public else "muc_hidden",
        "muc_membersonly" if config.membersOnly else "muc_open",
        "muc_moderated" if config.moderated else "muc_unmoderated",
        "muc_semianonymous" if config.semiAnonymous else "muc_nonanonymous",
        "muc_passwordprotected" if config.password else "muc_unsecured",
    )
    shown = Element(
        FORM,
        "x",
        {"type": "result"},
        formField("FORM_TYPE", "hidden", [f"{MUC}#roominfo"]),
        formField("muc#roominfo_description", "text-single", [config.description], "Description"),
        formField("muc#roominfo_occupants", "text-single", [str(len(room.occupants))], "Occupants"),
    )
    return information("conference", "text", nameOf(room), (INFO, ITEMS, *features), shown)


def roomItems(room: Room) -> list[Element]:
    """The occupants, unless the room is hidden or for members only."""
    if room.config.membersOnly or not room.config.public:
        return []
    return [Element(ITEMS, "item", {"jid": f"{room.jid}/{nick}"}) for nick in room.occupants]
