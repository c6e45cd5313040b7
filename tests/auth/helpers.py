"""A site whose routes need authentication, and requests to it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bcrypt

from tests.web.test_door import get, upgrade
from tests.wire import Daemon
from wsd.config.auth import Auth
from wsd.connection import Factory
from wsd.protocols.describe import DescribeFactory
from wsd.protocols.echo import EchoFactory

ROUTES: Mapping[str, type[Factory]] = {"/echo": EchoFactory, "/describe": DescribeFactory}

SECRET = "correct horse"


def hashed(password: str = SECRET, cost: int = 4) -> str:
    """A bcrypt hash as htpasswd writes it, of the lowest cost."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode().replace("$2b$", "$2y$")


def users(folder: Path, **hashes: str) -> str:
    """A file of users."""
    path = folder / "users.htpasswd"
    path.write_text("".join(f"{user}:{known}\n" for user, known in hashes.items()))
    return str(path)


def basic(user: str, password: str = SECRET) -> bytes:
    """The header field of a user and a password."""
    return b"Authorization: Basic " + b64encode(f"{user}:{password}".encode())


def daemonWith(
    routes: Mapping[str, type[Factory]] = ROUTES, *, others: Mapping[str, Any] | None = None, **auth: Any
) -> Daemon:
    """A site with these keys of [auth]."""
    return Daemon(dict(routes), auth=Auth(**auth), **(others or {}))


def opened(daemon: Daemon, *fields: bytes, path: bytes = b"/echo") -> bytes:
    """The answer to an opening handshake."""
    return daemon.connect().exchange(upgrade(path, *fields))


def fetched(daemon: Daemon, *fields: bytes, path: bytes = b"/describe", method: bytes = b"GET") -> bytes:
    """The answer to a request over HTTP."""
    return daemon.connect().exchange(get(path, *fields, method=method))


def statusOf(answer: bytes) -> int:
    return int(answer[9:12])


def fieldOf(answer: bytes, name: str) -> str | None:
    """A header field of an answer."""
    for line in answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]:
        key, _, value = line.partition(": ")
        if key.lower() == name.lower():
            return value
    return None


def sentenceOf(answer: bytes) -> str:
    return answer.partition(b"\r\n\r\n")[2].decode().strip()
