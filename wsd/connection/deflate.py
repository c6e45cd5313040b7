"""permessage-deflate (RFC 7692) for the messages that Autobahn reads."""

from __future__ import annotations

import sys

from autobahn.exception import PayloadCorruptError, PayloadExceededError

from wsd.frames.deflate import Deflater, InflateError, InflateLimitExceeded

_NO_LIMIT = sys.maxsize - 1


class AutobahnDeflater(Deflater):
    """A deflater with the interface that Autobahn calls."""

    __slots__ = ("last",)

    EXTENSION_NAME = "permessage-deflate"

    last: bool
    """Whether the bytes that Autobahn inflates next are the last of their message."""

    def start_decompress_message(self) -> None:
        """Called when a compressed message begins."""
        self.begin()

    def decompress_message_data(self, data: bytes, max_output_len: int | None) -> bytes:
        """Inflate some of it to at most `max_output_len` bytes: what is left of the whole message's limit."""
        try:
            return self.inflate(data, self.last, _NO_LIMIT if max_output_len is None else max_output_len)
        except InflateLimitExceeded as error:
            raise PayloadExceededError(str(error)) from error
        except InflateError as error:
            raise PayloadCorruptError(str(error)) from error

    def end_decompress_message(self) -> None:
        """Called when the message is complete. `last` has said so already."""
