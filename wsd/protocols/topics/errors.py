"""Errors of topics: a code for programs, a sentence for people, and the HTTP status and close code that go with it."""

from __future__ import annotations

from typing import NamedTuple

from wsd.frames.codes import UNAUTHORIZED, CloseCode

SLOW = 4008
"""Close code: the client reads too slowly."""

GAP = 4010
"""Close code: messages since the position that was asked for are lost."""


class _Shown(NamedTuple):
    """How a code appears over HTTP and where it ends a WebSocket."""

    status: int
    closeCode: int


CODES = {
    "bad_topic": _Shown(404, CloseCode.POLICY_VIOLATION),
    "bad_filter": _Shown(404, CloseCode.POLICY_VIOLATION),
    "bad_query": _Shown(400, CloseCode.POLICY_VIOLATION),
    "bad_message": _Shown(400, CloseCode.POLICY_VIOLATION),
    "bad_position": _Shown(400, CloseCode.POLICY_VIOLATION),
    "filter": _Shown(400, CloseCode.POLICY_VIOLATION),
    "unauthorized": _Shown(401, UNAUTHORIZED),
    "bad_token": _Shown(401, UNAUTHORIZED),
    "expired": _Shown(401, UNAUTHORIZED),
    "forbidden": _Shown(403, CloseCode.POLICY_VIOLATION),
    "gap": _Shown(410, GAP),
    "slow": _Shown(503, SLOW),
    "too_large": _Shown(413, CloseCode.MESSAGE_TOO_BIG),
    "too_many": _Shown(503, CloseCode.TRY_AGAIN_LATER),
    "full": _Shown(507, CloseCode.TRY_AGAIN_LATER),
    "not_subscribed": _Shown(404, CloseCode.POLICY_VIOLATION),
    "busy": _Shown(503, CloseCode.TRY_AGAIN_LATER),
    "unavailable": _Shown(503, CloseCode.TRY_AGAIN_LATER),
    "no_member": _Shown(404, CloseCode.POLICY_VIOLATION),
}
"""Every code, with its HTTP status (RFC 9110 15) and its close code (RFC 6455 7.4)."""


class TopicError(Exception):
    """A request that cannot be granted: a code of `CODES`, and a sentence that says what would be right."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(code, sentence)
        self.code = code
        self.sentence = sentence
        self.requestId: str | int | None = None
        """The id of the message that this answers, in the enveloped form."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        return CODES[self.code].status

    @property
    def closeCode(self) -> int:
        """The close code."""
        return CODES[self.code].closeCode
