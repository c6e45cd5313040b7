"""
Choice: the encoding that a content type means.

A WebSocket has it from its opening handshake: `soap-content-type` ([MS-SWSB] 2.1), and for a binary encoding
`microsoft-binary-transfer-mode`, which is Buffered if messages share a session. Over HTTP each request has its own.
"""

from __future__ import annotations

from functools import lru_cache

from wsd.connection import Refused
from wsd.protocols.soap.contenttype import mediaType, parameters
from wsd.protocols.soap.encodings.charsets import CHARSETS, UTF8, Charset, Declared
from wsd.protocols.soap.encodings.compression import CODINGS, Compressed
from wsd.protocols.soap.encodings.encoding import Encoding, Utf8
from wsd.protocols.soap.encodings.mtom import Mtom
from wsd.protocols.soap.encodings.nbfse import Binary, BinarySession
from wsd.protocols.soap.names import SOAP11, SOAP12

_VERSIONS = {version.contentType: version for version in (SOAP11, SOAP12)}
_BINARY = "application/soap+msbin1"
_SESSION = "application/soap+msbinsession1"
_MTOM = "multipart/related"
_SPOKEN = (
    "write application/soap+xml (1.2), text/xml (1.1), multipart/related (MTOM) or application/soap+msbin1 (binary)"
)


def encodingOfSocket(contentType: str | None, transferMode: str | None, sessionStrings: int) -> Encoding:
    """
    Returns the encoding of a WebSocket from the headers of its handshake; without any it is SOAP 1.2.

    `sessionStrings` is the limit of the strings of a binary session in bytes. Raises `Refused` (415).
    """
    if contentType is None:
        return Declared(SOAP12)
    kind, coding = _codingOf(mediaType(contentType))
    if kind not in (_BINARY, _SESSION):
        return _textOrMtom(contentType, "soap-content-type", hasHeaders=True)
    isSession = kind == _SESSION and (transferMode or "buffered").strip().lower() == "buffered"
    inner = BinarySession(sessionStrings) if isSession else Binary(kind)
    return Compressed(inner, coding) if coding else inner


def encodingOfRequest(contentType: str) -> Encoding:
    """Returns the encoding of an HTTP request. Raises `Refused` (415)."""
    return _sharedOf(contentType) or _encodingOf(contentType)


@lru_cache(32)
def _sharedOf(contentType: str) -> Encoding | None:
    """Returns an encoding for all requests of this content type; None for MTOM, whose answers differ in a boundary."""
    return None if mediaType(contentType) == _MTOM else _encodingOf(contentType)


def _encodingOf(contentType: str) -> Encoding:
    kind, coding = _codingOf(mediaType(contentType))
    if kind == _SESSION:
        raise Refused(415, f"Content-Type: a session needs a WebSocket; over HTTP write {_BINARY}")
    if kind != _BINARY:
        return _textOrMtom(contentType, "Content-Type", hasHeaders=False)
    return Compressed(Binary(), coding) if coding else Binary()


def _codingOf(kind: str) -> tuple[str, str]:
    """Returns a media type and the coding at its end, "" for none: `+gzip` or `+deflate`."""
    for coding in CODINGS:
        if kind.endswith(f"+{coding}"):
            return kind.removesuffix(f"+{coding}"), coding
    return kind, ""


def _textOrMtom(contentType: str, where: str, hasHeaders: bool) -> Encoding:
    """Returns the encoding of XML text or of MTOM. Raises `Refused` (415)."""
    told = parameters(contentType)
    if mediaType(contentType) == _MTOM:
        if told.get("type", "").lower() != "application/xop+xml":
            raise Refused(415, f'{where}: of multipart/related only MTOM is spoken here: type="application/xop+xml"')
        version = _VERSIONS.get(mediaType(told.get("start-info", SOAP12.contentType)))
        if version is None:
            raise Refused(415, f"{where}: the start-info of MTOM is application/soap+xml (1.2) or text/xml (1.1)")
        return Mtom(version, contentType, hasHeaders)
    version = _VERSIONS.get(mediaType(contentType))
    if version is None:
        raise Refused(415, f"{where}: {mediaType(contentType)[:80]!r} is not spoken here; {_SPOKEN}")
    charset = told.get("charset")
    if charset is None:
        return Declared(version)
    codec = CHARSETS.get(charset.lower())
    if codec is None:
        raise Refused(
            415,
            f"{where}: the charset {charset[:40]!r} is not spoken here; write utf-8, or one of utf-16, iso-8859-1, "
            "windows-1252 and us-ascii",
        )
    return Utf8(version) if codec == UTF8 else Charset(version, charset)
