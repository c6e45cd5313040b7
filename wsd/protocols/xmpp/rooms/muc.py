"""The namespaces of rooms, their status codes, and the <x/> in what they send (XEP-0045)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from wsd.protocols.xmpp.stanza import Element

MUC = "http://jabber.org/protocol/muc"
MUC_USER = f"{MUC}#user"


class StatusCode(IntEnum):
    """What a room tells its occupants (XEP-0045 15.6)."""

    ADDRESSES_ARE_SHOWN = 100
    CONFIGURATION_CHANGED = 104
    SELF_PRESENCE = 110
    NOW_NON_ANONYMOUS = 172
    NOW_SEMI_ANONYMOUS = 173
    ROOM_CREATED = 201
    BANNED = 301
    NICKNAME_CHANGED = 303
    KICKED = 307
    AFFILIATION_LOST = 321
    NOW_MEMBERS_ONLY = 322


def userInfo(*children: Element, codes: Iterable[StatusCode] = ()) -> Element:
    """The <x/> with these children, followed by status codes."""
    return Element(
        MUC_USER, "x", {}, *children, *(Element(MUC_USER, "status", {"code": f"{code:d}"}) for code in codes)
    )
