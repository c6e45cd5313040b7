"""Parses values of header fields (tokens, quoted strings and lists, RFC 9110 5.6) and URIs of requests."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_SPACE = re.compile(r"(?:\r\n)?[ \t]+")
_QUOTED = re.compile(r'"((?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\x00-\x7f])*)"')


class ParsingState:
    """A text, and the position up to which it is parsed."""

    def __init__(self, data: str) -> None:
        self.data = data
        self.head = 0


def peek(state: ParsingState, pos: int = 0) -> str | None:
    """Returns the character `pos` places ahead; None beyond the end."""
    at = state.head + pos
    return state.data[at] if at < len(state.data) else None


def consume(state: ParsingState, amount: int = 1) -> str | None:
    """Consume `amount` characters, and return them; None if there are fewer."""
    if state.head + amount > len(state.data):
        return None
    taken = state.data[state.head : state.head + amount]
    state.head += amount
    return taken


def consume_string(state: ParsingState, expected: str) -> bool:
    """Consume this string, if it is next. Returns whether it was."""
    if not state.data.startswith(expected, state.head):
        return False
    state.head += len(expected)
    return True


def consume_lws(state: ParsingState) -> bool:
    """Consume white space, if it is next. Returns whether it was."""
    return _match(state, _SPACE) is not None


def consume_lwses(state: ParsingState) -> None:
    """Consume all white space that is next."""
    while consume_lws(state):
        pass


def consume_token(state: ParsingState) -> str | None:
    """Consume a token, and return it; None if none is next."""
    found = _match(state, _TOKEN)
    return found[0] if found else None


def consume_quoted_string(state: ParsingState) -> str | None:
    """Consume a quoted string, and return its content; None if none is next."""
    found = _match(state, _QUOTED)
    return re.sub(r"\\(.)", r"\1", found[1], flags=re.DOTALL) if found else None


def consume_token_or_quoted_string(state: ParsingState) -> str | None:
    """Consume a token or a quoted string, and return its content; None if neither is next."""
    token = consume_token(state)
    return consume_quoted_string(state) if token is None else token


def _match(state: ParsingState, pattern: re.Pattern[str]) -> re.Match[str] | None:
    found = pattern.match(state.data, state.head)
    if found is not None:
        state.head = found.end()
    return found


def quote_if_necessary(s: str) -> str:
    """Returns a token unchanged, and any other text as a quoted string."""
    if _TOKEN.fullmatch(s):
        return s
    return '"' + re.sub(r'(["\\])', r"\\\1", s) + '"'


def parse_uri(uri: str) -> tuple[str | None, int | None, str | None]:
    """Returns host, port and resource of a request's URI. For a path, host and port are None."""
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return None, None, None
    if not parts.hostname:
        return None, None, uri or "/"
    if port is None:
        port = {"ws": 80, "wss": 443, "http": 80, "https": 443}.get(parts.scheme)
    path = parts.path or "/"
    path += f"?{parts.query}" if parts.query else ""
    return parts.hostname, port, path + (f"#{parts.fragment}" if parts.fragment else "")
