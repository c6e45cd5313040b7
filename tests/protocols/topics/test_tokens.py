"""Tokens: which are taken, and what they allow."""

from __future__ import annotations

import base64
import json
import os
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.protocols.topics.routes import Answer, ask, closing, daemonOf, heard, request
from tests.wire import Client, Daemon
from wsd.auth.outcome import TokenError
from wsd.auth.tokens import Keys, Verifier
from wsd.protocols.topics.claims import readClaims
from wsd.protocols.topics.enveloped import ENVELOPED
from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.plain import PLAIN
from wsd.protocols.topics.rules import Action, Claims

SECRET = b"0123456789abcdef0123456789abcdef"
PRIVATE: dict[str, Any] = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
HOUR = 3600


def publicPem(private: Any) -> bytes:
    pem: bytes = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem


def tokenOf(key: Any = SECRET, algorithm: str = "HS256", kid: str | None = None, **claims: Any) -> str:
    claims = {"exp": time.time() + 24 * HOUR, **claims}
    return jwt.encode(claims, key, algorithm, headers=None if kid is None else {"kid": kid})


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    return path


def verdict(path: Path, token: str, audience: str | None = None, issuer: str | None = None) -> Claims | str:
    """The claims, or the code of the error."""
    try:
        verified = Verifier(Keys(str(path)), audience, issuer).verify(token)
        return readClaims(verified.user, verified.expires, verified.claims)
    except (TokenError, TopicError) as error:
        return error.code


class TestAToken:
    def test_says_who_may_do_what_until_when(self, secret: Path) -> None:
        claims = verdict(secret, tokenOf(sub="ann", exp=4e9, topics={"publish": ["chat/+"], "subscribe": ["#"]}))
        assert isinstance(claims, Claims)
        assert claims.user == "ann"
        assert claims.expires == 4e9
        assert claims.allowed == {
            Action.publish: (("chat", "+"),),
            Action.subscribe: (("#",),),
            Action.history: (("#",),),
            Action.presence: (("#",),),
            Action.direct: (("chat", "+"),),
        }

    @pytest.mark.parametrize("algorithm", list(PRIVATE))
    def test_is_verified_by_a_public_key(self, tmp_path: Path, algorithm: str) -> None:
        path = tmp_path / "key.pem"
        path.write_bytes(publicPem(PRIVATE[algorithm]))
        assert isinstance(verdict(path, tokenOf(PRIVATE[algorithm], algorithm)), Claims)
        assert isinstance(verdict(path, tokenOf(PRIVATE[algorithm], algorithm, kid="any")), Claims)

    def test_is_verified_by_a_set_of_keys(self, tmp_path: Path) -> None:
        path = tmp_path / "keys.json"
        keys = [
            {**json.loads(jwt.get_algorithm_by_name(name).to_jwk(private.public_key())), "kid": name}
            for name, private in PRIVATE.items()
        ]
        path.write_text(json.dumps({"keys": keys}))
        for name, private in PRIVATE.items():
            assert isinstance(verdict(path, tokenOf(private, name, kid=name)), Claims)
            assert verdict(path, tokenOf(private, name, kid="other")) == "bad_token"
            assert verdict(path, tokenOf(private, name)) == "bad_token"

    @pytest.mark.parametrize(
        ("claims", "code"),
        [
            ({"exp": time.time() - 11}, "expired"),
            ({"exp": "4000000000"}, "bad_token"),
            ({"exp": float("inf")}, "bad_token"),
            ({"nbf": time.time() + 24 * HOUR}, "bad_token"),
            ({"topics": []}, "bad_token"),
            ({"topics": {"shout": []}}, "bad_token"),
            ({"topics": {"publish": "a"}}, "bad_token"),
            ({"topics": {"publish": [1]}}, "bad_token"),
            ({"topics": {"publish": ["a/#/b"]}}, "bad_token"),
        ],
    )
    def test_with_bad_claims_is_refused(self, secret: Path, claims: dict[str, Any], code: str) -> None:
        assert verdict(secret, tokenOf(**claims)) == code

    def test_without_an_end_is_refused(self, secret: Path) -> None:
        assert verdict(secret, jwt.encode({"sub": "ann"}, SECRET, "HS256")) == "bad_token"

    @pytest.mark.parametrize("token", ["", "a.b.c", "x" * 9000, "é.é.é"])
    def test_that_is_none_is_refused(self, secret: Path, token: str) -> None:
        assert verdict(secret, token + " ") == "bad_token"

    def test_must_have_the_audience_and_the_issuer(self, secret: Path) -> None:
        for claims, code in (({}, "bad_token"), ({"aud": "x"}, "bad_token")):
            assert verdict(secret, tokenOf(**claims), audience="wsd") == code
        assert isinstance(verdict(secret, tokenOf(aud=["x", "wsd"]), audience="wsd"), Claims)
        assert verdict(secret, tokenOf(iss="x"), issuer="wsd") == "bad_token"
        assert isinstance(verdict(secret, tokenOf(iss="wsd", aud="any"), issuer="wsd"), Claims)


class TestAForgedToken:
    def test_without_a_signature_is_refused(self, secret: Path) -> None:
        assert verdict(secret, tokenOf("", "none")) == "bad_token"

    def test_with_another_secret_is_refused(self, secret: Path) -> None:
        assert verdict(secret, tokenOf(b"x" * 32)) == "bad_token"

    def test_signed_with_the_public_key_as_a_secret_is_refused(self, tmp_path: Path) -> None:
        pem = publicPem(PRIVATE["RS256"])
        path = tmp_path / "key.pem"
        path.write_bytes(pem)
        head, body = (
            base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
            for part in ({"alg": "HS256", "typ": "JWT"}, {"exp": time.time() + HOUR})
        )
        signature = jwt.get_algorithm_by_name("HS256").sign(head + b"." + body, pem)
        forged = b".".join((head, body, base64.urlsafe_b64encode(signature).rstrip(b"="))).decode()
        assert verdict(path, forged) == "bad_token"

    def test_of_another_algorithm_for_the_same_kind_of_key_is_refused(self, secret: Path, tmp_path: Path) -> None:
        assert verdict(secret, tokenOf(SECRET * 2, "HS512")) == "bad_token"
        path = tmp_path / "key.pem"
        path.write_bytes(publicPem(PRIVATE["RS256"]))
        assert verdict(path, tokenOf(PRIVATE["RS256"], "PS256")) == "bad_token"


class TestTheKeys:
    def test_are_read_again_when_the_file_changes(self, secret: Path) -> None:
        verifier = Verifier(Keys(str(secret)), None, None)
        assert verifier.verify(tokenOf())
        other = secret.with_name("other")
        other.write_bytes(b"y" * 32)
        os.replace(other, secret)
        assert verifier.verify(tokenOf(b"y" * 32))
        with pytest.raises(TokenError):
            verifier.verify(tokenOf())

    def test_of_before_hold_while_the_file_cannot_be_read(self, secret: Path) -> None:
        verifier = Verifier(Keys(str(secret)), None, None)
        secret.write_bytes(b"short")
        assert verifier.verify(tokenOf())
        secret.unlink()
        assert verifier.verify(tokenOf())

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"short", "has a secret of 5 bytes; HS256 needs 32 or more"),
            (b"-----BEGIN PUBLIC KEY-----", "is not a public key in PEM"),
            (b'{"keys": []}', "is not a JWKS"),
            (b"{", "is not a JWKS"),
            (publicPem(ec.generate_private_key(ec.SECP384R1())), "has a key that is not RSA, P-256 or Ed25519"),
        ],
    )
    def test_that_are_none_are_refused(self, tmp_path: Path, content: bytes, said: str) -> None:
        path = tmp_path / "key"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=str(tmp_path)) as caught:
            Keys(str(path))
        assert said in str(caught.value)


class Guarded:
    """A route whose topics below `guarded` need tokens."""

    def __init__(self, secret: Path) -> None:
        rules = ("token guarded/#", "anyone")
        self.daemon: Daemon = daemonOf(token_key=str(secret), publish=rules, subscribe=rules)
        self.factory = self.daemon.factories["/topics/*"]

    def open(self, path: str, **arguments: Any) -> Client:
        return self.daemon.open(path, **arguments)


@pytest.fixture
def guarded(secret: Path) -> Guarded:
    return Guarded(secret)


BOTH = {"publish": ["guarded/#"], "subscribe": ["guarded/#"]}


class TestAGuardedTopic:
    @pytest.mark.parametrize("way", ["query", "header", "subprotocol"])
    def test_opens_with_a_token(self, guarded: Guarded, way: str) -> None:
        token = tokenOf(topics=BOTH)
        client = {
            "query": lambda: guarded.open(f"/topics/guarded/a?token={token}"),
            "header": lambda: guarded.open("/topics/guarded/a", headers={"Authorization": f"Bearer {token}"}),
            "subprotocol": lambda: guarded.open("/topics/guarded/a", subprotocols=[PLAIN, f"bearer.{token}"]),
        }[way]()
        assert client.response is not None
        assert client.response.status_code == 101
        assert token not in str(client.response.headers)
        other = guarded.open(f"/topics/guarded/a?token={token}")
        client.say("1")
        assert heard(other) == ["1"]

    def test_is_closed_to_others(self, guarded: Guarded) -> None:
        for query, status in (
            ("", 401),
            ("?token=x", 401),
            (f"?token={tokenOf(topics={'subscribe': ['other']})}", 403),
        ):
            response = guarded.open(f"/topics/guarded/a{query}").response
            assert response is not None
            assert response.status_code == status

    def test_is_not_seen_through_a_filter(self, guarded: Guarded) -> None:
        response = guarded.open("/topics/%23").response
        assert response is not None
        assert response.status_code == 401

    def test_shows_nothing_to_others(self, guarded: Guarded) -> None:
        guarded.open(f"/topics/guarded/a?token={tokenOf(topics=BOTH)}").say("1")
        for path, accept in (("/topics/guarded/a", "application/json"), ("/topics/guarded/a", "application/x-ndjson")):
            assert ask(guarded.daemon, f"GET {path}", f"Accept: {accept}").error[:2] == (401, "unauthorized")
        stranger = guarded.open("/topics/", subprotocols=[ENVELOPED])
        for name, fields in (("members", {}), ("enter", {}), ("direct", {"to": "x", "data": 1})):
            stranger.say(json.dumps({name: {"topic": "guarded/a", **fields}}))
            (answer,) = heard(stranger)
            assert json.loads(answer)["error"]["code"] == "unauthorized"

    def test_may_be_read_only(self, guarded: Guarded) -> None:
        client = guarded.open(f"/topics/guarded/a?token={tokenOf(topics={'subscribe': ['guarded/a']})}")
        client.say("1")
        assert closing(client) == (1008, "this client cannot publish, because it connected as a subscriber")

    def test_ends_with_its_token(self, guarded: Guarded) -> None:
        now = int(time.time())
        client = guarded.open(f"/topics/guarded/a?token={tokenOf(topics=BOTH, exp=now + 60)}")
        guarded.daemon.reactor.advance(58)
        assert client.closeCode is None
        guarded.daemon.reactor.advance(2)
        assert closing(client) == (4001, "the token has expired; get a new one, and connect again")

    def test_is_waited_for_no_longer_than_its_token(self, guarded: Guarded) -> None:
        token = tokenOf(topics=BOTH, exp=int(time.time()) + 10)
        wire = guarded.daemon.connect()
        assert wire.exchange(request(f"GET /topics/guarded/a?wait=60&token={token}")) == b""
        guarded.daemon.pass_(11)
        assert Answer(wire.exchange(b"")).json["messages"] == []


class TestTheEnvelopedForm:
    def ask(self, client: Client, name: str, **fields: Any) -> Any:
        client.say(json.dumps({name: fields}))
        (answer,) = heard(client)
        return json.loads(answer)

    def test_asks_the_rules_for_each_topic(self, guarded: Guarded) -> None:
        token = tokenOf(topics={"subscribe": ["guarded/a"]})
        client = guarded.open(f"/topics/?token={token}", subprotocols=[ENVELOPED])
        assert "subscribed" in self.ask(client, "subscribe", topic="guarded/a")
        for name, topic, fields in (("subscribe", "guarded/b", {}), ("publish", "guarded/a", {"data": 1})):
            error = self.ask(client, name, id=1, topic=topic, **fields)["error"]
            assert (error["id"], error["code"]) == (1, "forbidden")

    def test_forgets_the_user_of_a_token_that_was_renewed(self, secret: Path) -> None:
        daemon = daemonOf(token_key=str(secret), publish=("user",), subscribe=("anyone",))
        client = daemon.open(f"/topics/?token={tokenOf(sub='ann')}", subprotocols=[ENVELOPED])
        assert "published" in self.ask(client, "publish", id=1, topic="a", data=1)
        assert "renewed" in self.ask(client, "token", id=2, token=tokenOf())
        assert self.ask(client, "publish", id=3, topic="a", data=1)["error"]["code"] == "unauthorized"

    def test_may_renew_its_token(self, guarded: Guarded) -> None:
        now = int(time.time())
        client = guarded.open(f"/topics/?token={tokenOf(topics=BOTH, exp=now + 60)}", subprotocols=[ENVELOPED])
        self.ask(client, "subscribe", topic="guarded/a")
        less = tokenOf(topics={"subscribe": ["guarded/b"]}, exp=now + 100)
        assert self.ask(client, "token", id=1, token=less)["error"]["code"] == "forbidden"
        assert self.ask(client, "token", id=2, token="x")["error"]["code"] == "bad_token"
        assert self.ask(client, "token", id=3, token=tokenOf(topics=BOTH, exp=now + 100)) == {"renewed": {"id": 3}}
        guarded.daemon.reactor.advance(90)
        assert client.closeCode is None
        guarded.daemon.reactor.advance(10)
        assert client.closeCode == 4001


def test_a_route_without_keys_takes_no_tokens() -> None:
    response = daemonOf().open("/topics/a?token=x").response
    assert response is not None
    assert response.status_code == 401
    assert b"this route accepts no tokens" in (response.body or b"")


@pytest.mark.parametrize(
    ("origin", "status"), [(None, 101), ("http://localhost:9998", 101), ("http://elsewhere.example", 403)]
)
def test_a_rule_may_ask_for_pages_of_this_host(origin: str | None, status: int) -> None:
    daemon = daemonOf(origins=("*",), publish=("same-origin",), subscribe=("same-origin",))
    response = daemon.open("/topics/a", headers={} if origin is None else {"Origin": origin}).response
    assert response is not None
    assert response.status_code == status
