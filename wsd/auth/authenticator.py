"""Authenticator: tries the methods of a route in their order, and refuses a request that none of them accepts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakValueDictionary

from wsd.auth.basic import BasicMethod, withCredentials, withoutCredentials
from wsd.auth.bearer import BearerMethod
from wsd.auth.certificates import CertificateMethod
from wsd.auth.hook import FunctionHook, Hook, HookMethod, HttpHook
from wsd.auth.htpasswd import PasswordFile
from wsd.auth.logins import Login
from wsd.auth.outcome import AuthenticatedUser, AuthRequest, Method, Rejection, TokenError
from wsd.config import ConfigError
from wsd.config.auth import Auth, isUrl
from wsd.config.code import load, versionOf
from wsd.head import Refused
from wsd.metrics import Metrics
from wsd.policies.pool import BlockingPool

_THREADS, _WAITING, _PATIENCE = 2, 200, 10.0
"""Threads that hash passwords, how many passwords may wait for them, and for how many seconds."""


_NO_TOKEN = "this connection was not opened with a token, so there is none to renew"


class Authenticator:
    """The methods of a route."""

    def __init__(self, methods: Sequence[Method], metrics: Metrics) -> None:
        self._methods = methods
        self._metrics = metrics
        self.takesTokens = any(method.name == "bearer" for method in methods)
        """Whether a subprotocol entry may bring a token."""
        self._ofLogins = [method for method in methods if isinstance(method, BasicMethod | HookMethod)]

    async def authenticate(self, request: AuthRequest) -> AuthenticatedUser:
        """Returns the user of a request. Raises `Refused`: 401 if a client could send something better, 403, or 503."""
        return await self._try(self._methods, request)

    @property
    def takesDigests(self) -> bool:
        """Whether a method can decide about the digest of a password."""
        return any(method.takesDigests for method in self._ofLogins)

    async def authenticateLogin(self, login: Login, request: AuthRequest) -> AuthenticatedUser:
        """
        Returns the user of a login in a message. The methods "basic" and "hook" decide.

        They are asked about the `request` that has brought the message as if it had the name and the password in its
        Authorization. Raises `Refused`.
        """
        if login.password is not None:
            head = withCredentials(request.head, login.user, login.password)
            return await self._try(self._ofLogins, replace(request, head=head))
        methods = [method for method in self._ofLogins if method.takesDigests]
        asked = replace(request, head=withoutCredentials(request.head), digest=login.digest)
        return await self._try(methods, asked)

    async def _try(self, methods: Sequence[Method], request: AuthRequest) -> AuthenticatedUser:
        rejections: list[tuple[Method, Rejection]] = []
        for method in methods:
            found = await method.authenticate(request)
            if isinstance(found, AuthenticatedUser):
                self._metrics.authentication(method.name, "accepted")
                return found
            if found is not None:
                self._metrics.authentication(method.name, "failed" if found.isFailure else "rejected")
                rejections.append((method, found))
        raise self._refused(rejections)

    def renewed(self, user: AuthenticatedUser, token: str) -> AuthenticatedUser:
        """Returns a user who was recognised by a token, with a newer one. Raises TokenError."""
        for method in self._methods:
            if isinstance(method, BearerMethod) and user.method == method.name:
                try:
                    found = method.verify(token)
                    if found.name != user.name:
                        raise TokenError("bad_token", "the token is for another user; open a new connection with it")
                except TokenError:
                    self._metrics.authentication(method.name, "rejected")
                    raise
                self._metrics.authentication(method.name, "accepted")
                return found
        raise TokenError("bad_token", _NO_TOKEN)

    def _refused(self, rejections: Sequence[tuple[Method, Rejection]]) -> Refused:
        for _, rejection in rejections:
            if rejection.isFailure:
                return Refused(503, rejection.sentence, [("Retry-After", "1")])
        challenges = list(self._challenges({method.name: each for method, each in rejections}))
        if rejections:
            sentence = rejections[-1][1].sentence
        else:
            sentence = "this route needs authentication: " + ", or ".join(each.missing for each in self._methods)
        if not challenges:
            return Refused(403, sentence)
        return Refused(401, sentence, [("WWW-Authenticate", ", ".join(challenges)), ("Cache-Control", "no-store")])

    def _challenges(self, rejections: dict[str, Rejection]) -> Iterator[str]:
        """What the client could send (RFC 9110 11.6.1), in the order of the methods."""
        for method in self._methods:
            rejection = rejections.get(method.name)
            challenge = method.challenge if rejection is None else rejection.challenge or method.challenge
            if challenge is not None:
                yield challenge


class Authenticators:
    """Makes the authenticators of a daemon. Routes with the same keys share one, and what it remembers."""

    def __init__(self, reactor: Any, pool: BlockingPool, metrics: Metrics) -> None:
        self._reactor = reactor
        self._pool = pool
        self._metrics = metrics
        self._made: WeakValueDictionary[tuple[object, ...], Authenticator] = WeakValueDictionary()

    def of(self, auth: Auth) -> Authenticator | None:
        """The authenticator for these keys, None if everyone may connect. Raises ConfigError if it cannot be made."""
        if not auth.methods:
            return None
        key = (auth, *map(versionOf, auth.code))
        found = self._made.get(key)
        if found is None:
            found = Authenticator([self._method(name, auth) for name in auth.methods], self._metrics)
            self._made[key] = found
        return found

    def _method(self, name: str, auth: Auth) -> Method:
        make = {"basic": self._basic, "bearer": self._bearer, "mtls": self._certificates, "hook": self._hook}[name]
        return make(auth)

    def _basic(self, auth: Auth) -> Method:
        assert auth.htpasswd is not None
        try:
            users = PasswordFile(auth.htpasswd)
        except ValueError as error:
            raise ConfigError(str(error), "auth.htpasswd") from None
        except OSError as error:
            raise _unreadable("auth.htpasswd", auth.htpasswd, error) from None
        share = self._pool.share("auth", "", threads=_THREADS, waiting=_WAITING, timeout=_PATIENCE)
        return BasicMethod(users, share, self._reactor, auth.realm, auth.basic_without_tls)

    @staticmethod
    def _bearer(auth: Auth) -> Method:
        # A daemon without tokens does not load PyJWT.
        from wsd.auth.tokens import Keys, Verifier

        assert auth.token_key is not None
        try:
            keys = Keys(auth.token_key)
        except ValueError as error:
            raise ConfigError(str(error), "auth.token_key") from None
        except OSError as error:
            raise _unreadable("auth.token_key", auth.token_key, error) from None
        return BearerMethod(Verifier(keys, auth.token_audience, auth.token_issuer), auth.realm)

    @staticmethod
    def _certificates(auth: Auth) -> Method:
        return CertificateMethod(auth.certificate_user)

    def _hook(self, auth: Auth) -> Method:
        assert auth.hook is not None
        hook: Hook
        if isUrl(auth.hook):
            hook = HttpHook(self._reactor, auth.hook, auth.hook_headers, auth.hook_user, auth.hook_timeout)
        else:
            try:
                function = load(auth.hook)
            except ConfigError as error:
                raise ConfigError(error.sentence, "auth.hook") from None
            if not callable(function):
                raise ConfigError(f'"{auth.hook}" is not callable; name a function', "auth.hook")
            hook = FunctionHook(function)
        return HookMethod(hook, auth.hook, self._reactor, auth.hook_timeout, auth.hook_cache)


def _unreadable(key: str, path: str, error: OSError) -> ConfigError:
    return ConfigError(f"{path} cannot be read: {error.strerror}; name a file that wsd can read", key)
