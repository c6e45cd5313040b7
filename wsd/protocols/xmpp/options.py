"""The configuration keys of a route of XMPP."""

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

STORE_NAME = "xmpp.sqlite"
"""The file of the store in the state folder, if the key `store` is not set."""

_UPSTREAM = re.compile(r"tcp:(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+):(?P<port>\d{1,5})")


def _domain(text: str) -> str:
    lower = text.lower().removesuffix(".")
    if not re.fullmatch(r"[^\s/@<>&'\":]+", lower):
        raise ValueError(f'"{text}" is not a domain; write "example.com"')
    return lower


def _upstream(text: str) -> str:
    match = _UPSTREAM.fullmatch(text)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise ValueError(f'"{text}" is not a server; write "tcp:xmpp.example.com:5222"')
    return text


def upstreamOf(text: str) -> tuple[str, int]:
    """Host and port of the upstream server."""
    match = _UPSTREAM.fullmatch(text)
    assert match is not None
    return match["host"].strip("[]"), int(match["port"])


def _url(text: str) -> str:
    if not re.fullmatch(r"wss?://[^\s/]+/\S*", text):
        raise ValueError(f'"{text}" is not the URL of a WebSocket; write "wss://example.com/xmpp"')
    return text


@dataclass(frozen=True)
class XmppOptions:
    """The options of an embedded server, or of a gateway to another server."""

    domains: tuple[str, ...] = field(default=("localhost",), metadata={"each": _domain})
    """The domains served."""
    store: str | None = field(default=None, metadata={"path": True})
    """The file of users, rosters, messages and rooms; None is "xmpp.sqlite" in the state folder."""
    anonymous: str = field(default="loopback", metadata={"choices": ("loopback", "always", "never")})
    """Who may log in without a name: direct loopback peers, everybody, or nobody."""
    register: bool = False
    """Whether clients may register accounts (XEP-0077)."""
    secure: bool = False
    """Whether passwords may be sent in the clear, because something else protects the way to this daemon."""
    rooms: bool = True
    """Whether there are rooms, at conference.DOMAIN."""
    history: int = fields.count(50, "messages", 0)
    """Limit of the messages that a room remembers."""
    offline: int = fields.count(1_000, "messages", 0)
    """Limit of the stored messages of one user."""
    contacts: int = fields.count(1_000, "contacts")
    """Limit of the contacts, and of the blocked addresses, of one user."""
    sessions: int = fields.count(20, "sessions")
    """Limit of the sessions of one user."""
    resume: float = field(default=300.0, metadata={"unit": "seconds", "least": 0})
    """Seconds for which a session may be resumed after its connection is lost; 0 turns resumption off."""
    unacknowledged: int = fields.count(1_000, "stanzas")
    """Limit of the stanzas sent to one session and not acknowledged."""
    max_held: int = field(default=64 * MIB, metadata={"size": True, "least": 1 * MIB})
    """Limit in bytes of the memory for sessions without a connection, and for rooms; one address may use a quarter."""
    max_stanza: int = field(default=256 * KIB, metadata={"size": True, "least": 10_000})
    """Limit of the bytes of a message from a client, at least 10,000 (RFC 6120 13.12)."""
    url: str | None = field(default=None, metadata={"each": _url})
    """The URL of this route in host-meta; None is a URL at the host that the request names."""
    see_other: str | None = field(default=None, metadata={"each": _url})
    """The URL to which clients are sent, because this route has moved (RFC 7395 3.6.1)."""
    upstream: str | None = field(default=None, metadata={"each": _upstream})
    """The server to which this route is the gateway; the route then serves nobody itself."""
    upstream_tls: str = field(default="required", metadata={"choices": ("required", "optional", "none")})
    """STARTTLS with that server: required, used if it is offered, or not used."""
    upstream_ca: str | None = field(default=None, metadata={"path": True})
    """The PEM file of the authorities that may sign its certificate; None stands for those of the system."""
    upstream_proxy: bool = False
    """Whether the server is told the client's address by a PROXY header."""

    def storeFile(self, environ: Mapping[str, str]) -> Path:
        """The file of the store."""
        return Path(self.store or Path(stateFolder(environ)) / STORE_NAME)

    def check(self) -> list[str]:
        """Check the store, and return warnings. Raises ValueError if it cannot be opened."""
        if self.upstream is not None:
            return []
        return checkStore(self.storeFile(os.environ))

    def lockFiles(self, environ: Mapping[str, str]) -> list[Path]:
        """The files that the daemon locks, so that no other daemon uses the same store; a gateway has none."""
        if self.upstream is not None:
            return []
        if self.store:
            return [Path(f"{self.store}.lock")]
        folder = Path(stateFolder(environ))
        return [folder / LOCK, folder / f"{STORE_NAME}.lock"]

    @property
    def isOwn(self) -> bool:
        """Whether any key is set: a route without keys takes those of another one."""
        return self != XmppOptions()
