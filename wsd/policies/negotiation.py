"""What the opening handshake negotiates: the subprotocol (RFC 6455 4.2.2) and permessage-deflate (RFC 7692)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from wsd.head import Headers, Refused, shown

_TCHAR = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_NAME = re.compile(rf"{_TCHAR}+\Z")
_PARAMETER = re.compile(rf'({_TCHAR}++)(?:[ \t]*+=[ \t]*+(?:({_TCHAR}++)|"((?:{_TCHAR}|\\{_TCHAR})+)"))?\Z')
"""A parameter. A quoted value must be a token after unescaping (RFC 6455 9.1)."""
_BITS = re.compile(r"(?:[89]|1[0-5])\Z")
_FLAGS = ("server_no_context_takeover", "client_no_context_takeover")
_USUAL = 200
"""Characters up to which an offer is cached. Those of browsers have fewer than 60."""
_LEAST_BITS = 9
"""zlib deflates raw streams with a window of at least 2**9 bytes."""

Parameters = tuple[tuple[str, str | None], ...]
Offers = tuple[tuple[str, Parameters], ...]
"""Extensions, each with its parameters and their values."""


def offeredSubprotocols(headers: Headers) -> tuple[str, ...]:
    """
    Returns the subprotocols that a client offers, in its order. Repeated fields are one list (RFC 6455 11.3.4).

    Empty elements are ignored (RFC 9110 5.6.1.2). Raises `Refused` (400) unless the elements are distinct tokens (RFC
    6455 4.1).
    """
    value = headers.byName.get("sec-websocket-protocol")
    if value is None:
        return ()
    names = tuple(name for element in value.split(",") if (name := element.strip(" \t")))
    seen = set()
    for name in names or (value,):
        if not _NAME.match(name):
            raise Refused(
                400, f"Sec-WebSocket-Protocol offers {shown(name)}, which is not a valid name; write them as one, two"
            )
        if name in seen:
            raise Refused(400, f"Sec-WebSocket-Protocol offers {shown(name)} twice; offer each name once")
        seen.add(name)
    return names


def choose(offered: tuple[str, ...], available: tuple[str, ...], prefer: str) -> str | None:
    """Returns the first subprotocol in common, in the order of `prefer` ("client" or "server"), or None."""
    first, second = (available, offered) if prefer == "server" else (offered, available)
    return next((name for name in first if name in second), None)


def offeredExtensions(headers: Headers) -> Offers:
    """
    Returns the extensions that a client offers. Repeated fields are one list (RFC 6455 11.3.2).

    Raises `Refused` (400) for a malformed field (RFC 6455 9.1). `acceptDeflate` declines unknown extensions and
    parameters.
    """
    value = headers.byName.get("sec-websocket-extensions")
    if value is None:
        return ()
    return _readCached(value) if len(value) <= _USUAL else _read(value)


def _read(value: str) -> Offers:
    """Parse Sec-WebSocket-Extensions."""
    offers = []
    for element in value.split(","):
        if not element.strip(" \t"):
            # Lists may have empty elements (RFC 9110 5.6.1.2).
            continue
        name, *parameters = (part.strip(" \t") for part in element.split(";"))
        if not _NAME.match(name):
            raise _malformed(name)
        offers.append((name, tuple(map(_parameter, parameters))))
    return tuple(offers)


_readCached = lru_cache(64)(_read)
"""The same for usual values: browsers send one of a few. An unusual one would keep up to a mebibyte."""


def _parameter(text: str) -> tuple[str, str | None]:
    match = _PARAMETER.match(text)
    if match is None:
        raise _malformed(text)
    name, token, quoted = match.groups()
    return name, quoted.replace("\\", "") if quoted else token


def _malformed(part: str) -> Refused:
    return Refused(400, f"Sec-WebSocket-Extensions has {shown(part)}; write it as name; parameter; parameter=value")


@dataclass(frozen=True, slots=True)
class Deflate:
    """
    The negotiated parameters of permessage-deflate.

    Our deflating may use a window of 2**serverBits bytes, and our inflating needs one of 2**clientBits bytes. `answer`
    is the value of Sec-WebSocket-Extensions for the response.
    """

    serverNoContext: bool
    clientNoContext: bool
    serverBits: int
    clientBits: int
    answer: str


def acceptDeflate(offers: Offers) -> Deflate | None:
    """Accept the first possible offer of permessage-deflate (RFC 7692 5.1). Returns None if all are declined."""
    for name, parameters in offers:
        # There are four parameters, none of which may be repeated.
        isPossible = name == "permessage-deflate" and len(parameters) <= 4
        if isPossible and (agreed := _accept(parameters)) is not None:
            return agreed
    return None


def _isKnown(name: str, value: str | None) -> bool:
    """Returns whether a parameter is one of RFC 7692 7.1, with a valid value."""
    if name in _FLAGS:
        return value is None
    if value is None:
        return name == "client_max_window_bits"
    return name in ("server_max_window_bits", "client_max_window_bits") and _BITS.match(value) is not None


@lru_cache(64)
def _accept(parameters: Parameters) -> Deflate | None:
    """Accept an offer. Returns None if a parameter is unknown, repeated, invalid, or not possible (RFC 7692 7.1)."""
    values = dict(parameters)
    if len(values) < len(parameters) or not all(_isKnown(name, value) for name, value in parameters):
        return None
    serverBits, clientBits = values.get("server_max_window_bits"), values.get("client_max_window_bits")
    if serverBits is not None and int(serverBits) < _LEAST_BITS:
        return None
    answer = ["permessage-deflate", *(flag for flag in _FLAGS if flag in values)]
    if serverBits is not None:
        answer.append(f"server_max_window_bits={serverBits}")
    if clientBits is not None:
        answer.append(f"client_max_window_bits={clientBits}")
    return Deflate(
        serverNoContext=_FLAGS[0] in values,
        clientNoContext=_FLAGS[1] in values,
        serverBits=int(serverBits or 15),
        # Old versions of zlib deflate with 2**9 if 2**8 is requested. A larger window inflates both.
        clientBits=max(int(clientBits or 15), _LEAST_BITS),
        answer="; ".join(answer),
    )
