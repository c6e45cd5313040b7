"""The request that opens a connection, as a protocol sees it, and the answer that accepts it (RFC 6455, 4.2.2)."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from twisted.internet.interfaces import IProtocol

from wsd.head import Head, Refused
from wsd.policies.address import Peer, TlsInfo
from wsd.policies.negotiation import Deflate, Offers

_MAX_QUERY_FIELDS = 100

_IDS = 256
"""Names drawn at once: asking the kernel for each would take most of the time."""
_ids: list[str] = []


def newId() -> str:
    """A new name for a connection or a request in logs and answers: ten random hexadecimal digits."""
    if not _ids:
        digits = secrets.token_hex(5 * _IDS)
        _ids.extend(digits[start : start + 10] for start in range(0, len(digits), 10))
    return _ids.pop()


@dataclass(frozen=True, slots=True)
class Accept:
    """
    What `Connection.opening` returns: the connection opens.

    `subprotocol` is one that was offered, or None; `headers` are put into the answer; `deflate` False leaves
    permessage-deflate out though it was offered, and a `Deflate` is what the protocol has agreed on itself.
    """

    subprotocol: str | None = None
    headers: Sequence[tuple[str, str]] = ()
    deflate: bool | Deflate = True


class Request:
    """
    One opening handshake: who asks, for what, and what was offered.

    `head` is the request head, `peer` the true peer, `tls` what the TLS handshake agreed on (None without TLS),
    `subprotocols` what the client offers in its order, `extensions` what it offers beside, each with its parameters.
    """

    def __init__(
        self,
        head: Head,
        peer: Peer,
        tls: TlsInfo | None = None,
        subprotocols: tuple[str, ...] = (),
        extensions: Offers = (),
        key: str = "",
        requestId: str | None = None,
    ) -> None:
        self.id = requestId or newId()
        self.head = head
        self.peer = peer
        self.tls = tls
        self.subprotocols = subprotocols
        self.extensions = extensions
        self.key = key
        self.raw: IProtocol | None = None
        self._queries: dict[str, str] | None = None

    @property
    def queries(self) -> dict[str, str]:
        """The fields of the query by name; the last one of a name counts. Raises `Refused` (400) if it is malformed."""
        if self._queries is None:
            self._queries = _readQuery(self.head.query) if self.head.query else {}
        return self._queries

    def takeRaw(self, protocol: IProtocol) -> None:
        """
        Give the bare stream of bytes to `protocol`, which answers the request itself.

        It is connected to the transport when `opening` has returned, and receives what came after the head; nothing of
        a WebSocket is sent.
        """
        self.raw = protocol


def _readQuery(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=_MAX_QUERY_FIELDS)
    except ValueError as error:
        raise Refused(400, f"the query cannot be read: {error}; write name=value&name=value in UTF-8") from None
    return dict(pairs)
