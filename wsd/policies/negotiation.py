"""What is agreed on in the opening handshake: the subprotocol (RFC 6455 4.2.2), and permessage-deflate (RFC 7692)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from wsd.head import Headers, Refused

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_PARAMETER = re.compile(r"""([!#$%&'*+\-.^_`|~0-9A-Za-z]+)(?:\s*=\s*(?:"([^"\\]*)"|([!#$%&'*+\-.^_`|~0-9A-Za-z]+)))?\Z""")
_BITS = re.compile(r"(?:[89]|1[0-5])\Z")

Offers = Sequence[tuple[str, Sequence[tuple[str, str | None]]]]


def offeredSubprotocols(headers: Headers) -> tuple[str, ...]:
    """The subprotocols that a client offers, in its order. Raises `Refused` (400) for what is no list of distinct tokens."""
    value = headers.get("Sec-WebSocket-Protocol")
    if value is None:
        return ()
    names = tuple(name.strip(" \t") for name in value.split(","))
    for name in names:
        if not _TOKEN.match(name):
            raise Refused(400, f"Sec-WebSocket-Protocol has {ascii(name)[:80]}, which is no token; write names with commas between")
    if len(set(names)) < len(names):
        raise Refused(400, "Sec-WebSocket-Protocol offers a name twice; offer each once")
    return names


def choose(offered: tuple[str, ...], available: tuple[str, ...], prefer: str) -> str | None:
    """The subprotocol in common that comes first in the order that counts, `prefer` "client" or "server"; None if none is."""
    first, second = (available, offered) if prefer == "server" else (offered, available)
    return next((name for name in first if name in second), None)


def offeredExtensions(headers: Headers) -> list[tuple[str, list[tuple[str, str | None]]]]:
    """The extensions offered, each with its parameters. Raises `Refused` (400) for what is no list (RFC 6455 9.1)."""
    value = headers.get("Sec-WebSocket-Extensions")
    if value is None:
        return []
    offers = []
    for element in value.split(","):
        name, *parameters = (part.strip(" \t") for part in element.split(";"))
        matches = [_PARAMETER.match(parameter) for parameter in parameters]
        if not _TOKEN.match(name) or None in matches:
            raise Refused(400, f"Sec-WebSocket-Extensions has {ascii(element)[:80]}; write name; parameter=value")
        offers.append((name, [(m[1], m[2] if m[2] is not None else m[3]) for m in matches if m is not None]))
    return offers


@dataclass(frozen=True, slots=True)
class Deflate:
    """What was agreed on of permessage-deflate, and the answer that says so."""

    serverNoContext: bool
    clientNoContext: bool
    serverBits: int
    clientBits: int
    answer: str


def acceptDeflate(offers: Offers) -> Deflate | None:
    """The first offer of permessage-deflate that can be accepted; one with anything unknown is declined (RFC 7692 7.1)."""
    for name, parameters in offers:
        if name == "permessage-deflate" and (agreed := _accept(parameters)) is not None:
            return agreed
    return None


def _accept(parameters: Sequence[tuple[str, str | None]]) -> Deflate | None:
    values = dict(parameters)
    if len(values) < len(parameters):
        return None
    for name, value in parameters:
        if name in ("server_no_context_takeover", "client_no_context_takeover"):
            good = value is None
        elif name == "server_max_window_bits":
            good = value is not None and _BITS.match(value) is not None
        else:
            good = name == "client_max_window_bits" and (value is None or _BITS.match(value) is not None)
        if not good:
            return None
    serverBits = int(values.get("server_max_window_bits") or 15)
    if serverBits == 8:
        # zlib deflates with windows of 2**9 bytes and more only.
        return None
    clientBits = int(values.get("client_max_window_bits") or 15)
    answer = ["permessage-deflate"]
    answer += [name for name in ("server_no_context_takeover", "client_no_context_takeover") if name in values]
    if "server_max_window_bits" in values:
        answer.append(f"server_max_window_bits={serverBits}")
    if values.get("client_max_window_bits"):
        answer.append(f"client_max_window_bits={clientBits}")
    return Deflate(
        "server_no_context_takeover" in values, "client_no_context_takeover" in values, serverBits, clientBits, "; ".join(answer)
    )
