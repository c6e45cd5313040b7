"""Tells about a connection: in a row of a list, or everything."""

from __future__ import annotations

import socket
import struct
from datetime import UTC, datetime
from time import time
from typing import Any

from wsd.connection import Connection
from wsd.logs import escaped

_SHOWN = ("Host", "Origin", "User-Agent", "X-Forwarded-For", "X-Forwarded-Proto", "Forwarded")
"""The header fields that are shown. Others may have credentials."""

_LONGEST = 1000
"""Characters of a value of the client's that are shown."""

_TCP_ROUND_TRIP = 68
"""Where tcpi_rtt is in Linux's struct tcp_info, in microseconds."""


def routeOf(connection: Connection) -> str:
    """The key of its route in the configuration."""
    route = connection.factory.route
    return f"{route.path.rstrip('/')}/*" if route.prefix else route.path


def ageOf(connection: Connection, now: float) -> float:
    """Seconds since it opened; before that, since its request."""
    return now - connection.openedAt


def stateOf(connection: Connection) -> str:
    """One of "opening", "open", "closing", "closed", and "raw" for a bare stream of bytes."""
    if connection.request.raw is not None and connection.state == connection.STATE_CONNECTING:
        return "raw"
    return {
        connection.STATE_CONNECTING: "opening",
        connection.STATE_OPEN: "open",
        connection.STATE_CLOSING: "closing",
    }.get(connection.state, "closed")


def rowOf(connection: Connection, now: float) -> dict[str, Any]:
    """What a list shows of it. `now` is the time of the connection's clock."""
    peer = connection.peer
    return {
        "id": connection.id,
        "route": routeOf(connection),
        "path": _shown(connection.request.head.target.partition("?")[0]),
        "address": peer.address,
        "port": peer.port,
        "via": peer.via,
        "user": connection.user,
        "subprotocol": connection.subprotocol,
        "state": stateOf(connection),
        "age": round(ageOf(connection, now), 3),
        "messages_received": connection.messagesReceived,
        "messages_sent": connection.messagesSent,
        "bytes_received": connection.bytesReceived,
        "bytes_sent": connection.bytesSent,
        "unsent": connection.unsent,
        "full": connection.isFull,
        "round_trip": _rounded(connection.roundTrip),
    }


def detailsOf(connection: Connection, now: float) -> dict[str, Any]:
    """Everything about it, except what may be secret: payloads, credentials, the query."""
    row = rowOf(connection, now)
    row["opened"] = datetime.fromtimestamp(time() - row["age"], UTC).isoformat(timespec="milliseconds")
    row["round_trip_tcp"] = _tcpRoundTrip(connection)
    row["proxy_id"] = connection.peer.proxyId
    row["handshake"] = _handshakeOf(connection)
    row["tls"] = _tlsOf(connection)
    row["buffers"] = {
        "unsent": connection.unsent,
        "kernel": _kernelBuffer(connection),
        "memory": connection.memoryInUse,
    }
    row["limits"] = _limitsOf(connection)
    row["cause"] = None if connection.cause is None else str(connection.cause)
    return row


def _handshakeOf(connection: Connection) -> dict[str, Any]:
    request = connection.request
    headers = request.head.headers
    return {
        "headers": {name: _shown(value) for name in _SHOWN if (value := headers.get(name)) is not None},
        "subprotocols": [_shown(name) for name in request.subprotocols],
        "subprotocol": connection.subprotocol,
        "extensions": connection.extension,
    }


def _tlsOf(connection: Connection) -> dict[str, Any] | None:
    tls = connection.tls
    if tls is None:
        return None
    return {"version": tls.version, "cipher": tls.cipher, "sni": tls.sni, "alpn": tls.alpn, "client": tls.client}


def _limitsOf(connection: Connection) -> dict[str, Any]:
    """The limits of its buffers and rates, and which of them it has reached."""
    policies = connection.factory.policies
    return {
        "max_message": connection.factory.frameLimits.maxMessage,
        "high_water": policies.high_water,
        "max_unsent": policies.max_unsent,
        "full": connection.isFull,
        "times_full": connection.fulls,
        "reading_held": bool(connection.held),
        "messages_per_second": policies.messages_per_second or None,
        "bytes_per_second": policies.bytes_per_second or None,
        "times_over_rate": connection.timesOverRate,
        "waits_for_rate": bool(connection.heldByRate),
    }


def _kernelBuffer(connection: Connection) -> int | None:
    """Bytes that the kernel has taken and the peer has not acknowledged, None if that is unknown."""
    wire = getattr(connection.transport, "wire", None)
    if wire is None or stateOf(connection) == "closed":
        return None
    try:
        return max(0, int(wire.written() - wire.unsent - wire.acknowledged()))
    except OSError:
        return None


def _tcpRoundTrip(connection: Connection) -> float | None:
    """The kernel's estimate of the round trip to the client, or to the proxy in between; None without TCP."""
    own: Any = getattr(getattr(connection.transport, "wire", None), "socket", None)
    try:
        info = own.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_ROUND_TRIP + 4)
        (microseconds,) = struct.unpack_from("I", info, _TCP_ROUND_TRIP)
    except (AttributeError, OSError, struct.error):
        return None
    return round(microseconds / 1e6, 6) or None


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)


def _shown(text: str) -> str:
    return escaped(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...")
