"""Request heads: both splitters find the same parts, and a head is parsed or `Refused`."""

from __future__ import annotations

from contextlib import suppress

from wsd.head import MAX_HEAD, Head, Refused, afterBlankLines, decodedPath, endOfHead, parseHead, pythonSplit, split


def check(data: bytes) -> None:
    """Takes what a client sends up to the end of its head."""
    data = afterBlankLines(data)
    with suppress(Refused):
        end = endOfHead(data)
        data = data if end < 0 else data[:end]
    if len(data) <= MAX_HEAD:
        assert split(data) == pythonSplit(data)
    with suppress(Refused):
        _checkHead(parseHead(data))


def _checkHead(head: Head) -> None:
    decodedPath(head.path)
    assert head.isUpgrade in (True, False)
    assert head.length is None or head.length >= 0
    assert not (head.chunked and head.length is not None)
    assert "\r" not in head.line + head.path + head.query + head.host
