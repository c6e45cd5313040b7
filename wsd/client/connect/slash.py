"""What a person types at the prompt of `wsd connect`: a message, or a command such as `/close 4000 done`."""

from __future__ import annotations

from dataclasses import dataclass

from wsd.config.values import nearest, printable
from wsd.frames.codes import CloseCode, maySend

_MAX_DATA = 125
"""The longest payload of a control frame in bytes (RFC 6455 5.5); a close has two less for its reason."""

HELP = {
    "/close [CODE] [REASON]": "close the connection, with 1000 if there is no code",
    "/ping [TEXT]": "send a ping, and time its pong",
    "/binary HEX": "send a binary message: /binary 00 ff 7f",
    "//TEXT": "send a text message that begins with a slash: //TEXT sends /TEXT",
    "/help": "show this list",
}
COMMANDS = ("/binary", "/close", "/help", "/ping")


@dataclass(frozen=True, slots=True)
class Entered:
    """A command without its slash, or "message"; its payload; and for a close its code."""

    name: str
    payload: bytes = b""
    code: int = CloseCode.NORMAL_CLOSURE


def read(text: str) -> Entered:
    """Read what was entered. Raises ValueError with a sentence."""
    try:
        payload = text.encode()
    except UnicodeEncodeError:
        raise ValueError("this is not UTF-8, but a text message must be; /binary HEX sends any bytes") from None
    if not text.startswith("/") or text.startswith("//"):
        return Entered("message", payload.removeprefix(b"/"))
    name, _, rest = text.partition(" ")
    rest = rest.strip()
    if name == "/close":
        return _close(rest)
    if name == "/ping":
        return Entered("ping", _checked(rest.encode(), _MAX_DATA, "a ping"))
    if name == "/binary":
        try:
            return Entered("binary", bytes.fromhex(rest))
        except ValueError:
            raise ValueError("/binary: write pairs of hexadecimal digits, such as 00 ff 7f") from None
    if name == "/help":
        return Entered("help")
    raise ValueError(
        f"unknown command {printable(name)}; {nearest(name, COMMANDS)} (/{printable(name)} sends {printable(name)})"
    )


def _close(rest: str) -> Entered:
    first, _, reason = rest.partition(" ")
    if not first.isdecimal():
        return Entered("close", _checked(rest.encode(), _MAX_DATA - 2, "a reason"))
    code = int(first) if len(first) < 6 else 0
    if not maySend(code):
        raise ValueError(f"{first} is not a close code; write 1000 to 1003, 1007 to 1014 or 3000 to 4999")
    return Entered("close", _checked(reason.strip().encode(), _MAX_DATA - 2, "a reason"), code)


def _checked(payload: bytes, most: int, what: str) -> bytes:
    if len(payload) > most:
        raise ValueError(f"{what} of {len(payload)} bytes is too long; the limit is {most} bytes")
    return payload
