"""The keys of authentication: the table [auth], and the table `auth` of a route, which overrides it key by key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from wsd.config import fields
from wsd.config.tables import Table
from wsd.config.values import nearest, reference, show, splitReference, token

METHODS = ("basic", "bearer", "mtls", "hook")

_CONNECTION = frozenset(
    "connection content-length expect host keep-alive te trailer transfer-encoding upgrade x-original-method"
    " x-original-uri x-forwarded-for x-forwarded-proto".split()
)
"""Header fields that wsd sets itself in a request to a hook, or that belong to one connection (RFC 9110 7.6.1)."""


def _method(text: str) -> str:
    """The name of a method."""
    if text not in METHODS:
        raise ValueError(f"{show(text)} is not a method of authentication; {nearest(text, METHODS)}")
    return text


def _field(text: str) -> str:
    """The name of a header field that a hook gets."""
    try:
        name = token(text).lower()
    except ValueError:
        raise ValueError(f'{show(text)} is not the name of a header field; write one such as "Cookie"') from None
    if name in _CONNECTION:
        raise ValueError(f"{show(text)} is not passed on; remove it")
    return name


def isUrl(hook: str) -> bool:
    """Whether a hook is the URL of a service, and not a Python function."""
    return "://" in hook


def _hook(text: str, folder: str) -> str:
    """A hook: the URL of a service, or a reference to a Python function."""
    if not isUrl(text):
        found = reference(text, folder, "auth.py:decide")
        if splitReference(found)[1] is None:
            raise ValueError(f'{show(text)} has no function; write "{text}:decide", or the URL of a service')
        return found
    try:
        parts = urlsplit(text)
        isRight = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        isRight = False
    if not isRight or not text.isascii() or not text.isprintable() or " " in text or "#" in text or "@" in text:
        raise ValueError(f'{show(text)} is not a URL for a hook; write one such as "http://127.0.0.1:8080/auth"')
    return text


def _codeIn(hook: str | None) -> Iterable[str]:
    return () if hook is None or isUrl(hook) else (hook,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """[auth]: the methods of authentication, and what each of them needs."""

    methods: tuple[str, ...] = fields.strings(each=_method)
    """The methods that are tried, in this order; if empty, everyone may connect."""
    realm: str = field(default="wsd", metadata={})
    """What a browser shows when it asks for a password (RFC 9110 11.5)."""
    htpasswd: str | None = fields.path()
    """The file with the users and the hashes of their passwords, for "basic"."""
    basic_without_tls: bool = False
    """Whether other machines may send passwords over connections without TLS."""
    token_key: str | None = fields.path()
    """The file of the keys for tokens, for "bearer": a secret, a public key in PEM, or a JWKS."""
    token_audience: str | None = None
    """The audience (aud) that a token must have."""
    token_issuer: str | None = None
    """The issuer (iss) that a token must have."""
    certificate_user: str = fields.choice("subject", "cn", "dns", "email", "uri")
    """What names the user in a client certificate, for "mtls": the subject, its CN, or a subject alternative name."""
    hook: str | None = field(default=None, metadata={"eachIn": _hook, "codeIn": _codeIn})
    """The URL of the service that decides, or a reference to a Python function, for "hook"."""
    hook_headers: tuple[str, ...] = fields.strings("authorization", "cookie", each=_field)
    """The header fields of a request that are passed on to the service."""
    hook_user: str = field(default="x-user", metadata={"each": _field})
    """The header field of the answer of the service that names the user."""
    hook_timeout: float = fields.seconds(5.0)
    """Seconds in which the hook must decide, else the request is refused."""
    hook_cache: float = fields.seconds(0.0, least=0)
    """Seconds for which a decision is used again for equal requests; 0 for none."""

    @property
    def code(self) -> Iterable[str]:
        """The references to Python code."""
        return _codeIn(self.hook) if "hook" in self.methods else ()


_NEEDED = {
    "basic": ("htpasswd", "the file with the users and the hashes of their passwords"),
    "bearer": ("token_key", "the file with the key that verifies tokens"),
    "hook": ("hook", "the URL of a service, or a function such as auth.py:decide"),
}


def checkAuth(auth: Auth, table: Table) -> None:
    """Raises ConfigError if a method lacks what it needs. It names a key of `table`."""
    for method in auth.methods:
        key, meaning = _NEEDED.get(method, (None, ""))
        if key is not None and getattr(auth, key) is None:
            raise table.error("methods", f'"{method}" needs {key}, {meaning}')
    if not auth.realm.isascii() or not auth.realm.isprintable() or not set(auth.realm).isdisjoint('"\\'):
        raise table.error("realm", f'{show(auth.realm)} is not a realm; write printable ASCII without " and \\')
