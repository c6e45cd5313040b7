"""What the causes of closed connections and the statuses of refused requests mean, and what to do about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from wsd.metrics import Cause


class Explanation(NamedTuple):
    """What happened, and what to do. `{after}`, `{code}` and `{reason}` in the former are those of the connection."""

    happened: str
    remedy: str


CAUSES: Mapping[Cause, Explanation] = {
    Cause.peer_closed: Explanation(
        "The client closed the connection with {code}{after}{reason}.",
        "Nothing on the server. If the client did not intend it, look there for a call of close(), or for a page that "
        "was closed or reloaded.",
    ),
    Cause.closed: Explanation(
        "The protocol of the route closed the connection with {code}{after}{reason}.",
        "The code and the reason are the protocol's own: its documentation explains them.",
    ),
    Cause.lost: Explanation(
        "The TCP connection broke{after}, or the client disconnected without a closing handshake.",
        "Let the client reconnect. If it happens often, check its network, and the proxies in between: their idle "
        "time-outs must be longer than ping_interval. Browsers also do this when a page is closed or a device sleeps.",
    ),
    Cause.ping_timeout: Explanation(
        "The client sent nothing for ping_timeout seconds after a ping, so the server dropped the connection{after}.",
        "The client or its network was gone or asleep, or the client blocks its event loop. Let it reconnect. Raise "
        "ping_timeout if clients are slow for good reasons.",
    ),
    Cause.closing_timeout: Explanation(
        "The client did not finish the closing handshake within closing_timeout, so the server dropped the "
        "connection{after}.",
        "Earlier lines say why the connection was being closed. The client should answer a close frame at once.",
    ),
    Cause.stalled: Explanation(
        "The client accepted none of its unsent data for stall_timeout seconds, so the server dropped the "
        "connection{after}.",
        "Find out why the client does not read: it may be suspended or busy, or its network is gone. Raise "
        "stall_timeout only if such clients are to be waited for.",
    ),
    Cause.overrun: Explanation(
        "More than max_unsent bytes waited to be sent to the client, so the server dropped the connection{after}.",
        "The client reads more slowly than the protocol sends. Send less, let the protocol stop while the connection "
        "is full, or raise max_unsent.",
    ),
    Cause.memory: Explanation(
        "More memory was held than memory_max allows, and this connection was one of the worst, so the server ended "
        "it{after}.",
        "Let the client try again later. If it happens often, raise memory_max, or lower max_message or max_unsent.",
    ),
    Cause.protocol_error: Explanation(
        "The client violated the WebSocket protocol, so the server closed the connection with {code}{after}.",
        "This is a fault of the client's library, or of something in between that changes the data. Update it, and "
        "report the fault that the log names.",
    ),
    Cause.invalid_payload: Explanation(
        "The client sent a text that is not UTF-8, or a compressed message that cannot be inflated, so the server "
        "closed the connection with {code}{after}.",
        "Send binary messages as binary, and text in UTF-8. If compression is at fault, update the client's library, "
        "or set deflate = false for the route.",
    ),
    Cause.too_big: Explanation(
        "The client sent a message or a frame that exceeds the limit, so the server closed the connection with "
        "{code}{after}.",
        "Send smaller messages, or raise max_message (and max_frame, if it is set) for the route.",
    ),
    Cause.internal_error: Explanation(
        "An error occurred in the server or in the protocol of the route, so the server ended the connection{after}.",
        "The log has the traceback in the line of the error. Report it to whoever wrote the protocol.",
    ),
    Cause.shutdown: Explanation(
        "The server was stopped or restarted, and closed the connection with {code}{after}.",
        "Let the client reconnect after a random delay of some seconds.",
    ),
    Cause.operator: Explanation(
        "An operator closed the connection with {code}{after}{reason}, by wsd ctl close.",
        "Nothing is wrong with the daemon. The line of the command in the log says who did it: control.command.",
    ),
    Cause.rate_limited: Explanation(
        "The client sent more messages or bytes per second than allowed, so the server closed the connection with"
        " {code}{after}.",
        "Let the client send more slowly, raise the rate in the configuration, or set over_rate to wait.",
    ),
    Cause.slow: Explanation(
        "The client read too slowly, and more messages waited for it than the route allows, so the server closed the "
        "connection with {code}{after}.",
        "Let the client reconnect and resume from its last position. If it often falls behind, raise slow_count and "
        "slow_size, or set slow to drop-oldest or latest for the route.",
    ),
    Cause.aborted: Explanation(
        "The protocol of the route dropped the connection without a closing handshake{after}.",
        "The documentation of the protocol, or other lines of this connection, say why.",
    ),
}

STATUSES: Mapping[int, str] = {
    400: "Correct the request as the sentence says. A proxy that changes or drops headers can cause this as well.",
    401: "Send valid credentials.",
    403: "Add the client's origin to `origins` of the route, its certificate to `clients`, or give the user access.",
    404: "Correct the path, or add a route for it to the configuration. The log of the start lists the routes' faults.",
    405: "Use a method that the Allow header of the answer names.",
    408: "Check the client's network, and send the request without pauses. opening_timeout and http_body_timeout are "
    "the limits.",
    413: "Send less, or raise the limit that the sentence names.",
    415: "Send the content in a type that the sentence names.",
    421: "Add the name to `hosts` in the configuration, or use a name that is in it.",
    426: "Connect with a WebSocket: new WebSocket(...), or a request with Upgrade: websocket that proxies pass on.",
    429: "Connect less often. handshakes_per_second and max_connections_per_address are the limits of one address; "
    "behind a proxy, check that trusted_proxies names it.",
    431: "Send fewer or smaller headers; often, cookies of the site are the cause.",
    500: "The log has the traceback in the line of the error. Report it to whoever wrote the protocol.",
    501: "Use what the sentence names instead.",
    503: "Try again later. If it stays so, /readyz and the log say what is missing.",
    505: "Use HTTP/1.1.",
}

OTHERS = "The sentence of the refusal says what would be right."
"""For any other status."""

LEFT = "Nothing on the server. If it happens often, check the client's network and its own time-outs."
TLS = "Check the client's versions of TLS and its certificate, and that it trusts the server's."
SHORT = "Raise LimitNOFILE= of the unit (ulimit -n), or lower max_connections."
