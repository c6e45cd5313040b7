"""The access line: one line of the log at the end of each connection and of each HTTP request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from wsd.head import Head
from wsd.logs import escaped
from wsd.metrics import Cause
from wsd.policies.address import Peer, TlsInfo

_LOGGED = 200
"""The number of characters of a path that are logged."""

_BY: Mapping[Cause, str] = {Cause.peer_closed: "client", Cause.lost: "network"}
"""Who ended a connection, unless it was the server."""

_CLOSED = (
    "closed: {cause}, {code}, by the {by}; {path} for {peer}; {duration:.3f} s; messages received"
    " {messages_received} ({bytes_received} bytes), sent {messages_sent} ({bytes_sent} bytes)"
)
_OPTIONAL = ("via", "proxy_id", "tls", "subprotocol", "extensions", "user", "trace_id")
"""Fields that are in the line if they have a value."""


def pathOf(head: Head) -> str:
    """Returns the requested path for the log, cut to a limit. The query is left out, since it may have a secret."""
    return _shortened(head.target)


@lru_cache(64)
def _shortened(target: str) -> str:
    path = target.partition("?")[0]
    return escaped(path if len(path) <= _LOGGED else f"{path[:_LOGGED]}...")


def clientFields(peer: Peer, tls: TlsInfo | None, user: str | None = None) -> dict[str, str]:
    """The fields about a client: its true address, the proxy in between, its version of TLS, and its user."""
    fields = {"peer": str(peer)}
    if peer.via is not None:
        fields["via"] = peer.via
    if peer.proxyId is not None:
        fields["proxy_id"] = peer.proxyId
    if tls is not None:
        fields["tls"] = tls.version
    user = user or (tls.client if tls is not None else None)
    if user:
        fields["user"] = user
    return fields


def logClosed(connection: Any, code: int, sentence: str) -> None:
    """Write the line about a WebSocket that has ended."""
    frames, request, peer, tls, user = (
        connection.frames,
        connection.request,
        connection.peer,
        connection.tls,
        connection.user,
    )
    fields = {
        "event": "connection.closed",
        "cause": str(connection.cause),
        "by": _BY.get(connection.cause, "server"),
        "code": code,
        "sentence": sentence,
        "sent": connection.localCloseCode,
        "told": connection.told,
        "path": pathOf(request.head),
        "route": connection.factory.route.path,
        "peer": str(peer),
        "duration": round(connection.factory.clock.seconds() - connection.openedAt, 3),
        "messages_received": frames.messagesIn,
        "bytes_received": frames.bytesIn,
        "messages_sent": frames.messagesOut,
        "bytes_sent": frames.bytesOut,
    }
    optional: tuple[str, ...] = ()
    subprotocol, extensions, traceId = connection.subprotocol, connection.extension, connection.log.traceId
    if tls is not None or subprotocol or extensions or user or traceId or peer.via or peer.proxyId:
        fields |= clientFields(peer, tls, user)
        fields |= {"subprotocol": subprotocol, "extensions": extensions or None, "trace_id": traceId}
        optional = tuple(filter(fields.get, _OPTIONAL))
    # A client may answer with another code than the one that it was told.
    isOther = connection.closedByMe and connection.localCloseCode not in (None, code)
    template = _closedTemplate(optional, isOther, connection.told is not None, bool(sentence))
    connection.log.publish(template, fields)


@lru_cache
def _closedTemplate(optional: tuple[str, ...], isOther: bool, isTold: bool, hasSentence: bool) -> str:
    parts = ("; sent code {sent}", isOther), ("; told: {told}", isTold), ("; reason: {sentence}", hasSentence)
    # The sentence is at the end, since it is the client's text.
    return _CLOSED + _named(optional) + "".join(part for part, isThere in parts if isThere)


def _named(optional: Iterable[str]) -> str:
    """The part of a template for these fields."""
    return "".join(f"; {name} {{{name}}}" for name in optional)


def requestLine(
    beginning: str, head: Head, client: Mapping[str, str], status: int, duration: float, received: int, sent: int
) -> tuple[str, dict[str, Any]]:
    """The template, of which the beginning is given, and the fields of the line about an HTTP request that ended."""
    fields = {
        "method": escaped(head.method[:_LOGGED]),
        "path": pathOf(head),
        **client,
        "status": status,
        "duration": round(duration, 3),
        "bytes_received": received,
        "bytes_sent": sent,
    }
    return _requestTemplate(beginning, tuple(client)), fields


@lru_cache
def _requestTemplate(beginning: str, names: tuple[str, ...]) -> str:
    template = beginning + "; {duration:.3f} s, received {bytes_received} bytes, sent {bytes_sent}"
    return template + _named(name for name in _OPTIONAL if name in names)
