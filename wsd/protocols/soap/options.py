"""The keys of a route of SOAP."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from wsd.config import fields
from wsd.config.values import MIB

_OURS = ("host", "connection", "upgrade", "transfer-encoding", "te", "trailer", "expect", "soapaction", "accept")
"""Headers that are of one connection, or that the gateway writes itself."""


def _service(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][\w.]*(:[A-Za-z_]\w*)?", text):
        raise ValueError(
            f'"{text}" is no module of Python; write "quotes", "package.quotes" or "package.quotes:service"'
        )
    return text


def _upstream(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", text):
        raise ValueError(f'"{text}" is not the URL of a service; write "https://example.com/service"')
    return text


def _header(text: str) -> str:
    name = text.lower()
    if not re.fullmatch(r"[a-z0-9-]+", name) or name.startswith("content-") or name in _OURS:
        raise ValueError(f'"{text}" is no header that may be passed on; write "authorization", say')
    return name


@dataclass(frozen=True)
class SoapOptions:
    """The service of a route, or the one that it is the gateway to; with neither, a demonstration."""

    contract: str | None = field(default=None, metadata={"path": True})
    """The WSDL or schema that says what the service offers; None for a service that says so itself."""
    service: str | None = field(default=None, metadata={"each": _service})
    """The module, or what in it, that answers: "package.module:name"."""
    calls: int = fields.count(64, "calls", most=10_000)
    """Calls of one connection that may be open at a time; with as many nothing more is read from it."""
    threads: int = field(default=4, metadata={"unit": "threads", "least": 1, "most": 64})
    """Threads for functions that block."""
    timeout: float = field(default=60.0, metadata={"unit": "seconds", "least": 0.1})
    """Seconds within which a blocking function or a coroutine must answer."""
    upstream: str | None = field(default=None, metadata={"each": _upstream})
    """The service behind: this route is its gateway, and serves nothing itself."""
    upstream_timeout: float = field(default=30.0, metadata={"unit": "seconds", "least": 0.1})
    """Seconds in which it must have answered."""
    upstream_calls: int = fields.count(8, "calls", most=10_000)
    """Calls of one connection that it is given at a time."""
    max_answer: int = field(default=8 * MIB, metadata={"size": True, "least": 1024})
    """Bytes of an answer of its."""
    upstream_headers: tuple[str, ...] = field(default=(), metadata={"each": _header})
    """Headers of the client's opening handshake that are passed on to it."""

    def __post_init__(self) -> None:
        if self.contract is not None and self.service is None:
            raise ValueError("contract: there is no service behind it; name the module that answers in service")
        if self.upstream is not None and self.service is not None:
            raise ValueError("upstream: a route is a gateway or has a service; leave one of them out")
