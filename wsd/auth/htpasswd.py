"""The file with users and the hashes of their passwords, as htpasswd writes it. It is read again when it changes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from hmac import digest
from secrets import token_bytes
from typing import NamedTuple

from twisted.logger import Logger

from wsd.auth.hashes import Verify, verifierOf
from wsd.auth.outcome import isName

_MOST_SIZE = 16 * 1024 * 1024


class PasswordHash(NamedTuple):
    """A user's hash: its text, and what verifies passwords by it."""

    text: str
    verify: Verify


class PasswordFile:
    """The users of a file."""

    log = Logger(namespace="wsd")

    def __init__(self, path: str) -> None:
        """Raises ValueError with a sentence if a line is wrong, and OSError."""
        self._path = path
        self._secret = token_bytes(32)
        self._read()

    def _read(self) -> None:
        self._stamp = stampOf(self._path)
        with open(self._path, "rb") as file:
            self._users = usersIn(file.read(_MOST_SIZE), self._path)
        self._all = list(self._users.values())

    def find(self, user: str) -> PasswordHash | None:
        """The hash of a user, None for an unknown one."""
        if stampOf(self._path) != self._stamp:
            self._readAgain()
        return self._users.get(user)

    def decoyFor(self, user: str) -> PasswordHash | None:
        """
        The hash that an unknown user's password is compared with, so that it takes as long as for a known user.

        An unknown user always gets the same one. None if the file has no users.
        """
        if not self._all:
            return None
        number = int.from_bytes(digest(self._secret, user.encode(), "sha256")[:8], "big")
        return self._all[number % len(self._all)]

    def _readAgain(self) -> None:
        """The file has changed. If it cannot be read, the old users stay until it changes again."""
        try:
            self._read()
        except (OSError, ValueError) as error:
            self.log.error("the old users stay in use: {reason}", event="auth.users", reason=str(error))
        else:
            self.log.info("reloaded the users from {path}", event="auth.users", path=self._path)


def stampOf(path: str) -> tuple[int, int, int] | None:
    """What changes when a file does; None if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def usersIn(content: bytes, path: str) -> Mapping[str, PasswordHash]:
    """The users in the content of a file. Raises ValueError with a sentence that names the line, and no hash."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 at byte {error.start}; save it as UTF-8") from None
    users: dict[str, PasswordHash] = {}
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip("\r")
        if not line.strip() or line.startswith("#"):
            continue
        user, colon, known = line.partition(":")
        if not colon or not isName(user):
            raise ValueError(f"{path}, line {number}: this is not USER:HASH; write it with htpasswd -B FILE USER")
        if user in users:
            raise ValueError(f"{path}, line {number}: this user is listed twice; remove one line")
        # Other programs keep more behind another colon.
        known = known if known.startswith("SCRAM-") else known.partition(":")[0]
        try:
            users[user] = PasswordHash(known, verifierOf(known))
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
    return users
