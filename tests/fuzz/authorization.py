"""
Passwords: any file of users is read, or refused in one line without a hash, and any Authorization header is taken.

A user of the file gets in with the right password, however the header writes it, and nobody else does.
"""

from __future__ import annotations

import re
from contextlib import suppress

from wsd.auth.basic import MOST_PASSWORD, credentialsOf, withCredentials
from wsd.auth.bearer import tokenOf
from wsd.auth.htpasswd import PasswordHash, usersIn
from wsd.auth.outcome import MAX_NAME
from wsd.head import Head, Refused, parseHead

_SLOW = re.compile(r"\$2|SCRAM-SHA-\w+\$\d{4}")
"""Hashes that would take the fuzzer's time: bcrypt, and SCRAM with 1000 rounds or more."""


def check(data: bytes) -> None:
    """Takes a header, a line end, and a file."""
    header, _, content = data.partition(b"\n")
    with suppress(Refused):
        head = parseHead(b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: " + header)
        tokenOf(head)
        _checkHeader(head, _usersIn(content))


def _usersIn(content: bytes) -> dict[str, PasswordHash]:
    try:
        return dict(usersIn(content, "FILE"))
    except ValueError as error:
        said = str(error)
    assert said.startswith("FILE")
    assert "\n" not in said
    assert not any(len(line) > 60 and line.decode("utf-8", "replace") in said for line in content.split(b"\n"))
    return {}


def _checkHeader(head: Head, users: dict[str, PasswordHash]) -> None:
    credentials = credentialsOf(head)
    if credentials is not None:
        user, password = credentials
        assert user
        assert len(password) <= MOST_PASSWORD
        _verify(users.get(user), password)
    for user, known in users.items():
        assert 0 < len(user) <= MAX_NAME
        if known.secret is not None and len(known.secret) <= MOST_PASSWORD:
            assert credentialsOf(withCredentials(head, user, known.secret.decode())) == (user, known.secret)
            assert _verify(known, known.secret)
            assert not _verify(known, known.secret + b"x")


def _verify(known: PasswordHash | None, password: bytes) -> bool:
    return known is not None and not _SLOW.match(known.text) and known.verify(password)
