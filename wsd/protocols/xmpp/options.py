"""The keys of a route of XMPP."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wsd.config import fields, stateFolder
from wsd.config.state import LOCK
from wsd.config.stores import checkStore
from wsd.config.values import KIB, MIB

_UPSTREAM = re.compile(r"tcp:(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+):(?P<port>\d{1,5})")


def _domain(text: str) -> str:
    lower = text.lower().removesuffix(".")
    if not re.fullmatch(r"[^\s/@<>&'\":]+", lower):
        raise ValueError(f'"{text}" is not a domain; write "example.com"')
    return lower


def _upstream(text: str) -> str:
    if not _UPSTREAM.fullmatch(text):
        raise ValueError(f'"{text}" is not a server; write "tcp:xmpp.example.com:5222"')
    return text


def upstreamOf(text: str) -> tuple[str, int]:
    """Host and port of the server behind."""
    match = _UPSTREAM.fullmatch(text)
    assert match is not None
    return match["host"].strip("[]"), int(match["port"])


def _url(text: str) -> str:
    if not re.fullmatch(r"wss?://[^\s/]+/\S*", text):
        raise ValueError(f'"{text}" is not the URL of a WebSocket; write "wss://example.com/xmpp"')
    return text


@dataclass(frozen=True)
class XmppOptions:
    """Whom a route serves, what it keeps, and how much; or the server it is the gateway to."""

    domains: tuple[str, ...] = field(default=("localhost",), metadata={"each": _domain})
    """The domains served."""
    store: str | None = field(default=None, metadata={"path": True})
    """The file of users, rosters, messages and rooms; None is "xmpp.sqlite" in the state folder."""
    anonymous: str = field(default="loopback", metadata={"choices": ("loopback", "always", "never")})
    """Who may be there without a name: direct loopback peers, all, or nobody."""
    register: bool = False
    """Whether clients may make accounts."""
    secure: bool = False
    """Whether the way to this daemon is safe for passwords though it has no TLS here."""
    rooms: bool = True
    """Whether there are rooms, at conference.DOMAIN."""
    history: int = fields.count(50, "messages", 0)
    """Messages that a room remembers at the most."""
    offline: int = fields.count(1_000, "messages", 0)
    """Messages that wait for one user."""
    contacts: int = fields.count(1_000, "contacts")
    """Contacts, and blocked addresses, of one user."""
    sessions: int = fields.count(20, "sessions")
    """Sessions of one user."""
    resume: float = field(default=300.0, metadata={"unit": "seconds", "least": 0})
    """Seconds for which a session whose connection is lost may be resumed; 0 for none."""
    unacknowledged: int = fields.count(1_000, "stanzas")
    """Stanzas sent to one session and not acknowledged."""
    max_held: int = field(default=64 * MIB, metadata={"size": True, "least": 1 * MIB})
    """Bytes of memory for sessions whose connection is lost, and again for rooms; a quarter of each for one address."""
    max_stanza: int = field(default=256 * KIB, metadata={"size": True, "least": 10_000})
    """Bytes of a message from a client (RFC 6120 13.12 wants room for 10,000)."""
    url: str | None = field(default=None, metadata={"each": _url})
    """Where clients find this route, for host-meta; None is where the question came to."""
    see_other: str | None = field(default=None, metadata={"each": _url})
    """Where clients are sent instead: this route has moved."""
    upstream: str | None = field(default=None, metadata={"each": _upstream})
    """The server behind: this route is its gateway, and serves nobody itself."""
    upstream_tls: str = field(default="required", metadata={"choices": ("required", "optional", "none")})
    """STARTTLS towards it: insisted on, used where offered, or not used."""
    upstream_ca: str | None = field(default=None, metadata={"path": True})
    """The PEM file of the authorities that its certificate is checked against; None is the system's."""
    upstream_proxy: bool = False
    """Whether it is told the client's address by a PROXY header."""

    def check(self) -> list[str]:
        """Check the store, and return warnings. Raises ValueError if it cannot be opened."""
        if self.upstream is not None:
            return []
        return checkStore(Path(self.store or Path(stateFolder(os.environ)) / "xmpp.sqlite"))

    def lockFiles(self, environ: Mapping[str, str]) -> list[Path]:
        """The files that the daemon locks, so that no other daemon uses the same store; a gateway has none."""
        if self.upstream is not None:
            return []
        if self.store:
            return [Path(f"{self.store}.lock")]
        folder = Path(stateFolder(environ))
        return [folder / LOCK, folder / "xmpp.sqlite.lock"]

    @property
    def isOwn(self) -> bool:
        """Whether anything is said: a route that says nothing is what another one is."""
        return self != XmppOptions()
