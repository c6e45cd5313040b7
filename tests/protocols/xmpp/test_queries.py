"""What the server itself answers, and that all else is service-unavailable and never silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.protocols.xmpp.talk import Host, condition

INFO = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
ITEMS = "<query xmlns='http://jabber.org/protocol/disco#items'/>"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path, "alice", "bob")


class TestDisco:
    def test_the_server_says_what_it_can(self, host: Host) -> None:
        told = host.login("alice").ask("get", INFO, "localhost").toXml()
        assert '<identity category="server" type="im" name="wsd"/>' in told
        for feature in ("urn:xmpp:ping", "urn:xmpp:carbons:2", "urn:xmpp:blocking", "jabber:iq:roster", "msgoffline"):
            assert f'var="{feature}"' in told

    def test_and_where_its_rooms_are(self, host: Host) -> None:
        told = host.login("alice").ask("get", ITEMS, "localhost").toXml()
        assert 'jid="conference.localhost"' in told
        assert 'category="conference"' in host.login("alice").ask("get", INFO, "conference.localhost").toXml()

    def test_a_user_is_an_account_with_its_sessions(self, host: Host) -> None:
        alice = host.login("alice", "here")
        assert 'category="account" type="registered"' in alice.ask("get", INFO, "alice@localhost").toXml()
        assert 'jid="alice@localhost/here"' in alice.ask("get", ITEMS, "alice@localhost").toXml()

    def test_another_users_is_nobodys(self, host: Host) -> None:
        host.login("bob")
        assert condition(host.login("alice").ask("get", INFO, "bob@localhost")) == "service-unavailable"

    def test_of_a_node_there_is_none(self, host: Host) -> None:
        node = INFO.replace("/>", " node='x'/>")
        assert condition(host.login("alice").ask("get", node, "localhost")) == "item-not-found"


class TestAnswers:
    @pytest.mark.parametrize(
        ("payload", "told"),
        [
            ("<ping xmlns='urn:xmpp:ping'/>", 'type="result"'),
            ("<time xmlns='urn:xmpp:time'/>", "<utc>2001-09-09T01:46:40.000Z</utc>"),
            ("<query xmlns='jabber:iq:version'/>", "<name>wsd</name>"),
        ],
    )
    def test_of_the_server(self, host: Host, payload: str, told: str) -> None:
        assert told in host.login("alice").ask("get", payload, "localhost").toXml()

    def test_a_session_that_strophe_asks_for(self, host: Host) -> None:
        session = "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>"
        assert host.login("alice").ask("set", session).get("type") == "result"

    @pytest.mark.parametrize(
        "ns",
        [
            "vcard-temp",
            "urn:xmpp:mam:2",
            "http://jabber.org/protocol/pubsub",
            "urn:xmpp:push:0",
            "jabber:iq:private",
            "urn:xmpp:http:upload:0",
            "x",
        ],
    )
    @pytest.mark.parametrize("to", ["", "localhost", "alice@localhost", "nobody@localhost", "elsewhere.example"])
    def test_whatever_is_not_here_is_told_so(self, host: Host, ns: str, to: str) -> None:
        answer = host.login("alice").ask("get", f"<a xmlns='{ns}'/>", to)
        assert condition(answer) == "service-unavailable"

    def test_between_two_sessions_a_question_and_its_answer_pass(self, host: Host) -> None:
        alice, bob = host.login("alice"), host.login("bob")
        alice.say(f"<iq xmlns='jabber:client' type='get' id='q' to='{bob.jid}'><a xmlns='b'/></iq>")
        (asked,) = bob.heard()
        assert (asked.get("from"), asked.get("id")) == (alice.jid, "q")
        bob.say(f"<iq xmlns='jabber:client' type='result' id='q' to='{alice.jid}'/>")
        (answer,) = alice.heard()
        assert (answer.get("type"), answer.get("from")) == ("result", bob.jid)
