"""How a client's work can fail: each failure is one sentence, and an exit status."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NoReturn, TypeVar

from twisted.internet.defer import Deferred

_T = TypeVar("_T")

NO_ANSWER = "there was no answer within {:g} seconds"
NO_HANDSHAKE = "the server did not answer the handshake within {:g} seconds"
"""Sentences of time-outs, for `withTimeout`."""


class ExitStatus(IntEnum):
    """The exit status of `wsd connect` and `wsd echo` (docs/connect.md)."""

    DONE = 0
    """The connection ended normally, or the reader of standard output has gone away."""
    REFUSED = 1
    """The server refused the handshake."""
    USAGE = 2
    """The command line, the standard input or the standard output cannot be used."""
    UNREACHABLE = 3
    """There was no connection: name, port, TLS, proxy, or no WebSocket server."""
    ABNORMAL = 4
    """The connection was lost, or was closed with a code that tells of a failure."""
    TOO_FEW = 5
    """Fewer answers came than were asked for."""
    INTERRUPTED = 130
    """^C, by the convention of shells: 128 and the number of the signal."""
    TERMINATED = 143
    """SIGTERM, by the same convention."""


class Unanswered(Exception):
    """The server gave no answer, or a wrong one. The message is one sentence, which also says what may help."""

    def __init__(self, sentence: str, status: ExitStatus = ExitStatus.UNREACHABLE) -> None:
        super().__init__(sentence)
        self.status = status


class Unwelcome(Unanswered):
    """The server answered the handshake with an HTTP status. `code` is its number."""

    def __init__(self, sentence: str, code: int) -> None:
        super().__init__(sentence, ExitStatus.REFUSED)
        self.code = code


def withTimeout(
    deferred: Deferred[_T],
    reactor: Any,
    seconds: float,
    sentence: str,
    status: ExitStatus = ExitStatus.UNREACHABLE,
) -> Deferred[_T]:
    """Make a Deferred fail with `Unanswered` and this sentence after `seconds`. Returns it."""

    def fail(result: object, seconds: float) -> NoReturn:
        raise Unanswered(sentence.format(seconds), status)

    return deferred.addTimeout(seconds, reactor, onTimeoutCancel=fail)
