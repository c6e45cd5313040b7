"""
Why a connection failed: a browser hides the answer to a refused handshake from its page, so the page asks the daemon.

The page marks each attempt: just before it opens the WebSocket it sets a cookie for that path, whose name has a random
token. The door takes such cookies out of the request, so that no protocol sees them, and what happens to the handshake
is remembered under its tokens. The page then asks for its token at `/_wsd/why`.

- No other page can ask: a token has 128 random bits, and only the page that made it knows it. The answer also needs the
  address that the handshake came from.
- A page of another site is not told: its handshake has another Origin, which is not remembered, and the answer has no
  CORS header. The question's own header field makes the browser ask first (preflight), which is refused.
- A page of another port of the same host could set such a cookie, too, since browsers share cookies between ports. It
  cannot read the answer; a program on the visitor's own machine could, if it knows the token and the target.
- The daemon tells what it has answered to that client anyway: a status and a sentence.
- Memory is bounded: the newest `_MOST` outcomes, each for `_AGE` seconds.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from hashlib import sha256
from typing import Any, NamedTuple

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import Resource

from wsd.head import Head, Headers, Refused
from wsd.policies.address import Peer, isLoopback

_COOKIE = "wsd_attempt_"
_NAME = re.compile(rf"{_COOKIE}([0-9a-f]{{32}})=")
_TOKEN = re.compile(r"[0-9a-f]{32}\Z")
_TOKENS = 8
"""Limit of the tokens of one handshake: a browser sends those of all attempts at this path that are under way."""
_MOST = 1000
_AGE = 60.0
_SENTENCE = 500
"""Limit of the characters of a sentence that is remembered."""


class Attempt(NamedTuple):
    """A marked handshake: the tokens of its page, and what the page must name besides."""

    tokens: tuple[str, ...]
    target: bytes
    address: str


class _Outcome(NamedTuple):
    """What happened to an attempt, and when."""

    attempt: Attempt
    time: float
    content: dict[str, object]


def unmark(head: Head) -> tuple[Head, tuple[str, ...]]:
    """Returns the head without the cookies of attempts, and their tokens."""
    if _COOKIE not in head.headers.byName.get("cookie", ""):
        return head, ()
    tokens: list[str] = []
    fields: list[tuple[str, str]] = []
    for name, value in head.headers:
        if name.lower() == "cookie":
            cookies = [cookie.strip(" \t") for cookie in value.split(";")]
            tokens += [match[1] for cookie in cookies if (match := _NAME.match(cookie))]
            value = "; ".join(cookie for cookie in cookies if not _NAME.match(cookie))
            if not value:
                continue
        fields.append((name, value))
    return head._replace(headers=Headers(fields)), tuple(tokens[:_TOKENS])


def attemptOf(head: Head, tokens: tuple[str, ...], peer: Peer) -> Attempt | None:
    """Returns the attempt that a handshake is; None if it is not marked, or not by a page of this daemon."""
    origin = head.headers.byName.get("origin", "")
    if not tokens or origin.partition("://")[2].lower() != head.host.lower():
        return None
    return Attempt(tokens, _digest(head.target), _account(peer))


class Attempts:
    """What happened to the newest marked attempts."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._outcomes: OrderedDict[str, _Outcome] = OrderedDict()

    def refused(self, attempt: Attempt, refused: Refused) -> None:
        """Remember that a handshake was refused."""
        content = {"status": refused.status, "phrase": refused.phrase, "sentence": refused.sentence[:_SENTENCE]}
        self._remember(attempt, content)

    def ended(self, attempt: Attempt, cause: str) -> None:
        """Remember why a connection ended soon after it had opened."""
        self._remember(attempt, {"cause": cause})

    def find(self, token: str, target: str, peer: Peer) -> dict[str, object] | None:
        """Returns what happened to the attempt with this token, target and address, None if that is not known."""
        outcome = self._outcomes.get(token)
        if outcome is None or outcome.time + _AGE < self._clock.seconds():
            return None
        isTheirs = outcome.attempt.address == _account(peer) and outcome.attempt.target == _digest(target)
        return outcome.content if isTheirs else None

    def _remember(self, attempt: Attempt, content: dict[str, object]) -> None:
        for token in attempt.tokens:
            self._outcomes.pop(token, None)
            self._outcomes[token] = _Outcome(attempt, self._clock.seconds(), content)
        while len(self._outcomes) > _MOST:
            self._outcomes.popitem(last=False)


class Why(Resource):
    """`/_wsd/why`: what happened to the attempt that the request names in Wsd-Attempt and Wsd-Target."""

    isLeaf = True

    def __init__(self, attempts: Attempts) -> None:
        super().__init__()
        self._attempts = attempts

    def render_GET(self, request: Any) -> bytes:
        """Answer with the outcome as JSON, `{}` if it is not known. Raises `Refused`: 400, 403."""
        headers = request.head.headers
        if headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            raise Refused(403, "only a page of this server may ask why its connection failed")
        token, target = headers.get("Wsd-Attempt", ""), headers.get("Wsd-Target", "")
        if not _TOKEN.match(token) or not target.startswith("/"):
            raise Refused(400, "name the attempt in Wsd-Attempt, and its path and query in Wsd-Target")
        request.setHeader(b"Content-Type", b"application/json")
        request.setHeader(b"Cache-Control", b"no-store")
        request.setHeader(b"Cross-Origin-Resource-Policy", b"same-origin")
        return json.dumps(self._attempts.find(token, target, request.peer) or {}).encode() + b"\n"


def _digest(target: str) -> bytes:
    """A target as it is compared: it may be long, and have a secret in its query."""
    return sha256(target.encode("latin-1")).digest()


def _account(peer: Peer) -> str:
    """The address as it is compared. A browser may use both loopback addresses for localhost."""
    return "loopback" if isLoopback(peer.address) else peer.address
