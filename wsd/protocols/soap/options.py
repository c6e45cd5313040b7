"""Options: the keys of a route with the protocol soap."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from wsd.config import fields
from wsd.config.values import MIB

_OURS = ("host", "connection", "upgrade", "transfer-encoding", "te", "trailer", "expect", "soapaction", "accept")
"""Headers that concern only one connection, and those that the gateway writes itself."""


def _upstream(text: str) -> str:
    try:
        url = urlsplit(text)
        isUrl = text.isascii() and url.hostname is not None and (url.port is None or url.port > 0)
    except ValueError:
        isUrl = False
    if not isUrl or not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", text):
        raise ValueError(f'"{text}" is not the URL of a service; write "https://example.com/service"')
    return text


def _header(text: str) -> str:
    name = text.lower()
    if not re.fullmatch(r"[a-z0-9-]+", name) or name.startswith("content-") or name in _OURS:
        raise ValueError(f'"{text}" is not a header that may be passed on; write for example "authorization"')
    return name


@dataclass(frozen=True)
class SoapOptions:
    """The service of a route, or the upstream service of a gateway; with neither, it is a demonstration."""

    contract: str | None = field(default=None, metadata={"path": True})
    """The WSDL or schema of the service; None for an Offer, which has its own."""
    service: str | None = field(default=None, metadata={"code": "quotes.py:quotes"})
    """The functions: a file or a module, or an object in it: "quotes.py:quotes", "package.quotes"."""
    calls: int = fields.count(64, "calls", most=10_000)
    """Limit of the open calls of one connection. At the limit, reading stops until a call is answered."""
    threads: int = field(default=4, metadata={"unit": "threads", "least": 1, "most": 64})
    """Threads for functions that block."""
    timeout: float = field(default=60.0, metadata={"unit": "seconds", "least": 0.1})
    """Seconds in which a blocking function or a coroutine must answer."""
    fault_status: str = fields.choice("500", "soap12")
    """The status of faults over HTTP: 500 always, which all clients read, or 400 for Sender in SOAP 1.2."""
    username_token: bool = False
    """Whether each message must have a user name and a password (WS-Security), and not the handshake."""
    session_strings: int = field(default=2048, metadata={"size": True, "least": 0, "most": MIB})
    """Limit of the strings of a client in a binary session in bytes."""
    upstream: str | None = field(default=None, metadata={"each": _upstream})
    """The URL of the upstream service, if the route is a gateway."""
    upstream_timeout: float = field(default=30.0, metadata={"unit": "seconds", "least": 0.1})
    """Seconds in which the upstream service must answer."""
    upstream_calls: int = fields.count(8, "calls", most=10_000)
    """Limit of the calls of one connection that are sent to the upstream service at a time."""
    max_answer: int = field(default=8 * MIB, metadata={"size": True, "least": 1024})
    """Limit of an answer of the upstream service in bytes."""
    upstream_headers: tuple[str, ...] = field(default=(), metadata={"each": _header})
    """Headers of the opening handshake that are passed on to the upstream service."""
    upstream_user: str | None = field(default=None, metadata={"each": _header})
    """The header in which the upstream service gets the name of the user; None for none."""

    def __post_init__(self) -> None:
        if self.contract is not None and self.service is None:
            raise ValueError("contract: needs service, the module with the functions")
        if self.upstream is not None and self.service is not None:
            raise ValueError("upstream: a route has either upstream or service; remove one of them")
        if self.upstream_user in self.upstream_headers:
            raise ValueError("upstream_user: clients could send it, since it is in upstream_headers; remove it there")
