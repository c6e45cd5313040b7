"""
The server of a class: tokens for a teacher and pupils, and topics that check them. `board` is the whiteboard.

Everyone has a secret, which a page makes and keeps. Its hash is the user, and the name of a class is its teacher's
hash. So a class needs no account, and the server remembers nothing but the key that it signs tokens with. What a token
allows is checked by topics, and by the board.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl

from twisted.web.resource import IResource, Resource

from wsd.config import stateFolder
from wsd.config.state import makeFile, makeFolder
from wsd.config.stores import checkStore
from wsd.connection import Accept, Connection, Factory, Refused, Request
from wsd.policies.origin import checkOrigin
from wsd.protocols import load
from wsd.resources import setFields

try:
    import jwt
except ImportError:
    jwt = None  # type: ignore[assignment]

Topics: Any = load("topics")
"""The protocol that a class extends."""

LIFE = 3600
"""Seconds for which a token is valid. The page renews it."""
PEN = 120
"""Seconds for which a pupil who was given the pen may paint."""
NEEDED = 'a class needs PyJWT; get it with: pip install "txwsd[topics]"'


def keyFile() -> str:
    """The file of the key for tokens, in the state folder. It is made when it is asked for. Raises OSError."""
    path = Path(stateFolder(os.environ)) / "uses-class.key"
    makeFolder(path.parent)
    makeFile(path)
    if not path.stat().st_size:
        path.write_text(f"{token_hex(32)}\n", "ascii")
    return str(path)


def userOf(secret: str) -> str:
    """The name of the user who has this secret."""
    return sha256(secret.encode()).hexdigest()[:16]


def claimsOf(user: str, room: str) -> dict[str, Any]:
    """What the teacher of a class, or a pupil, may do there."""
    isTeacher = user == room
    # lesson: rules
    everything = [f"{room}/#"]
    own = [f"{room}/by/{user}/#"]  # what this pupil says: chat, a raised hand, a vote
    topics = {
        "publish": everything if isTeacher else own,
        "subscribe": everything,
        "presence": [f"{room}/people"],
        "direct": everything if isTeacher else [],
    }
    return {"sub": user, "class": room, "paints": isTeacher, "topics": topics}
    # end of lesson


class ClassVerifier:
    """Verifies tokens by the key in the state folder."""

    def __init__(self, options: Any) -> None:
        self._options = options
        self._verifier: Any = None

    def verify(self, token: str) -> Any:
        """Returns the claims of a token. Without PyJWT, or where nothing can be stored, no token is valid."""
        if self._verifier is None:
            with suppress(OSError, ValueError):
                self._verifier = Topics.Options.verifier(replace(self._options, token_key=keyFile()))
        if self._verifier is None:
            raise Refused(503, NEEDED)
        return self._verifier.verify(token)


@dataclass(frozen=True)
class ClassTopicsOptions(Topics.Options):
    """The keys of the route of topics, whose tokens are signed here."""

    def verifier(self) -> Any:
        """A verifier by the key in the state folder, which is made when the first token arrives."""
        return ClassVerifier(self)

    def check(self) -> Sequence[str]:
        """Check the store alone: the key is made by the daemon's own user."""
        return checkStore(self.path(os.environ))


class ClassTopicsFactory(Topics):
    """What is said in classes: the teacher's and pupils' topics."""

    Options = ClassTopicsOptions
    about = MappingProxyType({"en": "What is said in the classes of /uses/class.", "zh": "/uses/class 课堂中的消息。"})

    def page(self) -> None:
        """The page is at /uses/class."""


def _key() -> bytes:
    return Path(keyFile()).read_bytes().strip()


def readToken(token: str) -> Mapping[str, Any]:
    """The claims of a token. Raises `Refused` (403) if it is not valid."""
    if jwt is None:
        raise Refused(501, NEEDED)
    try:
        claims = jwt.decode(token, _key(), algorithms=["HS256"], options={"require": ["exp", "class", "paints"]})
    except (OSError, jwt.InvalidTokenError):
        raise Refused(403, "this board needs a valid token as the subprotocol bearer.TOKEN") from None
    return dict(claims)


class TokenResource(Resource):
    """
    Gives a token to whoever shows a secret (`Authorization: Bearer SECRET`).

    The query may have `class`, without which a new class begins, and `pen`, a user for whom the teacher asks.
    """

    isLeaf = True

    def __init__(self, origins: tuple[str, ...]) -> None:
        super().__init__()
        self._origins = origins

    def render(self, request: Any) -> Any:
        """Answer pages of the route's origins, which are those of this host unless the file says otherwise."""
        origin = request.head.headers.get("Origin")
        if origin is not None:
            checkOrigin(origin, self._origins, request.head.host, request.site.hosts)
            setFields(request, {"Access-Control-Allow-Origin": origin, "Vary": "Origin"})
            setFields(request, {"Access-Control-Allow-Headers": "Authorization"})
        return super().render(request)

    def render_OPTIONS(self, request: Any) -> bytes:
        """Allow the header (CORS)."""
        return b""

    def render_GET(self, request: Any) -> bytes:
        """A token, and what it says. Raises `Refused`."""
        scheme, _, secret = (request.head.headers.get("Authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not 16 <= len(secret) <= 100:
            raise Refused(401, "send a secret of 16 to 100 characters as Authorization: Bearer SECRET")
        user, queries = userOf(secret), dict(parse_qsl(request.head.query))
        room, pupil = queries.get("class", user), queries.get("pen")
        if not (room.isascii() and room.isalnum() and len(room) == len(user)):
            raise Refused(404, f"{room[:40]!r} is not the name of a class")
        claims, life = claimsOf(user, room), LIFE
        if pupil is not None:
            if user != room:
                raise Refused(403, "only the teacher may give the pen")
            claims, life = {"sub": pupil[:16], "class": room, "paints": True}, PEN
        setFields(request, {"Content-Type": "application/json", "Cache-Control": "no-store"})
        return json.dumps({"token": sign(claims, life), "user": user, "class": room, "seconds": life}).encode()


def sign(claims: Mapping[str, Any], life: float) -> str:
    """A token that is valid for so many seconds. Raises `Refused`."""
    if jwt is None:
        raise Refused(501, NEEDED)
    try:
        return jwt.encode({**claims, "exp": time.time() + life}, _key(), algorithm="HS256")
    except OSError:
        raise Refused(503, "the key for tokens cannot be stored in the state folder") from None


class TokenConnection(Connection):
    """Refuses every WebSocket."""

    async def opening(self, request: Request) -> Accept:
        """Raises `Refused` (404)."""
        raise Refused(404, "tokens are given over HTTP")


class TokenFactory(Factory):
    """Tokens for the page of a class."""

    connection = TokenConnection
    about = MappingProxyType({"en": "Tokens for /uses/class.", "zh": "/uses/class 所用的令牌。"})

    def paths(self) -> list[str]:
        """No WebSocket can be opened here."""
        return []

    def resource(self) -> IResource:
        """Over HTTP."""
        return TokenResource(self.route.origins)
