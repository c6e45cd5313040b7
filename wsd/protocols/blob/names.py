"""Names and media types of blobs: which may be, what the content says, and how a download is labelled (RFC 6266)."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

from wsd.protocols.blob.errors import BlobError

HEAD = 4096
"""Bytes of a file's beginning that its type is told from."""

UNKNOWN = "application/octet-stream"

_TEXT = "text/plain"
_ZIP = "application/zip"
_PK = b"PK\x03\x04"
_SURE = 3
"""Bytes that have to match before a file is said to be of a type."""

_MOST = 255
"""Bytes of UTF-8 that a name may have: what file systems take."""
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_ABOVE = r"\x80-\ud7ff\ue000-\U0010ffff"
_QUOTED = rf'"(?:[\t !#-\[\]-~{_ABOVE}]|\\[\t -~{_ABOVE}])*+"'
_VALUE = rf"(?:{_QUOTED}|{_TOKEN}(?:,{_TOKEN})*+)"
"""The value of a parameter. Browsers write codecs=vp9,opus for recordings, without the required quotation marks."""
_PARAMETER = re.compile(rf"[ \t]*+;[ \t]*+(?:({_TOKEN})={_VALUE})?")
_TYPE = re.compile(rf"({_TOKEN}/{_TOKEN})((?:[ \t]*+;[ \t]*+(?:{_TOKEN}={_VALUE})?)*+)")
_MOST_TYPE = 1024
_MEDIA = ("audio", "video", "application")
"""The top-level types that a media container may have, each with the same subtype."""
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""What turns the direction of writing, so that a name reads as another one."""
_SHOWN = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "text/plain")
"""Types that a browser may show by itself, beside sound and films; every other is saved."""
_PLAIN = re.compile(r"[A-Za-z0-9 !#$&+.^_`~()@=,-]+")


def checkName(name: object) -> str:
    """A file's name as it may be kept: no path, nothing that cannot be seen. Raises BlobError."""
    if not isinstance(name, str) or not name:
        raise BlobError("bad_name", 'the name is no text; write "name": "holiday.jpg"')
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise BlobError("bad_name", "the name is not Unicode; write it in UTF-8") from None
    if size > _MOST:
        raise BlobError("bad_name", f"the name is {size} bytes of UTF-8; {_MOST} is the most")
    if name in (".", "..") or "/" in name or "\\" in name:
        raise BlobError("bad_name", 'the name is a path; write the last part of it alone, without "/" and "\\"')
    if any(unicodedata.category(letter) == "Cc" or letter in _TURNING for letter in name):
        raise BlobError("bad_name", "the name has control characters in it; leave them out")
    return name


def checkType(kind: object) -> str | None:
    """A media type (RFC 9110 8.3.1) with its parameters; None for anything else, as if no type were given."""
    match = _TYPE.fullmatch(kind.strip(" \t")) if isinstance(kind, str) and len(kind) <= _MOST_TYPE else None
    if match is None or "*" in match[1].split("/"):
        return None
    return match[1].lower() + match[2]


def essenceOf(kind: str) -> str:
    """A media type without its parameters."""
    return kind.partition(";")[0].rstrip(" \t")


def typeOf(head: bytes, name: str = "", told: str | None = None) -> str:
    """
    The media type that a file's first bytes show; else what was told of it, text where it is that, or unknown.

    Where the bytes go with several, what was told or the name decides. Two bytes show nothing.
    """
    found = _typesOf(head, name)
    if told is not None and (not found or any(_isAlike(essenceOf(told), each) for each in found)):
        return told
    if found:
        return _ZIP if head.startswith(_PK) and len(found) > 1 else found[0]
    return _TEXT if _isText(head) else UNKNOWN


def _isAlike(kind: str, other: str) -> bool:
    """Whether two types name one format: a container may be audio, video or application, with or without x-."""
    (kindOf, name), (otherOf, otherName) = kind.split("/"), other.split("/")
    isMedia = kindOf in _MEDIA and otherOf in _MEDIA
    return kind == other or (isMedia and name.removeprefix("x-") == otherName.removeprefix("x-"))


def _typesOf(head: bytes, name: str) -> list[str]:
    """The types that go with a file's first bytes, the likeliest first."""
    from puremagic import PureError, magic_string

    try:
        matches = magic_string(head, name) if head else []
    except (PureError, ValueError):
        return []
    sure = [match for match in matches if len(match.byte_match) >= _SURE and _TYPE.fullmatch(match.mime_type)]
    types = [match.mime_type.lower() for match in sure if match.confidence == sure[0].confidence]
    return [_TEXT if each == "text/ascii" else each for each in types]


def _isText(head: bytes) -> bool:
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        # The last character may be cut off by the end of what is looked at.
        if len(head) < HEAD or error.start < len(head) - 3:
            return False
        text = head[: error.start].decode()
    return bool(text) and not any(unicodedata.category(letter) == "Cc" and letter not in "\t\n\r\f" for letter in text)


def contentType(kind: str) -> str:
    """The Content-Type of a download: text is UTF-8 where nothing else is said."""
    named = [name.lower() for name in _PARAMETER.findall(kind.removeprefix(essenceOf(kind)))]
    return f"{kind}; charset=utf-8" if kind.startswith("text/") and "charset" not in named else kind


def disposition(name: str, kind: str) -> str:
    """The Content-Disposition of a download: shown only where that does no harm, and named in every script."""
    shown = essenceOf(kind) in _SHOWN or kind.startswith(("audio/", "video/"))
    plain = name if _PLAIN.fullmatch(name) else "".join(c if _PLAIN.fullmatch(c) else "_" for c in name)
    label = f'{"inline" if shown else "attachment"}; filename="{plain}"'
    return label if plain == name else f"{label}; filename*=UTF-8''{quote(name, safe='')}"
