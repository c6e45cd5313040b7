"""What the server itself answers; everything else is answered with service-unavailable, never with silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.protocols.xmpp.talk import OPEN, Host, condition
from wsd.protocols.xmpp.caps import hashOf
from wsd.protocols.xmpp.disco import information
from wsd.protocols.xmpp.framing import parse

INFO = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
ITEMS = "<query xmlns='http://jabber.org/protocol/disco#items'/>"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path, "alice", "bob")


class TestDisco:
    def test_the_server_lists_its_features(self, host: Host) -> None:
        told = host.login("alice").ask("get", INFO, "localhost").toXml()
        assert '<identity category="server" type="im" name="wsd"/>' in told
        for feature in ("urn:xmpp:ping", "urn:xmpp:carbons:2", "urn:xmpp:blocking", "jabber:iq:roster", "msgoffline"):
            assert f'var="{feature}"' in told

    def test_the_server_tells_where_its_rooms_are(self, host: Host) -> None:
        told = host.login("alice").ask("get", ITEMS, "localhost").toXml()
        assert 'jid="conference.localhost"' in told
        assert 'category="conference"' in host.login("alice").ask("get", INFO, "conference.localhost").toXml()

    def test_a_user_is_an_account_with_its_sessions(self, host: Host) -> None:
        alice = host.login("alice", "here")
        assert 'category="account" type="registered"' in alice.ask("get", INFO, "alice@localhost").toXml()
        assert 'jid="alice@localhost/here"' in alice.ask("get", ITEMS, "alice@localhost").toXml()

    def test_another_user_cannot_be_queried(self, host: Host) -> None:
        host.login("bob")
        assert condition(host.login("alice").ask("get", INFO, "bob@localhost")) == "service-unavailable"

    @pytest.mark.parametrize("query", [INFO, ITEMS])
    @pytest.mark.parametrize("node", ["x", "x-roomuser-item", "urn:wsd:xmpp#x", "http://jabber.org/protocol/commands"])
    @pytest.mark.parametrize(
        "to",
        ["", "localhost", "alice@localhost", "bob@localhost", "nobody@localhost", "conference.localhost", "den"],
    )
    def test_a_node_that_does_not_exist_is_not_found(self, host: Host, query: str, node: str, to: str) -> None:
        alice = host.login("alice")
        alice.say("<presence xmlns='jabber:client' to='den@conference.localhost/a'/>")
        address = "den@conference.localhost" if to == "den" else to
        answer = alice.ask("get", query.replace("/>", f" node='{node}'/>"), address)
        if (query, node, to) == (INFO, "x-roomuser-item", "den"):
            assert '<query xmlns="http://jabber.org/protocol/disco#info" node="x-roomuser-item"/>' in answer.toXml()
        else:
            assert condition(answer) == "item-not-found"

    def test_an_empty_node_is_no_node(self, host: Host) -> None:
        empty = INFO.replace("/>", " node=''/>")
        for to in ("", "localhost", "conference.localhost"):
            assert host.login("alice").ask("get", empty, to).get("type") == "result"

    def test_a_session_of_the_same_user_answers_for_itself(self, host: Host) -> None:
        one, two = host.login("alice", "one"), host.login("alice", "two")
        two.forget()
        asked = INFO.replace("/>", " node='urn:client#1'/>")
        one.say(f"<iq xmlns='jabber:client' type='get' id='q' to='{two.jid}'>{asked}</iq>")
        assert 'node="urn:client#1"' in two.heard()[0].toXml()


class TestCapabilities:
    def test_the_features_of_the_stream_have_a_hash_and_its_node_has_the_hashed_information(self, host: Host) -> None:
        alice = host.connect()
        alice.say(OPEN)
        alice.authenticate("alice", "PLAIN", "alice")
        told = alice.say(OPEN)[-1].child("http://jabber.org/protocol/caps", "c")
        assert told is not None
        alice.bind()
        node = f"{told.get('node')}#{told.get('ver')}"
        info = alice.ask("get", INFO.replace("/>", f" node='{node}'/>"), "localhost").first()
        plain = alice.ask("get", INFO, "localhost").first()
        assert info is not None
        assert plain is not None
        assert info.attrs.pop("node") == node
        assert info.toXml() == plain.toXml()
        assert hashOf(info) == told.get("ver")

    def test_the_hashes_of_the_specification(self) -> None:
        features = (
            "http://jabber.org/protocol/caps",
            "http://jabber.org/protocol/disco#info",
            "http://jabber.org/protocol/disco#items",
            "http://jabber.org/protocol/muc",
        )
        exodus = information("client", "pc", "Exodus 0.9.1", features)
        assert hashOf(exodus) == "QgayPKawpkPSDYmwT/WM94uAlu0="
        psi = parse(
            b"<query xmlns='http://jabber.org/protocol/disco#info'>"
            b"<identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>"
            b"<identity xml:lang='el' category='client' name='\xce\xa8 0.11' type='pc'/>"
            b"<feature var='http://jabber.org/protocol/caps'/><feature var='http://jabber.org/protocol/disco#info'/>"
            b"<feature var='http://jabber.org/protocol/disco#items'/><feature var='http://jabber.org/protocol/muc'/>"
            b"<x xmlns='jabber:x:data' type='result'>"
            b"<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>"
            b"<field var='ip_version'><value>ipv4</value><value>ipv6</value></field>"
            b"<field var='os'><value>Mac</value></field><field var='os_version'><value>10.5.1</value></field>"
            b"<field var='software'><value>Psi</value></field><field var='software_version'><value>0.11</value></field>"
            b"</x></query>"
        )
        assert hashOf(psi) == "q07IKJEyjvHSyhy//CH0CxmKi8w="


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
    def test_anything_else_is_an_error(self, host: Host, ns: str, to: str) -> None:
        answer = host.login("alice").ask("get", f"<a xmlns='{ns}'/>", to)
        assert condition(answer) == "service-unavailable"

    def test_a_query_between_two_sessions_is_passed_on_and_answered(self, host: Host) -> None:
        alice, bob = host.login("alice"), host.login("bob")
        alice.say(f"<iq xmlns='jabber:client' type='get' id='q' to='{bob.jid}'><a xmlns='b'/></iq>")
        (asked,) = bob.heard()
        assert (asked.get("from"), asked.get("id")) == (alice.jid, "q")
        bob.say(f"<iq xmlns='jabber:client' type='result' id='q' to='{alice.jid}'/>")
        (answer,) = alice.heard()
        assert (answer.get("type"), answer.get("from")) == ("result", bob.jid)
