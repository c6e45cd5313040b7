"""Names and media types of files: checks, detection from the content, and the header fields of a download."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

from wsd.protocols.blob.errors import BlobError

HEAD = 4096
"""Bytes at the start of a file in which its type is detected."""

UNKNOWN = "application/octet-stream"

_TEXT = "text/plain"
_ZIP = "application/zip"
_PK = b"PK\x03\x04"
_LEAST_MATCH = 3
"""Bytes that must match before a file counts as being of a type."""

_MOST = 255
"""The longest name, in bytes of UTF-8: the limit of most file systems."""
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_ABOVE = r"\x80-\ud7ff\ue000-\U0010ffff"
_QUOTED = rf'"(?:[\t !#-\[\]-~{_ABOVE}]|\\[\t -~{_ABOVE}])*+"'
_VALUE = rf"(?:{_QUOTED}|{_TOKEN}(?:,{_TOKEN})*+)"
"""The value of a parameter (RFC 9110 5.6.6). Browsers write codecs=vp9,opus without the required quotation marks."""
_PARAMETER = re.compile(rf"[ \t]*+;[ \t]*+(?:({_TOKEN})={_VALUE})?")
_TYPE = re.compile(rf"({_TOKEN}/{_TOKEN})((?:[ \t]*+;[ \t]*+(?:{_TOKEN}={_VALUE})?)*+)")
_MOST_TYPE = 1024
"""The longest media type, in characters."""
_MEDIA = ("audio", "video", "application")
"""The top-level types under which the same container format is known."""
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the direction of text and can make a name look like another."""
_INLINE = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "text/plain")
"""The types that a browser may show, beside audio and video. Every other file is saved."""
_PLAIN = re.compile(r"[A-Za-z0-9 !#$&+.^_`~()@=,-]+")


def checkName(name: object) -> str:
    """Returns the name of a file if it is valid: not a path, and without control characters. Raises BlobError."""
    if not isinstance(name, str) or not name:
        raise BlobError("bad_name", 'the name must be a string, such as "name": "holiday.jpg"')
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise BlobError("bad_name", "the name is not valid UTF-8") from None
    if size > _MOST:
        raise BlobError("bad_name", f"the name is {size} bytes of UTF-8; the maximum is {_MOST}")
    if name in (".", "..") or "/" in name or "\\" in name:
        raise BlobError("bad_name", 'the name is a path; send only its last part, without "/" and "\\"')
    if any(unicodedata.category(letter) == "Cc" or letter in _BIDI_CONTROLS for letter in name):
        raise BlobError("bad_name", "the name has control characters; remove them")
    return name


def checkType(mediaType: object) -> str | None:
    """Returns a media type with its parameters (RFC 9110 8.3.1); None if it is not valid."""
    if not isinstance(mediaType, str) or len(mediaType) > _MOST_TYPE:
        return None
    match = _TYPE.fullmatch(mediaType.strip(" \t"))
    if match is None or "*" in match[1].split("/"):
        return None
    return match[1].lower() + match[2]


def essenceOf(mediaType: str) -> str:
    """Returns a media type without its parameters."""
    return mediaType.partition(";")[0].rstrip(" \t")


def typeOf(head: bytes, name: str = "", declared: str | None = None) -> str:
    """
    Returns the media type of a file, from its first bytes.

    If they match several types, the declared one or the one that fits the name is used. If they match none, the type is
    the declared one, else text/plain if they are text, else application/octet-stream.
    """
    found = _typesOf(head, name)
    if declared is not None and (not found or any(_isAlike(essenceOf(declared), each) for each in found)):
        return declared
    if found:
        return _ZIP if head.startswith(_PK) and len(found) > 1 else found[0]
    return _TEXT if _isText(head) else UNKNOWN


def _isAlike(kind: str, other: str) -> bool:
    """Whether two types name the same format, such as audio/x-matroska and video/matroska."""
    (kindOf, name), (otherOf, otherName) = kind.split("/"), other.split("/")
    isMedia = kindOf in _MEDIA and otherOf in _MEDIA
    return kind == other or (isMedia and name.removeprefix("x-") == otherName.removeprefix("x-"))


def _typesOf(head: bytes, name: str) -> list[str]:
    """Returns the types that match the first bytes of a file, the most likely first."""
    from puremagic import PureError, magic_string  # not above: the tools work without it

    try:
        matches = magic_string(head, name) if head else []
    except (PureError, ValueError):
        return []
    sure = [match for match in matches if len(match.byte_match) >= _LEAST_MATCH and _TYPE.fullmatch(match.mime_type)]
    types = [match.mime_type.lower() for match in sure if match.confidence == sure[0].confidence]
    return [_TEXT if each == "text/ascii" else each for each in types]


def _isText(head: bytes) -> bool:
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        # `head` may end within a character.
        if len(head) < HEAD or error.start < len(head) - 3:
            return False
        text = head[: error.start].decode()
    return bool(text) and not any(unicodedata.category(letter) == "Cc" and letter not in "\t\n\r\f" for letter in text)


def contentType(mediaType: str) -> str:
    """Returns the Content-Type of a download. Text without a charset is UTF-8."""
    named = [name.lower() for name in _PARAMETER.findall(mediaType.removeprefix(essenceOf(mediaType)))]
    return f"{mediaType}; charset=utf-8" if mediaType.startswith("text/") and "charset" not in named else mediaType


def disposition(name: str, mediaType: str) -> str:
    """Returns the Content-Disposition of a download (RFC 6266): inline if a browser may show it, else attachment."""
    isInline = essenceOf(mediaType) in _INLINE or mediaType.startswith(("audio/", "video/"))
    plain = name if _PLAIN.fullmatch(name) else "".join(c if _PLAIN.fullmatch(c) else "_" for c in name)
    label = f'{"inline" if isInline else "attachment"}; filename="{plain}"'
    return label if plain == name else f"{label}; filename*=UTF-8''{quote(name, safe='')}"
