"""Logins: SASL (RFC 6120 6) with SCRAM, PLAIN and ANONYMOUS, and the limits against guessing."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from tests.protocols.xmpp.talk import CLOSE, OPEN, REMOTE, SASL, Host, Talker, condition
from wsd.protocols.xmpp import credentials
from wsd.protocols.xmpp.logins import StreamLogins
from wsd.protocols.xmpp.sasl import mechanismsFor
from wsd.protocols.xmpp.sqlite import SqliteStore
from wsd.protocols.xmpp.stanza import Element


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path, "alice", "bob")


def opened(host: Host) -> Talker:
    talker = host.connect()
    talker.say(OPEN)
    return talker


def auth(mechanism: str, data: str = "") -> str:
    return f'<auth xmlns="{SASL}" mechanism="{mechanism}">{data}</auth>'


def encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


def why(failure: Element) -> str:
    first = failure.first()
    assert first is not None
    return first.name


def run(work: Coroutine[Any, Any, bool]) -> bool:
    return bool(Deferred.fromCoroutine(work).result)


class TestMechanisms:
    @pytest.mark.parametrize("mechanism", [*credentials.SCRAM, "PLAIN"])
    def test_the_right_password_logs_in(self, host: Host, mechanism: str) -> None:
        assert opened(host).authenticate("alice", mechanism, "alice").name == "success"

    @pytest.mark.parametrize("mechanism", [*credentials.SCRAM, "PLAIN"])
    @pytest.mark.parametrize("user", ["alice", "nobody"])
    def test_a_wrong_one_does_not_and_does_not_tell_which_users_exist(
        self, host: Host, mechanism: str, user: str
    ) -> None:
        answer = opened(host).authenticate(user, mechanism, "wrong")
        assert (answer.name, why(answer)) == ("failure", "not-authorized")

    def test_each_anonymous_client_gets_its_own_name(self, host: Host) -> None:
        one, two = host.login("", mechanism="ANONYMOUS"), host.login("", mechanism="ANONYMOUS")
        assert one.bare != two.bare

    def test_the_case_of_a_name_does_not_matter(self, host: Host) -> None:
        assert opened(host).authenticate("ALICE", "PLAIN", "alice").name == "success"

    def test_plain_is_offered_on_a_safe_connection(self) -> None:
        assert "PLAIN" not in mechanismsFor(True, False, False)
        assert mechanismsFor(True, True, True)[-2:] == ("PLAIN", "ANONYMOUS")
        assert mechanismsFor(False, True, True) == ("ANONYMOUS",)

    def test_a_client_from_elsewhere_without_tls_is_offered_neither_plain_nor_anonymous(self, host: Host) -> None:
        features = host.connect(REMOTE).say(OPEN)[1].toXml()
        assert "SCRAM-SHA-1" in features
        assert "PLAIN" not in features
        assert "ANONYMOUS" not in features

    def test_unless_the_route_is_declared_secure(self, tmp_path: Path) -> None:
        host = Host(tmp_path, "alice", secure=True, anonymous="always")
        features = host.connect(REMOTE).say(OPEN)[1].toXml()
        assert "<mechanism>PLAIN</mechanism><mechanism>ANONYMOUS</mechanism>" in features

    @pytest.mark.parametrize("user", ["a,b", "a=b", "a=2cb", "a=,=b", "=2c"])
    def test_a_name_may_contain_commas_and_equals_signs(self, tmp_path: Path, user: str) -> None:
        """SCRAM escapes them (RFC 5802 5.1)."""
        host = Host(tmp_path, user, "a")
        talker = opened(host)
        assert talker.authenticate(user, "SCRAM-SHA-256", user).name == "success"
        talker.say(OPEN)
        talker.bind("here")
        assert talker.jid == f"{user}@localhost/here"

    @pytest.mark.parametrize("named", ["=2C", "=2c"])
    def test_an_escape_of_scram_is_not_unescaped_twice(self, tmp_path: Path, named: str) -> None:
        host = Host(tmp_path, "=2c")
        assert opened(host).authenticate(named, "SCRAM-SHA-256", "=2c").name == "success"

    @pytest.mark.parametrize("authorization", ["alice", "alice@localhost", "ALICE@localhost"])
    def test_a_user_may_name_itself_for_authorization(self, host: Host, authorization: str) -> None:
        (answer,) = opened(host).say(auth("PLAIN", encoded(f"{authorization}\0alice\0alice")))
        assert answer.name == "success"

    def test_a_client_may_say_that_the_server_seems_to_have_no_channel_binding(self, host: Host) -> None:
        """The flag y of RFC 5802 6: it is true, since no mechanism with -PLUS is offered."""
        (answer,) = opened(host).say(auth("SCRAM-SHA-256", encoded("y,,n=alice,r=abc")))
        assert answer.name == "challenge"

    def test_auth_may_come_without_an_initial_response(self, host: Host) -> None:
        talker = opened(host)
        (challenge,) = talker.say(auth("PLAIN"))
        assert (challenge.name, challenge.text) == ("challenge", "")
        (answer,) = talker.say(f'<response xmlns="{SASL}">{encoded(chr(0) + "alice" + chr(0) + "alice")}</response>')
        assert answer.name == "success"


class TestWrongSteps:
    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            (auth("CRAM-MD5", "="), "invalid-mechanism"),
            (auth("SCRAM-SHA-256-PLUS", encoded("p=tls-exporter,,n=alice,r=abc")), "invalid-mechanism"),
            (auth(""), "invalid-mechanism"),
            (auth("PLAIN", "!!!"), "incorrect-encoding"),
            (auth("PLAIN", "YQ = ="), "incorrect-encoding"),
            (auth("PLAIN", "="), "malformed-request"),
            (auth("PLAIN", encoded("alice")), "malformed-request"),
            (auth("PLAIN", encoded("\0alice\0al\0ice")), "malformed-request"),
            (auth("PLAIN", encoded("bob\0alice\0alice")), "invalid-authzid"),
            (auth("PLAIN", encoded("\0@\0alice")), "not-authorized"),
            (auth("PLAIN", "a" * 9000), "malformed-request"),
            (auth("PLAIN", b64encode(b"\0\xff\0x").decode()), "malformed-request"),
            (auth("SCRAM-SHA-256", encoded("hello")), "malformed-request"),
            (auth("SCRAM-SHA-256", encoded("p=tls-unique,,n=alice,r=abc")), "malformed-request"),
            (auth("SCRAM-SHA-256", encoded("n,a=bob,n=alice,r=abc")), "invalid-authzid"),
            (auth("SCRAM-SHA-256", encoded("n,,n=,r=abc")), "malformed-request"),
            (auth("SCRAM-SHA-256", encoded("n,,n=a=b,r=abc")), "malformed-request"),
            (auth("SCRAM-SHA-256", encoded("n,,n=a=,r=abc")), "malformed-request"),
            (auth("SCRAM-SHA-256", encoded("n,a=a=b,n=alice,r=abc")), "malformed-request"),
            (auth("SCRAM-SHA-256", encoded("n,n=alice,r=abc")), "malformed-request"),
            (auth("SCRAM-SHA-256", encoded("n,a=a=2Cb,n=alice,r=abc")), "invalid-authzid"),
            (f'<response xmlns="{SASL}">{encoded("x")}</response>', "malformed-request"),
            (f'<abort xmlns="{SASL}"/>', "aborted"),
        ],
    )
    def test_each_fails_and_allows_another_try(self, host: Host, said: str, expected: str) -> None:
        talker = opened(host)
        (failure,) = talker.say(said)
        assert (failure.name, why(failure)) == ("failure", expected)
        assert talker.authenticate("alice", "SCRAM-SHA-1", "alice").name == "success"

    def test_an_exchange_may_be_aborted(self, host: Host) -> None:
        talker = opened(host)
        talker.say(auth("SCRAM-SHA-256", encoded("n,,n=alice,r=abc")))
        assert talker.say(f'<abort xmlns="{SASL}"/>')[0].toXml().count("aborted") == 1
        final = encoded("c=biws,r=abc,p=AAAA")
        assert "malformed-request" in talker.say(f'<response xmlns="{SASL}">{final}</response>')[0].toXml()

    @pytest.mark.parametrize(
        ("final", "expected"),
        [
            ("", "malformed-request"),
            ("x" * 100, "malformed-request"),
            ("c=biws", "not-authorized"),
            ("c=biws,r=wrong,p=AAAA", "not-authorized"),
            ("c=cD10,r=abc,p=AAAA", "not-authorized"),
        ],
    )
    def test_a_wrong_final_message_of_scram_is_a_failure(self, host: Host, final: str, expected: str) -> None:
        talker = opened(host)
        talker.say(auth("SCRAM-SHA-256", encoded("n,,n=alice,r=abc")))
        (answer,) = talker.say(f'<response xmlns="{SASL}">{encoded(final)}</response>')
        assert (answer.name, why(answer)) == ("failure", expected)

    def test_a_message_has_at_most_8192_characters(self, host: Host) -> None:
        def plain(size: int) -> str:
            prefix = "\0alice\0"
            return encoded(prefix + "x" * (size * 3 // 4 - len(prefix)))

        (longest,) = opened(host).say(auth("PLAIN", plain(8192)))
        (longer,) = opened(host).say(auth("PLAIN", plain(8196)))
        assert (why(longest), why(longer)) == ("not-authorized", "malformed-request")


class TestGuessing:
    def test_five_failures_end_a_stream(self, host: Host) -> None:
        talker = opened(host)
        for _ in range(4):
            assert talker.authenticate("alice", "SCRAM-SHA-1", "wrong").name == "failure"
        talker.authenticate("alice", "SCRAM-SHA-1", "wrong")
        talker.say(CLOSE)
        assert talker.wire.closeCode == 1000

    @pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
    def test_ten_from_one_address_lock_it_out_for_a_while(self, host: Host, mechanism: str) -> None:
        for _ in range(10):
            opened(host).authenticate("alice", mechanism, "wrong")
        assert "temporary-auth-failure" in opened(host).authenticate("alice", "PLAIN", "alice").toXml()
        host.pass_(2)
        assert opened(host).authenticate("alice", "PLAIN", "alice").name == "success"

    def test_each_login_is_counted(self, host: Host) -> None:
        counters = host.server.counters
        before = dict(counters.logins)
        opened(host).authenticate("alice", "PLAIN", "wrong")
        opened(host).authenticate("alice", "SCRAM-SHA-256", "alice")
        opened(host).authenticate("alice", "PLAIN", "alice")
        counted = {result: counters.logins[result] - before.get(result, 0) for result in counters.logins}
        assert counted == {"refused": 1, "accepted": 2}

    def test_they_do_not_lock_out_others(self, host: Host) -> None:
        for _ in range(30):
            opened(host).authenticate("alice", "PLAIN", "wrong")
        elsewhere = StreamLogins(host.server.logins, "localhost", "192.0.2.1")
        elsewhere.admit()
        assert run(elsewhere.verify("alice", "alice"))

    def test_a_user_who_does_not_exist_has_the_same_salt_each_time(self, host: Host) -> None:
        salts = set()
        for _ in range(2):
            (challenge,) = opened(host).say(auth("SCRAM-SHA-256", encoded("n,,n=nobody,r=abc")))
            salts.add(b64decode(challenge.text).decode().split(",s=")[1])
            host.kill()
        assert len(salts) == 1

    def test_no_password_is_stored(self, tmp_path: Path) -> None:
        store = SqliteStore(tmp_path / "users.sqlite")
        with store.transaction():
            credentials.add(store, "alice@localhost", credentials.derive("correct horse"))
        store.close()
        files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert b"alice@localhost" in files
        assert b"correct" not in files


class TestRegistration:
    QUERY = "<query xmlns='jabber:iq:register'>{}</query>"

    def test_it_is_offered_if_it_is_allowed(self, tmp_path: Path, host: Host) -> None:
        assert "iq-register" not in host.connect().say(OPEN)[1].toXml()
        (tmp_path / "open").mkdir()
        assert "iq-register" in Host(tmp_path / "open", register=True).connect().say(OPEN)[1].toXml()

    def test_an_account_is_made_used_changed_and_removed(self, tmp_path: Path) -> None:
        host = Host(tmp_path, register=True)
        talker = opened(host)
        form = talker.ask("get", self.QUERY.format(""))
        assert "username" in form.toXml()
        filled = self.QUERY.format("<username>carol</username><password>one</password>")
        assert talker.ask("set", filled).get("type") == "result"
        assert condition(talker.ask("set", filled)) == "conflict"
        talker.authenticate("carol", "PLAIN", "one")
        talker.say(OPEN)
        talker.bind()
        assert talker.ask("set", self.QUERY.format("<password>two</password>")).get("type") == "result"
        assert opened(host).authenticate("carol", "PLAIN", "one").name == "failure"
        assert opened(host).authenticate("carol", "PLAIN", "two").name == "success"
        assert talker.ask("set", self.QUERY.format("<remove/>")).get("type") == "result"
        assert opened(host).authenticate("carol", "PLAIN", "two").name == "failure"

    def test_it_is_refused_if_it_is_not_allowed(self, host: Host) -> None:
        filled = self.QUERY.format("<username>carol</username><password>one</password>")
        said = f"<iq xmlns='jabber:client' type='set' id='1'>{filled}</iq>"
        assert condition(opened(host).say(said)[0]) == "not-authorized"
