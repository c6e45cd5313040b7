"""A stream from its <open/> to its <close/>: RFC 7395 3.3 to 3.7, RFC 6120 4 and 7."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest

from tests.protocols.xmpp.talk import CLOSE, OPEN, SASL, Host, condition, message, shape
from wsd.protocols.xmpp.stanza import BIND

NUL = b"\0"
FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path, "alice", "bob")


class TestOpening:
    def test_it_is_answered_with_open_and_then_the_features(self, host: Host) -> None:
        opened, features = host.connect().say(OPEN)
        assert (opened.ns, opened.name) == (FRAMING, "open")
        assert (opened.get("from"), opened.get("version"), opened.get("xml:lang")) == ("localhost", "1.0", "en")
        assert len(opened.get("id")) == 16
        assert features.name == "features"
        assert shape(features) == (
            "<stream:features><mechanisms><mechanism>SCRAM-SHA-512</mechanism><mechanism>SCRAM-SHA-256</mechanism>"
            "<mechanism>SCRAM-SHA-1</mechanism><mechanism>PLAIN</mechanism><mechanism>ANONYMOUS</mechanism>"
            "</mechanisms></stream:features>"
        )

    def test_it_begins_with_the_letters_that_strophe_looks_for(self, host: Host) -> None:
        talker = host.connect()
        talker.say(OPEN)
        opened, features = talker.wire.messages()
        assert opened.startswith("<open xmlns=")
        assert features.startswith('<stream:features xmlns:stream="http://etherx.jabber.org/streams">')

    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            ("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' version='1.0'/>", "improper-addressing"),
            (
                "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='elsewhere.example' version='1.0'/>",
                "host-unknown",
            ),
            ("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='localhost'/>", "unsupported-version"),
            ("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='localhost' version='0.9'/>", "unsupported-version"),
            ("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='localhost' version='x'/>", "unsupported-version"),
            ("<open to='localhost' version='1.0'/>", "invalid-namespace"),
            ("<hello xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>", "bad-format"),
            (
                "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'/>",
                "invalid-namespace",
            ),
            ("<presence xmlns='jabber:client'/>", "invalid-namespace"),
            ("", "not-well-formed"),
            (" " + OPEN, "not-well-formed"),
        ],
    )
    def test_an_error_comes_after_an_open_of_the_server(self, host: Host, said: str, expected: str) -> None:
        talker = host.connect()
        opened, error, closed = talker.say(said)
        assert [opened.name, error.name, closed.name] == ["open", "error", "close"]
        assert condition(error) == expected
        talker.say(CLOSE)
        assert talker.wire.closeCode == 1000

    def test_a_client_that_does_not_close_after_an_error_is_closed(self, host: Host) -> None:
        talker = host.connect()
        talker.say("<a/>")
        host.pass_(5)
        assert talker.wire.closeCode == 1000

    def test_a_client_that_does_not_log_in_in_time_is_closed(self, host: Host) -> None:
        talker = host.connect()
        talker.say(OPEN)
        host.pass_(60)
        assert condition(talker.heard()[0]) == "connection-timeout"

    def test_a_route_that_has_moved_tells_its_new_url(self, tmp_path: Path) -> None:
        host = Host(tmp_path, see_other="wss://new.example/xmpp")
        (closed,) = host.connect().say(OPEN)
        assert (closed.name, closed.get("see-other-uri")) == ("close", "wss://new.example/xmpp")

    def test_the_language_of_the_stream_applies_to_its_stanzas(self, host: Host) -> None:
        bob, alice = host.login("bob"), host.connect()
        alice.say(OPEN)
        alice.authenticate("alice", "PLAIN", "alice")
        alice.say(OPEN.replace("/>", " xml:lang='de'/>"))
        alice.bind()
        alice.say(message(bob.jid))
        assert bob.heard()[0].get("xml:lang") == "de"


class TestALateAnswer:
    """The time for a login ends while the store is read or the password is checked."""

    def test_the_right_password_does_not_log_in(self, host: Host) -> None:
        alice = host.connect()
        alice.say(OPEN)
        host.pool.slow = True
        alice.say(f'<auth xmlns="{SASL}" mechanism="PLAIN">{b64encode(b"%salice%salice" % (NUL, NUL)).decode()}</auth>')
        host.pass_(60)
        host.pool.catchUp()
        assert [each.name for each in alice.heard()][-2:] == ["error", "close"]
        alice.say(CLOSE)
        assert alice.wire.closeCode == 1000

    @pytest.mark.parametrize("isLost", [False, True])
    def test_no_resource_is_bound(self, host: Host, isLost: bool) -> None:
        old = host.login("alice", "here")
        old.lose()
        host.pass_(200)
        alice = host.connect()
        alice.say(OPEN)
        alice.authenticate("alice", "PLAIN", "alice")
        alice.say(OPEN)
        host.pool.slow = True
        alice.wire.say(f"<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='{BIND}'/></iq>")
        if isLost:
            alice.lose()
        host.pass_(60)
        host.pool.catchUp()
        assert [each.name for each in alice.heard() if each.name == "iq"] == []
        user = host.server.accounts.users.get("alice@localhost")
        assert user is None or user.sessions == {}


class TestClosing:
    def test_the_client_begins(self, host: Host) -> None:
        talker = host.login("alice")
        (closed,) = talker.say(CLOSE)
        assert closed.name == "close"
        assert talker.wire.closeCode == 1000

    def test_the_client_begins_before_its_login(self, host: Host) -> None:
        talker = host.connect()
        talker.say(OPEN)
        assert [each.name for each in talker.say(CLOSE)] == ["close"]
        assert talker.wire.closeCode == 1000

    def test_nothing_is_read_between_the_close_of_the_server_and_that_of_the_client(self, host: Host) -> None:
        alice, bob = host.login("alice"), host.login("bob")
        alice.say("<a/>")
        assert alice.say(message(bob.jid)) == []
        assert bob.heard() == []

    def test_a_client_that_has_closed_is_offline(self, host: Host) -> None:
        alice, bob = host.login("alice"), host.login("bob")
        bob.say(CLOSE)
        assert condition(alice.ask("get", "<ping xmlns='urn:xmpp:ping'/>", to=bob.jid)) == "service-unavailable"


class TestBeforeTheSession:
    @pytest.mark.parametrize("stanza", [message("bob@localhost"), "<presence xmlns='jabber:client'/>"])
    def test_a_stanza_before_the_login_ends_the_stream(self, host: Host, stanza: str) -> None:
        talker = host.connect()
        talker.say(OPEN)
        assert condition(talker.say(stanza)[0]) == "not-authorized"

    def test_so_does_one_before_a_resource_is_bound(self, host: Host) -> None:
        talker = host.connect()
        talker.say(OPEN)
        talker.authenticate("alice", "PLAIN", "alice")
        talker.say(OPEN)
        assert condition(talker.say(message("bob@localhost"))[0]) == "not-authorized"

    def test_so_does_one_between_the_login_and_the_new_open(self, host: Host) -> None:
        talker = host.connect()
        talker.say(OPEN)
        talker.authenticate("alice", "PLAIN", "alice")
        bind = "<iq xmlns='jabber:client' type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
        assert condition(talker.say(bind)[0]) == "not-authorized"

    def test_open_twice_ends_the_stream(self, host: Host) -> None:
        talker = host.connect()
        talker.say(OPEN)
        assert condition(talker.say(OPEN)[0]) == "unsupported-stanza-type"

    def test_features_after_the_login_are_bind_session_stream_management_and_capabilities(self, host: Host) -> None:
        talker = host.connect()
        talker.say(OPEN)
        talker.authenticate("alice", "PLAIN", "alice")
        assert [each.name for each in talker.say(OPEN)[1].elements()] == ["bind", "session", "sm", "c"]


class TestBinding:
    def test_a_resource_is_made_up_if_none_is_asked_for(self, host: Host) -> None:
        one, two = host.login("alice"), host.login("alice")
        assert one.jid != two.jid
        assert one.bare == two.bare == "alice@localhost"

    def test_one_that_is_asked_for_is_bound(self, host: Host) -> None:
        assert host.login("alice", "höme 😀").jid == "alice@localhost/höme 😀"

    def test_the_older_session_with_the_same_resource_ends(self, host: Host) -> None:
        old = host.login("alice", "home")
        host.login("alice", "home")
        error, closed = old.heard()
        assert (condition(error), closed.name) == ("conflict", "close")

    def test_one_that_is_too_long_is_refused_and_another_may_be_bound(self, host: Host) -> None:
        talker = host.connect()
        talker.say(OPEN)
        talker.authenticate("alice", "PLAIN", "alice")
        talker.say(OPEN)
        assert condition(talker.bind("x" * 1024)) == "bad-request"
        assert talker.bind("x").get("type") == "result"

    def test_a_second_one_is_not_allowed(self, host: Host) -> None:
        assert condition(host.login("alice").bind("more")) == "not-allowed"

    def test_a_user_has_a_limited_number(self, tmp_path: Path) -> None:
        host = Host(tmp_path, "alice", sessions=1)
        host.login("alice", "one")
        talker = host.connect()
        talker.say(OPEN)
        talker.authenticate("alice", "PLAIN", "alice")
        talker.say(OPEN)
        answer = talker.say(
            "<iq xmlns='jabber:client' type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
        )
        assert condition(answer[0]) == "resource-constraint"


class TestInTheSession:
    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            ("<message to='bob@localhost'/>", "invalid-namespace"),
            ("<message xmlns='jabber:server' to='bob@localhost'/>", "invalid-namespace"),
            ("<note xmlns='jabber:client' to='bob@localhost'/>", "unsupported-stanza-type"),
            ("<message xmlns='jabber:client' from='bob@localhost' to='bob@localhost'/>", "invalid-from"),
            ("<message xmlns='jabber:client' from='@' to='bob@localhost'/>", "invalid-from"),
            (message("bob@localhost") * 2, "not-well-formed"),
            (message("bob@localhost")[:-3], "not-well-formed"),
            ("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>", "unsupported-stanza-type"),
            (OPEN, "unsupported-stanza-type"),
        ],
    )
    def test_anything_but_a_stanza_ends_the_stream(self, host: Host, said: str, expected: str) -> None:
        error, closed = host.login("alice").say(said)
        assert (condition(error), closed.name) == (expected, "close")

    @pytest.mark.parametrize("sender", ["alice@localhost", "alice@localhost/never-bound", "ALICE@localhost/a"])
    def test_the_sender_is_the_session_whatever_resource_of_its_account_a_stanza_names(
        self, host: Host, sender: str
    ) -> None:
        alice, bob = host.login("alice", "desk"), host.login("bob", "desk")
        alice.say(f"<message xmlns='jabber:client' from='{sender}' to='bob@localhost/desk'><body>hi</body></message>")
        (heard,) = bob.heard()
        assert heard.get("from") == "alice@localhost/desk"

    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            (message("@"), "jid-malformed"),
            (message("nobody@localhost"), "service-unavailable"),
            (message("bob@elsewhere.example"), "service-unavailable"),
            (message("localhost"), "service-unavailable"),
            (message("bob@localhost", stanzaType="groupchat"), "service-unavailable"),
            ("<iq xmlns='jabber:client' type='get'><ping xmlns='urn:xmpp:ping'/></iq>", "bad-request"),
            ("<iq xmlns='jabber:client' type='get' id='1'/>", "bad-request"),
            ("<iq xmlns='jabber:client' type='what' id='1'/>", "bad-request"),
            ("<iq xmlns='jabber:client' type='get' id='1'><a xmlns='b'/><a xmlns='b'/></iq>", "bad-request"),
            ("<iq xmlns='jabber:client' type='get' id='1'><a xmlns='b'/></iq>", "service-unavailable"),
            (
                "<iq xmlns='jabber:client' type='get' id='1' to='bob@localhost'><a xmlns='b'/></iq>",
                "service-unavailable",
            ),
            (
                "<iq xmlns='jabber:client' type='get' id='1' to='bob@localhost/x'><a xmlns='b'/></iq>",
                "service-unavailable",
            ),
            ("<presence xmlns='jabber:client'><priority>128</priority></presence>", "bad-request"),
            ("<presence xmlns='jabber:client' type='what'/>", "bad-request"),
            ("<presence xmlns='jabber:client' type='subscribe' to='a@elsewhere.example'/>", "service-unavailable"),
        ],
    )
    def test_a_stanza_that_is_refused_gets_an_error_and_the_stream_goes_on(
        self, host: Host, said: str, expected: str
    ) -> None:
        alice = host.login("alice")
        (error,) = alice.say(said)
        assert (error.get("type"), condition(error)) == ("error", expected)
        assert alice.ask("get", "<ping xmlns='urn:xmpp:ping'/>").get("type") == "result"

    def test_an_error_is_not_answered_with_an_error(self, host: Host) -> None:
        alice = host.login("alice")
        assert alice.say(message("nobody@localhost", stanzaType="error")) == []
        assert alice.say("<iq xmlns='jabber:client' type='result' id='1' to='bob@localhost/x'/>") == []

    def test_every_stanza_has_its_namespace_and_its_sender(self, host: Host) -> None:
        alice, bob = host.login("alice"), host.login("bob")
        alice.say(f"<message xmlns='jabber:client' to='{bob.jid}'><body>&lt;&amp;&gt; ünï 😀</body></message>")
        (heard,) = bob.heard()
        assert heard.toXml() == (
            f'<message xmlns="jabber:client" to="{bob.jid}" from="{alice.jid}">'
            "<body>&lt;&amp;&gt; ünï 😀</body></message>"
        )
