"""Logins in messages: which methods decide about them, and what each of them gets."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha1
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock

from tests.agent import Response
from tests.auth.helpers import SECRET, hashed, users
from tests.auth.test_hook import Service
from tests.auth.test_hook import service as service  # A fixture.
from tests.pool import PoolAtOnce
from wsd.auth.authenticator import Authenticator, Authenticators
from wsd.auth.basic import credentialsOf, withCredentials, withoutCredentials
from wsd.auth.logins import Login, PasswordDigest
from wsd.auth.outcome import AuthenticatedUser, AuthRequest
from wsd.config.auth import Auth
from wsd.frames import choose
from wsd.head import Refused, parseHead
from wsd.metrics import Metrics
from wsd.policies.address import Peer

HEAD = parseHead(b"GET /soap HTTP/1.1\r\nHost: x\r\nAuthorization: Basic " + b64encode(b"eve:x") + b"\r\nCookie: a=b")
REQUEST = AuthRequest(HEAD, Peer("192.0.2.7", 1, secure=True))


def digestOf(user: str, password: str) -> PasswordDigest:
    return PasswordDigest(user, b"n", "t", sha1(b"nt" + password.encode()).digest())


def made(**auth: Any) -> Authenticator:
    reactor = MemoryReactorClock()
    found = Authenticators(reactor, PoolAtOnce(reactor), Metrics(choose("auto").traffic)).of(Auth(**auth))
    assert found is not None
    return found


def found(authenticator: Authenticator, login: Login) -> AuthenticatedUser | Refused:
    """The user of a login, or why it is refused."""
    results: list[Any] = []
    asked = Deferred.fromCoroutine(authenticator.authenticateLogin(login, REQUEST))
    asked.addCallbacks(results.append, lambda failure: results.append(failure.value))
    (result,) = results
    assert isinstance(result, AuthenticatedUser | Refused)
    return result


class TestTheCredentialsOfAHead:
    def test_are_replaced_by_those_of_a_login(self) -> None:
        head = withCredentials(HEAD, "王", "a:b ä")
        assert credentialsOf(head) == ("王", "a:b ä".encode())
        assert head.headers.count("Authorization") == 1
        assert (head.headers.get("Cookie"), head.path) == ("a=b", "/soap")

    def test_can_be_left_out(self) -> None:
        assert "Authorization" not in withoutCredentials(HEAD).headers
        assert credentialsOf(HEAD) == ("eve", b"x")


class TestBasic:
    @pytest.fixture
    def basic(self, tmp_path: Path) -> Authenticator:
        path = Path(users(tmp_path, ann=hashed(), bob=f"{{CLEARTEXT}}{SECRET}"))
        path.chmod(0o600)
        return made(methods=("basic",), htpasswd=str(path))

    def test_judges_a_password(self, basic: Authenticator) -> None:
        assert found(basic, Login("ann", SECRET)) == AuthenticatedUser("ann", "basic")
        refused = found(basic, Login("ann", "wrong"))
        assert isinstance(refused, Refused)
        assert refused.status == 401

    def test_judges_a_digest_by_a_password_in_the_clear(self, basic: Authenticator) -> None:
        assert basic.takesDigests
        right, wrong = digestOf("bob", SECRET), digestOf("bob", "wrong")
        assert found(basic, Login("bob", digest=right)) == AuthenticatedUser("bob", "basic")
        others = [
            Login("bob", digest=wrong),
            Login("ann", digest=digestOf("ann", SECRET)),
            Login("eve", digest=digestOf("eve", SECRET)),
            Login("ann", digest=digestOf("ann", hashed())),
        ]
        refusals = [found(basic, login) for login in others]
        assert {str(refused) for refused in refusals} == {str(refusals[0])}, "nobody learns which users exist"
        assert all(isinstance(refused, Refused) for refused in refusals)

    def test_without_one_takes_no_digests(self, tmp_path: Path) -> None:
        assert not made(methods=("basic",), htpasswd=users(tmp_path, ann=hashed())).takesDigests


class TestAHook:
    def test_that_is_a_service_gets_the_password_as_basic_and_no_digest(self, service: Service) -> None:
        service.answer = Response(200, {"X-User": ["ann"]})
        hook = made(methods=("hook",), hook="http://127.0.0.1:8080/auth")
        assert found(hook, Login("ann", SECRET)) == AuthenticatedUser("ann", "hook")
        assert service.sent("Authorization") == ["Basic " + b64encode(f"ann:{SECRET}".encode()).decode()]
        assert service.sent("Cookie") == ["a=b"]
        assert not hook.takesDigests

    def test_that_is_a_function_gets_both(self, tmp_path: Path) -> None:
        (tmp_path / "auth.py").write_text(
            "from wsd.auth.basic import credentialsOf\n"
            "def decide(request):\n"
            "    if request.digest is not None:\n"
            "        assert credentialsOf(request.head) is None\n"
            "        return request.digest.user if request.digest.isOf('x') else None\n"
            "    return credentialsOf(request.head)[0]\n"
        )
        hook = made(methods=("hook",), hook=f"{tmp_path}/auth.py:decide", hook_cache=60.0)
        assert hook.takesDigests
        assert found(hook, Login("ann", "x")) == AuthenticatedUser("ann", "hook")
        assert found(hook, Login("bob", digest=digestOf("bob", "x"))) == AuthenticatedUser("bob", "hook")
        assert isinstance(found(hook, Login("bob", digest=digestOf("bob", "y"))), Refused), "no decision is mixed up"


def test_other_methods_are_not_asked(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(bytes(range(65, 97)))
    several = made(
        methods=("mtls", "bearer", "basic"), htpasswd=users(tmp_path, ann=hashed()), token_key=str(tmp_path / "key")
    )
    assert found(several, Login("ann", SECRET)) == AuthenticatedUser("ann", "basic")
    assert isinstance(found(several, Login("ann", "wrong")), Refused)
