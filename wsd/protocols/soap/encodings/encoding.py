"""
Encoding: what a content type means for bytes, in both directions.

An encoding makes a reader, which takes the bytes of messages and returns documents, and writes envelopes as bytes. All
else in this package knows only this interface. The plainest one, UTF-8, uses the `EnvelopeReader` itself.
"""

from __future__ import annotations

from typing import Protocol

from wsd.connection import Closed
from wsd.protocols.soap.faults import Fault
from wsd.protocols.soap.names import Version
from wsd.protocols.soap.reader import Document, EnvelopeReader

_INVALID_DATA = 1007
_TOO_BIG = 1009


class Unreadable(Fault):
    """Raised for a message that is not in its encoding. `offset` is the place in bytes, of the message decompressed."""

    def __init__(self, sentence: str, offset: int | None = None) -> None:
        super().__init__(sentence if offset is None else f"{sentence} (at byte {offset})")


class TooLarge(Closed):
    """Raised for a message that becomes larger than a message may be: close 1009, over HTTP 413."""

    def __init__(self, most: int) -> None:
        super().__init__(_TOO_BIG, f"an envelope has at most {most} bytes here, when it is decoded")


class SessionLost(Closed):
    """Raised in a session for a message that is not in its encoding, since its table of strings is unknown then."""

    def __init__(self, error: Unreadable) -> None:
        super().__init__(_INVALID_DATA, error.reason)


class MessageReader(Protocol):
    """Reads one message after the other."""

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of a message."""

    def close(self) -> Document:
        """Returns the message, which is complete. Raises `Fault` (Sender) or `Closed`."""

    def drop(self) -> None:
        """Discards the incomplete message."""

    @property
    def weight(self) -> int:
        """The memory of the incomplete message in bytes; 0 for a short one."""


class Encoding(Protocol):
    """A content type: the version of SOAP that it means, and its two directions."""

    version: Version
    contentType: str
    """The content type of answers."""
    isText: bool
    """Whether its messages can be text messages of a WebSocket."""

    @property
    def inText(self) -> Encoding:
        """The encoding of text messages of a WebSocket, which are always UTF-8."""

    def reader(self, most: int, isCounted: bool = True) -> MessageReader:
        """Returns a reader of messages that become at most `most` bytes."""

    def write(self, text: str) -> bytes:
        """Returns an envelope as bytes."""


class Utf8:
    """UTF-8, as the content type says: the XML declaration is not read (RFC 7303, 3)."""

    __slots__ = ("contentType", "version")
    isText = True

    def __init__(self, version: Version) -> None:
        self.version = version
        self.contentType = f"{version.contentType}; charset=utf-8"

    @property
    def inText(self) -> Encoding:
        """The encoding of text messages."""
        return self

    def reader(self, most: int, isCounted: bool = True) -> MessageReader:
        """Returns the reader of envelopes itself."""
        return EnvelopeReader(most, isCounted)

    def write(self, text: str) -> bytes:
        """Returns an envelope as bytes."""
        return text.encode()


class WholeReader:
    """
    Reads messages that must be complete before they can be decoded.

    A subclass decodes them to XML in UTF-8, with `most` bytes at most.
    """

    __slots__ = ("_pieces", "_size", "envelopes", "most")

    def __init__(self, most: int, isCounted: bool) -> None:
        self.most = most
        self.envelopes = EnvelopeReader(most, isCounted)
        """The reader of the XML."""
        self._pieces: list[bytes] = []
        self._size = 0

    def decode(self, message: bytes) -> bytes:
        """Returns a message as XML in UTF-8. Raises `Unreadable` or `Closed`."""
        raise NotImplementedError

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of a message."""
        self._pieces.append(data)
        self._size += len(data)

    def close(self) -> Document:
        """Returns the message, which is complete. Raises `Fault` (Sender) or `Closed`."""
        return self.envelopes.parse(self.decode(self.taken()))

    def taken(self) -> bytes:
        """Returns the bytes of the message, and drops them."""
        message = b"".join(self._pieces)
        self.drop()
        return message

    def drop(self) -> None:
        """Discards the incomplete message."""
        self._pieces.clear()
        self._size = 0

    @property
    def weight(self) -> int:
        """The size of the incomplete message in bytes; 0 for a short one."""
        return self._size if len(self._pieces) > 1 else 0
