"""Addresses (RFC 6120 2.1), prepared with nodeprep, nameprep and resourceprep (RFC 6122 2)."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address
from typing import NamedTuple

from twisted.words.protocols.jabber.xmpp_stringprep import Profile, nameprep, nodeprep, resourceprep

_PLAIN_LOCAL = re.compile(r"[!#-%(-.0-9;=?\[-~]+")
_PLAIN_DOMAIN = re.compile(
    r"(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*"
)
_PLAIN_RESOURCE = re.compile(r"[ -~]+")
_DOMAIN = re.compile(r"[^\x00- \"&'/:<>@\\\x7f]+")

# RFC 7622 and other servers allow characters that are newer than Unicode 3.2, such as most emoji.
_NODE = Profile(nodeprep.mappings, prohibiteds=nodeprep.prohibiteds, check_unassigneds=False)
_RESOURCE = Profile(resourceprep.mappings, prohibiteds=resourceprep.prohibiteds, check_unassigneds=False)

_SHORT = 200
"""Limit in characters of a cached address. It bounds the memory for addresses that strangers invent."""


class JID(NamedTuple):
    """An address, prepared. A part that it does not have is ""."""

    local: str
    domain: str
    resource: str

    @property
    def bare(self) -> str:
        """The address without the resource."""
        return f"{self.local}@{self.domain}" if self.local else self.domain

    @property
    def full(self) -> str:
        """The whole address."""
        return f"{self.bare}/{self.resource}" if self.resource else self.bare


def _prepared(part: str, kind: str) -> str:
    try:
        if kind == "local":
            prepared = part if _PLAIN_LOCAL.fullmatch(part) else str(_NODE.prepare(part))
        elif kind == "domain":
            prepared = _domain(part)
        else:
            prepared = part if _PLAIN_RESOURCE.fullmatch(part) else str(_RESOURCE.prepare(part))
    except UnicodeError as error:
        raise ValueError(f"{part[:80]!r} cannot be the {kind} part of an address: {error}") from None
    except IndexError:
        # Twisted raises this for an empty label, and for one that becomes empty.
        raise ValueError(f"{part[:80]!r} cannot be the {kind} part of an address: a part of it is empty") from None
    # RFC 6122 2.2 to 2.4: no part is empty or longer than 1023 bytes.
    if not 0 < len(prepared.encode("utf-8", "surrogatepass")) < 1024:
        raise ValueError(f"the {kind} part of an address has 1 to 1023 bytes")
    return prepared


def _domain(part: str) -> str:
    part = part.removesuffix(".")
    if part.startswith("[") and part.endswith("]"):
        return f"[{IPv6Address(part[1:-1])}]"
    lower = part.lower() if part.isascii() else str(nameprep.prepare(part))
    if not _PLAIN_DOMAIN.fullmatch(lower) and (lower.isascii() or not _DOMAIN.fullmatch(lower)):
        raise ValueError(f"{part[:80]!r} is not the name of a domain")
    return lower


def prepareLocal(text: str) -> str:
    """Returns the prepared local part. Raises ValueError."""
    return _prepared(text, "local")


def prepareResource(text: str) -> str:
    """Returns the prepared resource. Raises ValueError."""
    return _prepared(text, "resource")


def parseJid(text: str) -> JID:
    """Parses and prepares an address. Raises ValueError, whose message the client may see."""
    # RFC 6122 2.1: three parts of 1023 bytes, and @ and /.
    if len(text) > 3071:
        raise ValueError("an address has at most 3071 bytes")
    return _known(text) if len(text) <= _SHORT else _parsed(text)


@lru_cache(4096)
def _known(text: str) -> JID:
    return _parsed(text)


def _parsed(text: str) -> JID:
    rest, slash, resource = text.partition("/")
    local, at, domain = rest.rpartition("@")
    if (at and not local) or (slash and not resource) or not domain:
        raise ValueError(f"{text[:80]!r} is not an address; one is user@domain/resource")
    return JID(
        prepareLocal(local) if local else "",
        _prepared(domain, "domain"),
        prepareResource(resource) if resource else "",
    )
