"""bearer: JSON Web Tokens, from Authorization, from a subprotocol entry, and from the query of topics."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests.auth.helpers import basic, daemonWith, fetched, fieldOf, hashed, opened, sentenceOf, statusOf, users
from tests.protocols.topics.test_tokens import PRIVATE, SECRET, publicPem, tokenOf
from tests.web.test_door import upgrade
from tests.wire import Client, Daemon
from wsd.config import Policies
from wsd.connection import Connection, Factory, TokenError
from wsd.protocols.describe import DescribeFactory
from wsd.protocols.topics.enveloped import ENVELOPED
from wsd.protocols.topics.protocol import TopicsFactory


@pytest.fixture
def key(tmp_path: Path) -> str:
    path = tmp_path / "key"
    path.write_bytes(SECRET)
    return str(path)


@pytest.fixture
def daemon(key: str) -> Daemon:
    return daemonWith(methods=("bearer",), token_key=key)


def bearer(token: str) -> bytes:
    return b"Authorization: Bearer " + token.encode()


class TestAToken:
    def test_names_the_user_by_its_subject(self, daemon: Daemon) -> None:
        assert statusOf(opened(daemon, bearer(tokenOf(sub="ann")))) == 101
        assert [connection.user for connection in daemon.connections] == ["ann"]
        assert statusOf(fetched(daemon, bearer(tokenOf(sub="ann")))) == 200

    def test_may_have_no_subject(self, daemon: Daemon) -> None:
        assert statusOf(opened(daemon, bearer(tokenOf()))) == 101
        assert [connection.user for connection in daemon.connections] == [None]

    @pytest.mark.parametrize("algorithm", PRIVATE)
    def test_is_verified_by_a_public_key(self, algorithm: str, tmp_path: Path) -> None:
        path = tmp_path / "key.pem"
        path.write_bytes(publicPem(PRIVATE[algorithm]))
        daemon = daemonWith(methods=("bearer",), token_key=str(path))
        assert statusOf(opened(daemon, bearer(tokenOf(PRIVATE[algorithm], algorithm, sub="ann")))) == 101
        confused = jwt.api_jws.encode(
            json.dumps({"exp": time.time() + 60}).encode(), SECRET, "HS256", headers={"typ": "JWT"}
        )
        assert statusOf(opened(daemon, bearer(confused))) == 401

    def test_is_verified_by_a_set_of_keys(self, tmp_path: Path) -> None:
        path = tmp_path / "jwks.json"
        known = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256).to_jwk(
            PRIVATE["ES256"].public_key(), as_dict=True
        )
        path.write_text(json.dumps({"keys": [{**known, "kid": "one", "alg": "ES256"}]}))
        daemon = daemonWith(methods=("bearer",), token_key=str(path))
        assert statusOf(opened(daemon, bearer(tokenOf(PRIVATE["ES256"], "ES256", "one", sub="ann")))) == 101
        assert statusOf(opened(daemon, bearer(tokenOf(PRIVATE["ES256"], "ES256", "two", sub="ann")))) == 401

    @pytest.mark.parametrize(
        ("token", "words"),
        [
            (tokenOf(exp=time.time() - 60), "expired"),
            (tokenOf(b"another secret of thirty-two bytes"), "signature"),
            (tokenOf(algorithm="HS512"), "algorithm"),
            (tokenOf(nbf=time.time() + 86_400), "not valid yet"),
            ("nonsense", "not a JSON Web Token"),
            ("x" * 9000, "longer"),
            (
                base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
                + "."
                + base64.urlsafe_b64encode(b'{"exp":9999999999,"sub":"ann"}').decode().rstrip("=")
                + ".",
                "algorithm",
            ),
            (tokenOf(sub="a\nb"), "not the name of a user"),
            (tokenOf(sub=" "), "not the name of a user"),
        ],
    )
    def test_that_is_not_valid_is_refused_and_not_repeated(self, daemon: Daemon, token: str, words: str) -> None:
        answer = opened(daemon, bearer(token))
        assert statusOf(answer) == 401
        assert words in sentenceOf(answer)
        assert token.encode() not in answer
        assert (fieldOf(answer, "WWW-Authenticate") or "").startswith('Bearer realm="wsd"')

    def test_that_is_missing_is_asked_for(self, daemon: Daemon) -> None:
        answer = opened(daemon)
        assert fieldOf(answer, "WWW-Authenticate") == 'Bearer realm="wsd"'
        assert "send a token" in sentenceOf(answer)

    def test_that_is_wrong_is_called_so(self, daemon: Daemon) -> None:
        assert fieldOf(opened(daemon, bearer("x")), "WWW-Authenticate") == 'Bearer realm="wsd", error="invalid_token"'

    def test_must_have_the_audience_and_the_issuer(self, key: str) -> None:
        daemon = daemonWith(methods=("bearer",), token_key=key, token_audience="wsd", token_issuer="https://login")
        assert statusOf(opened(daemon, bearer(tokenOf(aud="wsd", iss="https://login")))) == 101
        assert statusOf(opened(daemon, bearer(tokenOf(aud="other", iss="https://login")))) == 401
        assert statusOf(opened(daemon, bearer(tokenOf(aud="wsd")))) == 401


class TestASubprotocolEntry:
    def test_brings_a_token_and_is_never_echoed(self, daemon: Daemon) -> None:
        token = tokenOf(sub="ann")
        answer = opened(daemon, f"Sec-WebSocket-Protocol: bearer.{token}".encode())
        assert statusOf(answer) == 101
        assert fieldOf(answer, "Sec-WebSocket-Protocol") is None
        (connection,) = daemon.connections
        assert connection.user == "ann"
        assert connection.request.subprotocols == ()

    def test_leaves_the_others_to_be_chosen_from(self, key: str) -> None:
        daemon = daemonWith(methods=("bearer",), token_key=key, others={"subprotocols": ("chat",)})
        answer = opened(daemon, f"Sec-WebSocket-Protocol: bearer.{tokenOf()}, chat".encode())
        assert fieldOf(answer, "Sec-WebSocket-Protocol") == "chat"

    def test_is_not_asked_for_where_there_are_no_tokens(self) -> None:
        daemon = daemonWith()
        opened(daemon, b"Sec-WebSocket-Protocol: bearer.abc")
        assert daemon.connections[0].request.subprotocols == ("bearer.abc",)


class TestTheQuery:
    def test_brings_a_token_to_topics_alone(self, key: str) -> None:
        daemon = daemonWith(
            {"/topics/*": TopicsFactory, "/describe": DescribeFactory}, methods=("bearer",), token_key=key
        )
        token = tokenOf(sub="ann").encode()
        assert statusOf(opened(daemon, path=b"/topics/a?token=" + token)) == 101
        assert [connection.user for connection in daemon.connections] == ["ann"]
        assert statusOf(fetched(daemon, path=b"/topics/a?token=" + token)) == 200
        assert statusOf(opened(daemon, path=b"/describe?token=" + token)) == 401


class TestTheEnd:
    def test_comes_when_the_token_expires(self, key: str) -> None:
        others = {"policies": Policies(ping_interval=0.0)}
        daemon = daemonWith(methods=("bearer",), token_key=key, others=others)
        client = Client(
            daemon.connect(), "/echo", headers={"Authorization": f"Bearer {tokenOf(sub='ann', exp=time.time() + 60)}"}
        ).handshake()
        daemon.pass_(55)
        assert client.exchange() == []
        assert daemon.connections
        daemon.pass_(6)
        client.exchange()
        assert client.protocol.close_code == 4001
        assert str(client.protocol.close_reason).startswith("the token has expired; get a new one")

    def test_leaves_nothing_behind_after_an_earlier_one(self, daemon: Daemon) -> None:
        wire = daemon.connect()
        wire.exchange(upgrade(b"/echo", bearer(tokenOf(exp=time.time() + 60))))
        wire.close()
        assert not [call for call in daemon.reactor.getDelayedCalls() if "expired" in str(call)]


class RenewingConnection(Connection):
    """Takes each message as a token."""

    def received(self, payload: bytes, isBinary: bool) -> None:
        try:
            self.renewToken(payload.decode())
        except TokenError as error:
            self.send(f"{error.code}: {error.sentence}")
        else:
            self.send("renewed")


class RenewingFactory(Factory):
    connection = RenewingConnection


def opensFor(daemon: Daemon, path: str, **claims: Any) -> Client:
    """A client whose token says this."""
    return Client(daemon.connect(), path, headers={"Authorization": f"Bearer {tokenOf(**claims)}"}).handshake()


class TestANewerToken:
    """A protocol may have a message for it: the connection then outlives the token that it was opened with."""

    @pytest.fixture
    def daemon(self, key: str) -> Daemon:
        others = {"policies": Policies(ping_interval=0.0)}
        return daemonWith({"/mine": RenewingFactory}, methods=("bearer",), token_key=key, others=others)

    def test_keeps_the_connection_open(self, daemon: Daemon) -> None:
        client = opensFor(daemon, "/mine", sub="ann", exp=time.time() + 60)
        assert client.messages(client.say(tokenOf(sub="ann", exp=time.time() + 180))) == ["renewed"]
        daemon.pass_(170)
        assert client.exchange() == []
        daemon.pass_(12)
        client.exchange()
        assert client.protocol.close_code == 4001
        assert not [call for call in daemon.reactor.getDelayedCalls() if "expired" in str(call)]

    @pytest.mark.parametrize(
        ("claims", "words"),
        [
            ({"sub": "tom"}, "bad_token: the token is for another user; open a new connection with it"),
            ({}, "bad_token: the token is for another user; open a new connection with it"),
            ({"sub": "ann", "exp": 1}, "expired: the token has expired; get a new one"),
        ],
    )
    def test_must_be_valid_and_of_the_same_user(self, daemon: Daemon, claims: Any, words: str) -> None:
        client = opensFor(daemon, "/mine", sub="ann", exp=time.time() + 60)
        assert client.messages(client.say(tokenOf(**claims))) == [words]
        daemon.pass_(55)
        assert client.exchange() == []
        daemon.pass_(6)
        client.exchange()
        assert client.protocol.close_code == 4001, "the old one is still in force"

    def test_is_nothing_for_a_client_without_one(self, key: str, tmp_path: Path) -> None:
        methods = ("bearer", "basic")
        passwords = users(tmp_path, ann=hashed())
        daemon = daemonWith({"/mine": RenewingFactory}, methods=methods, token_key=key, htpasswd=passwords)
        client = Client(daemon.connect(), "/mine", headers={"Authorization": basic("ann").decode()[15:]}).handshake()
        (told,) = client.messages(client.say(tokenOf(sub="ann")))
        assert told == "bad_token: this connection was not opened with a token, so there is none to renew"

    def test_is_nothing_where_everyone_may_connect(self) -> None:
        client = daemonWith({"/mine": RenewingFactory}).open("/mine")
        (told,) = client.messages(client.say(tokenOf(sub="ann")))
        assert told == "bad_token: this route does not authenticate its clients, so there is no token to renew"


class TestTopics:
    """What a token says about topics counts without a second key."""

    @pytest.fixture
    def daemon(self, key: str) -> Daemon:
        options = TopicsFactory.Options(publish=("token",), subscribe=("user",))
        return daemonWith({"/topics/*": TopicsFactory}, methods=("bearer",), token_key=key, others={"options": options})

    def test_the_claims_of_the_token_allow(self, daemon: Daemon) -> None:
        may = bearer(tokenOf(sub="ann", topics={"publish": ["a"]}))
        post = (b"Content-Length: 1",)
        wire = daemon.connect()
        head = b"\r\n".join([b"POST /topics/a HTTP/1.1", b"Host: localhost", may, *post, b"", b"x"])
        assert statusOf(wire.exchange(head)) == 202
        assert statusOf(wire.exchange(head.replace(b"/topics/a", b"/topics/b"))) == 403

    def test_a_newer_token_renews_the_connection_and_what_it_may_do(self, daemon: Daemon) -> None:
        client = Client(
            daemon.connect(),
            "/topics/",
            subprotocols=[ENVELOPED],
            headers={"Authorization": f"Bearer {tokenOf(sub='ann', exp=time.time() + 60)}"},
        ).handshake()

        def ask(name: str, **fields: Any) -> Any:
            (answer,) = client.messages(client.say(json.dumps({name: {"id": 1, **fields}})))
            return json.loads(answer)

        assert ask("publish", topic="a", data=1)["error"]["code"] == "forbidden"
        assert ask("token", token=tokenOf(sub="tom"))["error"]["code"] == "bad_token"
        assert ask("token", token="x")["error"]["code"] == "bad_token"
        newer = tokenOf(sub="ann", topics={"publish": ["a"]}, exp=time.time() + 180)
        assert ask("token", token=newer) == {"renewed": {"id": 1}}
        assert "published" in ask("publish", topic="a", data=1)
        daemon.reactor.advance(170)
        assert client.closeCode is None
        daemon.reactor.advance(11)
        assert client.closeCode == 4001

    def test_the_user_is_one_for_the_rules(self, daemon: Daemon) -> None:
        assert statusOf(opened(daemon, bearer(tokenOf(sub="ann")), path=b"/topics/a?role=subscriber")) == 101
        assert statusOf(opened(daemon, bearer(tokenOf()), path=b"/topics/a?role=subscriber")) == 401

    def test_a_preflight_of_an_allowed_origin_needs_no_token(self, key: str) -> None:
        daemon = daemonWith(
            {"/topics/*": TopicsFactory, "/describe": DescribeFactory},
            methods=("bearer",),
            token_key=key,
            others={"origins": ("https://app.example",)},
        )
        asks = (b"Origin: https://app.example", b"Access-Control-Request-Method: POST")
        answer = fetched(daemon, *asks, path=b"/topics/a", method=b"OPTIONS")
        assert statusOf(answer) == 204
        assert fieldOf(answer, "Access-Control-Allow-Origin") == "https://app.example"
        foreign = (b"Origin: https://evil.example", b"Access-Control-Request-Method: POST")
        assert statusOf(fetched(daemon, *foreign, path=b"/topics/a", method=b"OPTIONS")) == 403
        refused = fetched(daemon, *asks[:1], path=b"/topics/a")
        assert statusOf(refused) == 401
        assert fieldOf(refused, "Access-Control-Allow-Origin") == "https://app.example", "the page learns why"
        assert fieldOf(fetched(daemon, *foreign[:1], path=b"/topics/a"), "Access-Control-Allow-Origin") is None
        assert statusOf(fetched(daemon, *asks, path=b"/describe", method=b"OPTIONS")) == 401
