"""Reads why a server refused a handshake, from its HTTP response (RFC 9112)."""

from __future__ import annotations

import html
import json
import re

from wsd.client.failures import Unanswered, Unwelcome
from wsd.config.values import printable

LARGEST = 1 << 16
"""Bytes of a body that are waited for."""
_LONGEST = 300
"""Characters of its text that are shown."""
_STATUS = re.compile(r"HTTP/[0-9.]+ ([0-9]{3})(?: |\Z)(.*)")
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_SENTENCES = ("message", "detail", "error_description", "error", "title", "reason")
"""Keys under which APIs put a sentence into JSON."""


class Response:
    """The response to a handshake, as far as it has come."""

    def __init__(self, data: bytes) -> None:
        head, self.isComplete, self._rest = data.partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        match = _STATUS.match(line)
        self.code = int(match[1]) if match else None
        """The status, None if this is not HTTP."""
        self._phrase = match[2].strip() if match else ""
        fields = (each.partition(":") for each in lines)
        self._headers = {name.strip().lower(): value.strip() for name, _, value in fields}

    @property
    def isWhole(self) -> bool:
        """Whether the head and the body have come, or as much of the body as is waited for."""
        if not self.isComplete:
            return False
        if len(self._rest) >= LARGEST or self.code in (204, 304):
            return True
        if "chunked" in self._headers.get("transfer-encoding", "").lower():
            return self._rest.endswith(b"0\r\n\r\n")
        length = self._headers.get("content-length", "")
        return length.isdecimal() and len(self._rest) >= int(length)

    def refusal(self) -> Unanswered:
        """The error for a status other than 101: the status, and what the body says."""
        if self.code is None:
            return Unanswered("is not a WebSocket server: its answer is not HTTP")
        sentence = f"refused with {self.code} {printable(self._phrase)}".rstrip()
        if 300 <= self.code < 400 and "location" in self._headers:
            sentence += f": connect to {printable(self._headers['location'])} instead"
        elif said := self._said():
            sentence += f": {said}"
        return Unwelcome(sentence, self.code)

    def _said(self) -> str:
        """What the body says, on one line."""
        kind = self._headers.get("content-type", "").lower()
        text = self._body().decode("utf-8", "replace").strip()
        if "html" in kind:
            title = _TITLE.search(text)
            found = html.unescape(title[1]) if title else ""
            text = "" if str(self.code) in found or found.strip() == self._phrase else found
        elif "json" in kind:
            text = _sentenceIn(text)
        elif kind and not kind.startswith("text/"):
            text = ""
        line = next((each.strip() for each in text.split("\n") if each.strip()), "")
        return printable(line[:_LONGEST]) + ("..." if len(line) > _LONGEST else "")

    def _body(self) -> bytes:
        if "chunked" not in self._headers.get("transfer-encoding", "").lower():
            return self._rest
        whole, rest = b"", self._rest
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            try:
                length = int(size.partition(b";")[0], 16)
            except ValueError:
                break
            whole, rest = whole + rest[:length], rest[length + 2 :]
        return whole


def _sentenceIn(text: str) -> str:
    """The sentence in a body of JSON: under one of the usual keys, else the JSON itself on one line."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(value, dict):
        for key in _SENTENCES:
            if isinstance(value.get(key), str):
                return str(value[key])
    return json.dumps(value, ensure_ascii=False)
