"""
[MC-NBFSE]: the binary encoding of WCF, with a session or without one.

- `application/soap+msbin1`: a message is a document ([MC-NBFX]).
- `application/soap+msbinsession1`: each side keeps a table of the strings that it has sent. A message is the size in
  bytes of its new strings, these strings, and the document (2.1). The first string of a session has the number 1, the
  next one 3, and so on.

WCF takes 2,048 bytes of strings in a session, with their lengths. So no more are written, and `session_strings` limits
those that are read. After an error the table is unknown, and the session ends.
"""

from __future__ import annotations

from wsd.protocols.soap.encodings import nbfs, nbfx
from wsd.protocols.soap.encodings.encoding import Encoding, MessageReader, SessionLost, Unreadable, WholeReader
from wsd.protocols.soap.encodings.nbfxreader import multiByteAt
from wsd.protocols.soap.encodings.nbfxwriter import STATIC, multiByte, string
from wsd.protocols.soap.names import SOAP12

MOST_WRITTEN = 2048
"""Limit in bytes of the strings that are written in a session: what WCF takes by default (MaxSessionSize)."""


class Binary:
    """`application/soap+msbin1`. The version of SOAP is 1.2 always."""

    __slots__ = ("contentType",)
    isText = False
    version = SOAP12

    def __init__(self, contentType: str = "application/soap+msbin1") -> None:
        self.contentType = contentType

    @property
    def inText(self) -> Encoding:
        """The same: what is no document is refused, in a text message as well."""
        return self

    def reader(self, most: int, isCounted: bool = True) -> MessageReader:
        """Returns a reader of documents."""
        return BinaryReader(most, isCounted)

    def write(self, text: str) -> bytes:
        """Returns an envelope as a document."""
        return nbfx.codec.writeDocument(text, STATIC)


class BinaryReader(WholeReader):
    """Reads documents without a session."""

    __slots__ = ()

    def decode(self, message: bytes) -> bytes:
        """Returns a document as XML. Raises `Unreadable` or `TooLarge`."""
        return nbfx.codec.readDocument(message, 0, (), self.most)


class BinarySession:
    """`application/soap+msbinsession1`, for one connection: the strings that each side has sent."""

    __slots__ = ("_left", "_mostRead", "_new", "contentType", "received", "sent")
    isText = False
    version = SOAP12

    def __init__(self, mostRead: int, contentType: str = "application/soap+msbinsession1") -> None:
        self.contentType = contentType
        self._mostRead = mostRead
        self._left = MOST_WRITTEN
        self.sent: dict[str, int] = {}
        self._new: list[bytes] = []
        self.received: list[str] = []
        """The strings of the client."""

    @property
    def inText(self) -> Encoding:
        """The same: what is no document is refused, in a text message as well."""
        return self

    # -- reading ----------------------------------------------------------------------------------------------------

    def reader(self, most: int, isCounted: bool = True) -> MessageReader:
        """Returns a reader of the client's messages."""
        return SessionReader(self, most, isCounted)

    def readStrings(self, message: bytes) -> int:
        """Reads the new strings of a message. Returns the offset of the document. Raises `Unreadable`."""
        if message.startswith(b"\0"):
            # Most messages have no new strings.
            return 1
        size, at = multiByteAt(message, 0)
        self._mostRead -= size
        if self._mostRead < 0:
            raise Unreadable("the session has more strings than are taken here (session_strings)", 0)
        end = at + size
        if end > len(message):
            raise Unreadable("the table of strings is longer than the message", 0)
        while at < end:
            length, at = multiByteAt(message, at)
            if at + length > end:
                raise Unreadable("a string is longer than the table", at)
            try:
                self.received.append(message[at : at + length].decode())
            except UnicodeDecodeError:
                raise Unreadable("a string of the table is not valid UTF-8", at) from None
            at += length
        return at

    # -- writing ----------------------------------------------------------------------------------------------------

    def numberOf(self, text: str) -> int | None:
        """Returns the number of a string. A new one gets a number as long as there is room for it."""
        number = nbfs.NUMBERS.get(text)
        if number is None:
            number = self.sent.get(text)
            if number is None:
                written = string(text)
                if len(written) > self._left:
                    return None
                self._left -= len(written)
                number = 2 * len(self.sent) + 1
                self.sent[text] = number
                self._new.append(written)
        return number

    def write(self, text: str) -> bytes:
        """Returns an envelope with its new strings. Must be called in the order in which messages are sent."""
        document = nbfx.codec.writeDocument(text, self)
        if not self._new:
            return b"\0" + document
        strings = b"".join(self._new)
        self._new.clear()
        return multiByte(len(strings)) + strings + document


class SessionReader(WholeReader):
    """Reads the messages of a session. An error raises `SessionLost`, since the table of strings is unknown then."""

    __slots__ = ("_session",)

    def __init__(self, session: BinarySession, most: int, isCounted: bool) -> None:
        super().__init__(most, isCounted)
        self._session = session

    def decode(self, message: bytes) -> bytes:
        """Returns a document as XML. Raises `SessionLost` or `TooLarge`."""
        try:
            start = self._session.readStrings(message)
            return nbfx.codec.readDocument(message, start, self._session.received, self.most)
        except Unreadable as error:
            raise SessionLost(error) from None
