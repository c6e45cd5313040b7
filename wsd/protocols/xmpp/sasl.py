"""SASL for XMPP (RFC 6120 6): SCRAM (RFC 5802, RFC 7677), PLAIN (RFC 4616), ANONYMOUS (RFC 4505)."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from enum import Enum, auto
from typing import Any, Protocol
from uuid import uuid4

from wsd.protocols.xmpp.credentials import SCRAM, ScramKeys, mechanism
from wsd.protocols.xmpp.errors import XmppError
from wsd.protocols.xmpp.jid import prepareLocal
from wsd.protocols.xmpp.stanza import Element

SASL = "urn:ietf:params:xml:ns:xmpp-sasl"

_LONGEST = 8192
"""Limit of the characters of a SASL message."""


class SaslFailure(XmppError):
    """Ends an exchange: its condition is one of RFC 6120 6.5. The client may begin another (6.4.5)."""

    namespace = SASL

    def element(self) -> Element:
        """The <failure/> for the client."""
        return Element(SASL, "failure", {}, *self.details())


class CredentialsChecker(Protocol):
    """Knows the users. `user` is a prepared local part."""

    async def keys(self, user: str, mechanism: str) -> ScramKeys:
        """The keys of a user, or decoy keys if there is no such user. Raises SaslFailure."""

    async def verify(self, user: str, password: str) -> bool:
        """Whether a password is the user's. Raises SaslFailure."""

    def failed(self, user: str) -> None:
        """Called when a login of this user has failed."""


class _Stage(Enum):
    """What the next <response/> must be."""

    NONE = auto()
    """There is no exchange: a response is an error."""
    INITIAL = auto()
    """The initial response, since <auth/> had none."""
    SCRAM_FINAL = auto()
    """SCRAM's client-final-message."""


class SaslExchange:
    """
    The server's side of the exchanges on one stream (RFC 6120 6.4), until one succeeds.

    `user` is then the local part of the client's address.
    """

    def __init__(self, offered: tuple[str, ...], checker: CredentialsChecker) -> None:
        self.user: str | None = None
        self.isAnonymous = False
        self._offered = offered
        self._checker = checker
        self._stage = _Stage.NONE
        self._mechanism = ""
        self._scram: Any = None
        """scramp's side of the present exchange."""
        self._scramUser = ""

    async def receive(self, element: Element) -> Element:
        """Answers <auth/>, <response/> or <abort/>. Raises SaslFailure."""
        stage, self._stage = self._stage, _Stage.NONE
        if element.name == "abort":
            raise SaslFailure("aborted")
        data = _decode(element.text)
        if element.name == "auth":
            self._mechanism = element.get("mechanism")
            if self._mechanism not in self._offered:
                raise SaslFailure("invalid-mechanism", f"the mechanisms are {', '.join(self._offered)}")
            if data is None and self._mechanism != "ANONYMOUS":
                # In all other mechanisms the client speaks first: an empty challenge asks it to (RFC 4422).
                self._stage = _Stage.INITIAL
                return Element(SASL, "challenge")
            return await self._begin(data or b"")
        if element.name != "response" or stage is _Stage.NONE:
            raise SaslFailure("malformed-request", "an exchange begins with <auth/>")
        if stage is _Stage.INITIAL:
            return await self._begin(data or b"")
        return self._finishScram(data or b"")

    async def _begin(self, data: bytes) -> Element:
        if self._mechanism == "ANONYMOUS":
            self.isAnonymous, self.user = True, uuid4().hex
            return Element(SASL, "success")
        text = _utf8(data)
        if self._mechanism == "PLAIN":
            return await self._plain(text)
        return await self._beginScram(text)

    async def _beginScram(self, text: str) -> Element:
        """The server-first-message, for a client-first-message (RFC 5802 5)."""
        self._scramUser = _scramUser(text)
        keys = await self._checker.keys(self._scramUser, self._mechanism)
        self._scram = mechanism(self._mechanism).make_server(
            lambda _: (keys.salt, keys.storedKey, keys.serverKey, keys.iterations)
        )
        try:
            self._scram.set_client_first(text)
            answer = self._scram.get_server_first()
        except Exception as error:
            raise SaslFailure("malformed-request", f"this is not a first message of SCRAM: {error}") from None
        self._stage = _Stage.SCRAM_FINAL
        return Element(SASL, "challenge", {}, _encode(answer))

    def _finishScram(self, data: bytes) -> Element:
        """The server-final-message, for a client-final-message (RFC 5802 5)."""
        final = _utf8(data)
        if not final.startswith("c="):
            raise SaslFailure("malformed-request", "this is not a final message of SCRAM")
        try:
            self._scram.set_client_final(final)
            answer = self._scram.get_server_final()
        except Exception:
            # scramp raises errors of many kinds for a wrong message. The client is not told which.
            self._checker.failed(self._scramUser)
            raise SaslFailure("not-authorized", "the user name or the password is wrong") from None
        self.user = self._scramUser
        return Element(SASL, "success", {}, _encode(answer))

    async def _plain(self, text: str) -> Element:
        """Check a name and a password (RFC 4616 2)."""
        parts = text.split("\0")
        if len(parts) != 3:
            raise SaslFailure("malformed-request", "PLAIN is authorization, NUL, user, NUL, password")
        authorization, user, password = parts
        local = _prepared(user)
        if authorization and _prepared(authorization.partition("@")[0]) != local:
            raise SaslFailure("invalid-authzid", "a user may act only as itself")
        if not await self._checker.verify(local, password):
            self._checker.failed(local)
            raise SaslFailure("not-authorized", "the user name or the password is wrong")
        self.user = local
        return Element(SASL, "success")


def mechanismsFor(hasUsers: bool, plain: bool, anonymous: bool) -> tuple[str, ...]:
    """The mechanisms that are offered, the strongest first."""
    return (
        *(SCRAM if hasUsers else ()),
        *(("PLAIN",) if hasUsers and plain else ()),
        *(("ANONYMOUS",) if anonymous else ()),
    )


def _scramUser(first: str) -> str:
    """The user that a client-first-message names (RFC 5802 7), prepared. Raises SaslFailure."""
    flag, _, rest = first.partition(",")
    authorization, _, bare = rest.partition(",")
    name = next((part[2:] for part in bare.split(",") if part.startswith("n=")), "")
    if flag not in ("n", "y") or not name:
        raise SaslFailure("malformed-request", "SCRAM begins with n,,n=USER,r=NONCE; channel binding is not supported")
    user = _unescaped(name)
    if authorization and _prepared(_unescaped(authorization[2:]).partition("@")[0]) != _prepared(user):
        raise SaslFailure("invalid-authzid", "a user may act only as itself")
    return _prepared(user)


def _unescaped(name: str) -> str:
    """Undo SCRAM's escapes: =2C is a comma, =3D an equals sign, and no other = is allowed (RFC 5802 5.1)."""
    if re.search("=(?!2C|3D)", name):
        raise SaslFailure("malformed-request", "a name in SCRAM has a comma as =2C and an equals sign as =3D")
    return name.replace("=2C", ",").replace("=3D", "=")


def _prepared(user: str) -> str:
    """A prepared local part. A name that cannot be one fails as a wrong password does."""
    try:
        return prepareLocal(user)
    except ValueError:
        raise SaslFailure("not-authorized", "the user name or the password is wrong") from None


def _decode(text: str) -> bytes | None:
    """The data in an element: None if it has none, and b"" for "=" (RFC 6120 6.4.2)."""
    if not text:
        return None
    if text == "=":
        return b""
    if len(text) > _LONGEST:
        raise SaslFailure("malformed-request", f"a message of SASL has at most {_LONGEST} characters")
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise SaslFailure("incorrect-encoding", "messages of SASL are base64 without white space") from None


def _utf8(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise SaslFailure("malformed-request", "messages of SASL are UTF-8") from None


def _encode(text: str) -> str:
    return b64encode(text.encode()).decode()
