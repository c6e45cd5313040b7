"""SASL as RFC 6120 6 has it: SCRAM (RFC 5802, RFC 7677), PLAIN (RFC 4616), ANONYMOUS (RFC 4505)."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from typing import Any, Protocol
from uuid import uuid4

from wsd.protocols.xmpp.credentials import SCRAM, Keys, mechanism
from wsd.protocols.xmpp.errors import XmppError
from wsd.protocols.xmpp.jid import prepareLocal
from wsd.protocols.xmpp.stanza import Element

SASL = "urn:ietf:params:xml:ns:xmpp-sasl"

_LONGEST = 8192
"""Characters of a message of SASL."""


class SaslFailure(XmppError):
    """Ends an exchange: its condition is one of RFC 6120 6.5. The client may begin another."""

    namespace = SASL

    def element(self) -> Element:
        """The <failure/>."""
        return Element(SASL, "failure", {}, *self.details())


class Credentials(Protocol):
    """Whom an exchange asks; `user` is a prepared local part."""

    async def keys(self, user: str, mechanism: str) -> Keys:
        """The keys of a user, those of a decoy for one that there is not. Raises SaslFailure."""

    async def verify(self, user: str, password: str) -> bool:
        """Whether a password is the user's. Raises SaslFailure."""

    def failed(self, user: str) -> None:
        """It was not."""


class Exchange:
    """One stream's exchanges, until one succeeds: `user` is then the local part of who is there."""

    def __init__(self, offered: tuple[str, ...], credentials: Credentials) -> None:
        self.user: str | None = None
        self.isAnonymous = False
        self._offered = offered
        self._credentials = credentials
        self._scram: Any = None
        self._mechanism = ""
        self._named = ""
        self._stage = ""

    async def receive(self, element: Element) -> Element:
        """The answer to <auth/>, <response/> or <abort/>. Raises SaslFailure."""
        stage, self._stage = self._stage, ""
        if element.name == "abort":
            raise SaslFailure("aborted")
        data = _decode(element.text)
        if element.name == "auth":
            self._mechanism = element.get("mechanism")
            if self._mechanism not in self._offered:
                raise SaslFailure("invalid-mechanism", f"the mechanisms are {', '.join(self._offered)}")
            if data is None and self._mechanism != "ANONYMOUS":
                self._stage = "initial"
                return Element(SASL, "challenge")
            return await self._begin(data or b"")
        if element.name != "response" or not stage:
            raise SaslFailure("malformed-request", "an exchange begins with <auth/>")
        if stage == "initial":
            return await self._begin(data or b"")
        return self._finish(data or b"")

    async def _begin(self, data: bytes) -> Element:
        if self._mechanism == "ANONYMOUS":
            self.isAnonymous, self.user = True, uuid4().hex
            return Element(SASL, "success")
        text = _utf8(data)
        if self._mechanism == "PLAIN":
            return await self._plain(text)
        self._named = _named(text)
        keys = await self._credentials.keys(self._named, self._mechanism)
        self._scram = mechanism(self._mechanism).make_server(
            lambda _: (keys.salt, keys.stored, keys.server, keys.iterations)
        )
        try:
            self._scram.set_client_first(text)
            answer = self._scram.get_server_first()
        except Exception as error:
            raise SaslFailure("malformed-request", f"this is no first message of SCRAM: {error}") from None
        self._stage = "final"
        return Element(SASL, "challenge", {}, _encode(answer))

    def _finish(self, data: bytes) -> Element:
        final = _utf8(data)
        if not final.startswith("c="):
            raise SaslFailure("malformed-request", "this is no final message of SCRAM")
        try:
            self._scram.set_client_final(final)
            answer = self._scram.get_server_final()
        except Exception:
            # scramp raises many things at what a stranger sends; each of them is the same to the stranger.
            self._credentials.failed(self._named)
            raise SaslFailure("not-authorized", "user and password do not fit") from None
        self.user = self._named
        return Element(SASL, "success", {}, _encode(answer))

    async def _plain(self, text: str) -> Element:
        parts = text.split("\0")
        if len(parts) != 3:
            raise SaslFailure("malformed-request", "PLAIN is authorization, NUL, user, NUL, password")
        authorization, user, password = parts
        named = _prepared(user)
        if authorization and _prepared(authorization.partition("@")[0]) != named:
            raise SaslFailure("invalid-authzid", "a user acts as itself alone")
        if not await self._credentials.verify(named, password):
            self._credentials.failed(named)
            raise SaslFailure("not-authorized", "user and password do not fit")
        self.user = named
        return Element(SASL, "success")


def mechanismsFor(hasUsers: bool, plain: bool, anonymous: bool) -> tuple[str, ...]:
    """What is offered, the strongest first."""
    return (
        *(SCRAM if hasUsers else ()),
        *(("PLAIN",) if hasUsers and plain else ()),
        *(("ANONYMOUS",) if anonymous else ()),
    )


def _named(first: str) -> str:
    """The user that SCRAM's first message is about (RFC 5802 7)."""
    flag, _, rest = first.partition(",")
    authorization, comma, bare = rest.partition(",")
    name = next((part[2:] for part in bare.split(",") if part.startswith("n=")), "")
    if flag not in ("n", "y") or not comma or not name:
        raise SaslFailure("malformed-request", "SCRAM begins with n,,n=USER,r=NONCE; there is no channel binding here")
    user = _unescaped(name)
    if authorization and _prepared(_unescaped(authorization[2:]).partition("@")[0]) != _prepared(user):
        raise SaslFailure("invalid-authzid", "a user acts as itself alone")
    return _prepared(user)


def _unescaped(name: str) -> str:
    return name.replace("=2C", ",").replace("=3D", "=")


def _prepared(user: str) -> str:
    try:
        return prepareLocal(user)
    except ValueError:
        raise SaslFailure("not-authorized", "user and password do not fit") from None


def _decode(text: str) -> bytes | None:
    """Base64 of RFC 6120 6.4.2: nothing is None, "=" is empty."""
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
    return b64encode(text.encode()).decode() or "="
