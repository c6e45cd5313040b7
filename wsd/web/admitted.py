"""A request that the door has let in, and what its head says about the body and the connection."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from wsd.connection.access import clientFields
from wsd.head import Head
from wsd.policies.address import Peer, TlsInfo

CHUNKED = -1
"""The length of a body whose length is not known before its end."""


class Admitted:
    """
    A request that the door has let in: its head, the true peer, and what TLS agreed on (None without TLS).

    A client often sends the same head again, so one of these may stand for several requests of a connection. It is
    never changed.
    """

    __slots__ = (
        "awaitsContinue",
        "client",
        "head",
        "isPersistent",
        "length",
        "method",
        "parts",
        "peer",
        "protocol",
        "tls",
    )

    def __init__(self, head: Head, peer: Peer, tls: TlsInfo | None) -> None:
        self.head = head
        self.peer = peer
        self.tls = tls
        self.client = clientFields(peer, tls)
        """The fields about the client in the access line, unless it has logged in."""
        self.method = head.method.encode("latin-1")
        self.protocol = b"HTTP/%d.%d" % head.version
        isCurrent = head.version == (1, 1)
        self.length = CHUNKED if head.chunked else head.length or 0
        """Bytes of the body, 0 without one, and `CHUNKED`."""
        self.awaitsContinue = isCurrent and "100-continue" in head.headers.tokens("Expect")
        """Whether the client waits for 100 before it sends the body (RFC 9110 10.1.1)."""
        self.isPersistent = isCurrent and "close" not in head.headers.tokens("Connection")
        """Whether another request may follow on the connection (RFC 9112 9.3)."""
        self.parts = tuple(unquote_to_bytes(part) for part in head.path[1:].encode("latin-1").split(b"/"))
        """The segments of the path."""
