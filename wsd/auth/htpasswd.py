"""The file with users and the hashes of their passwords, as htpasswd writes it. It is read again when it changes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from hmac import digest
from secrets import token_bytes
from typing import NamedTuple

from twisted.logger import Logger

from wsd.auth.hashes import Verify, secretOf, verifierOf
from wsd.auth.outcome import isName

_MOST_SIZE = 16 * 1024 * 1024
_OTHERS_READ = 0o004
"""The permission of a file that lets every user of the machine read it."""


class PasswordHash(NamedTuple):
    """A user's hash: its text, and what verifies passwords by it."""

    text: str
    verify: Verify
    secret: bytes | None = None
    """The password itself, None if the file has only a hash of it."""


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
            users = usersIn(file.read(_MOST_SIZE), self._path)
            isOpen = bool(os.fstat(file.fileno()).st_mode & _OTHERS_READ)
        hasSecrets = any(known.secret is not None for known in users.values())
        if hasSecrets and isOpen:
            raise ValueError(f"{self._path} has passwords in the clear, and every user can read it; chmod o-r it")
        self._users = users
        self._all = list(users.values())
        self._hasSecrets = hasSecrets

    @property
    def hasSecrets(self) -> bool:
        """Whether a password is in the clear, so that digests can be verified."""
        self._readIfChanged()
        return self._hasSecrets

    def find(self, user: str) -> PasswordHash | None:
        """The hash of a user, None for an unknown one."""
        self._readIfChanged()
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

    def _readIfChanged(self) -> None:
        """Read the file again if it has changed. If it cannot be read, the old users stay until it changes again."""
        if stampOf(self._path) == self._stamp:
            return
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
        known = known if known.startswith(("SCRAM-", "{CLEARTEXT}")) else known.partition(":")[0]
        try:
            users[user] = PasswordHash(known, verifierOf(known), secretOf(known))
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
    return users
