"""The opening handshake's request, as a protocol sees it, and the acceptance that it returns (RFC 6455 4.2.2)."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from twisted.internet.interfaces import IProtocol

from wsd.auth.outcome import AuthenticatedUser
from wsd.head import Head, Refused
from wsd.policies.address import Peer, TlsInfo
from wsd.policies.negotiation import Deflate, Offers

if TYPE_CHECKING:
    from wsd.traces.tracer import Span

_MAX_QUERY_FIELDS = 100

_IDS = 256
"""Ids made at a time: a system call for each would take most of the time."""
_ids: list[str] = []


def newId() -> str:
    """Returns a new id for a connection or a request in logs and responses: ten random hexadecimal digits."""
    if not _ids:
        digits = secrets.token_hex(5 * _IDS)
        _ids.extend(digits[start : start + 10] for start in range(0, len(digits), 10))
    return _ids.pop()


@dataclass(frozen=True, slots=True)
class Accept:
    """
    Returned by `Connection.opening` to open the connection.

    `subprotocol` is one that was offered, or None. `headers` are added to the response. `deflate` False declines
    permessage-deflate, and a `Deflate` has the parameters that the protocol has chosen itself.
    """

    subprotocol: str | None = None
    headers: Sequence[tuple[str, str]] = ()
    deflate: bool | Deflate = True


class Request:
    """
    The request of one opening handshake.

    `head` is the request head, `peer` the true client, and `tls` what the TLS handshake agreed on (None without TLS).
    `subprotocols` are those that the client offers, in its order. `extensions` are those that it offers, each with its
    parameters.
    """

    span: Span | None = None
    """The handshake in its trace; None without traces."""

    def __init__(
        self,
        head: Head,
        peer: Peer,
        tls: TlsInfo | None = None,
        subprotocols: tuple[str, ...] = (),
        extensions: Offers = (),
        key: str = "",
        requestId: str | None = None,
        identity: AuthenticatedUser | None = None,
    ) -> None:
        self.id = requestId or newId()
        self.head = head
        self.peer = peer
        self.tls = tls
        self.subprotocols = subprotocols
        self.extensions = extensions
        self.key = key
        self.identity = identity
        """Who the client is, as the authentication of the route has found out; None without one."""
        self.raw: IProtocol | None = None
        self._queries: dict[str, str] | None = None

    @property
    def user(self) -> str | None:
        """The name of the authenticated user, None without one."""
        return None if self.identity is None else self.identity.name

    @property
    def queries(self) -> dict[str, str]:
        """The query's fields by name; of repeated fields the last. Raises `Refused` (400) if the query is malformed."""
        if self._queries is None:
            self._queries = _readQuery(self.head.query) if self.head.query else {}
        return self._queries

    def takeRaw(self, protocol: IProtocol) -> None:
        """
        Give the bare byte stream to `protocol`, which responds to the request itself.

        It is connected to the transport when `opening` has returned, and receives what came after the head. Nothing of
        the WebSocket protocol is sent.
        """
        self.raw = protocol


def _readQuery(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=_MAX_QUERY_FIELDS)
    except ValueError as error:
        raise Refused(400, f"the query cannot be read: {error}; write name=value&name=value in UTF-8") from None
    return dict(pairs)
