"""Each place for a number, date or boolean in a client's stanza: a malformed one is refused and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.protocols.xmpp.talk import OPEN, Host, Talker, condition
from tests.protocols.xmpp.test_rooms import CONFIG, MUC, ROOM, configure, join, opened
from wsd.protocols.xmpp.errors import StanzaError
from wsd.protocols.xmpp.stanza import Element
from wsd.protocols.xmpp.upload import UPLOAD, UploadService
from wsd.protocols.xmpp.values import boolean, dateTime, number
from wsd.resources import Slots

HUGE = "9" * 400
NO_NUMBERS = (
    "x",
    "",
    " ",
    "1.5",
    "1e3",
    "0x1",
    "1_0",
    "--1",
    "+",
    "١",
    "²",
    "NaN",
    "inf",
    "1 2",
    "-129",
    HUGE,
    f"-{HUGE}",
)
NO_BOOLEANS = ("x", "2", "True", "yes", "on", "-1", HUGE)
NO_DATES = (
    "x",
    "",
    "2001-09-09",
    "20010909T014640Z",
    "2001-09-09T01:46:40",
    "2001-09-09 01:46:40Z",
    "2001-09-09T01:46Z",
    "2001-09-09T25:46:40Z",
    "2001-02-30T01:46:40Z",
    "2001-09-09T01:46:40+99:00",
    "2001-W36-7T01:46:40Z",
    "0000-01-01T00:00:00Z",
    "10000-01-01T00:00:00Z",
    "٢٠٠١-09-09T01:46:40Z",
    f"2001-09-09T01:46:40.{HUGE}Z",
    HUGE,
)


class TestWhatTheyAre:
    @pytest.mark.parametrize("text", [*NO_NUMBERS, "-1", "2147483648"])
    def test_no_number(self, text: str) -> None:
        with pytest.raises(StanzaError, match="bad-request"):
            number(text, "it")

    @pytest.mark.parametrize(("text", "value"), [("0", 0), ("+5", 5), (" 7\n", 7), ("-0", 0), ("0" * 50 + "9", 9)])
    def test_a_number(self, text: str, value: int) -> None:
        assert number(text, "it") == value

    @pytest.mark.parametrize("text", [*NO_BOOLEANS, ""])
    def test_no_boolean(self, text: str) -> None:
        with pytest.raises(StanzaError, match="bad-request"):
            boolean(text, "it")

    def test_a_boolean(self) -> None:
        assert [boolean(text, "it") for text in ("true", " 1 ", "false", "0")] == [True, True, False, False]

    @pytest.mark.parametrize("text", NO_DATES)
    def test_no_date(self, text: str) -> None:
        with pytest.raises(StanzaError, match="bad-request"):
            dateTime(text, "it")

    @pytest.mark.parametrize(
        "text",
        ["2001-09-09T01:46:40Z", "2001-09-09T01:46:40.000Z", "2001-09-09T03:46:40+02:00", "2001-09-08T20:46:40-05:00"],
    )
    def test_a_date(self, text: str) -> None:
        assert dateTime(text, "it") == 1_000_000_000

    @pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
    def test_a_date_at_either_end_of_time(self, text: str) -> None:
        assert isinstance(dateTime(text, "it"), float)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path, "alice", "bob")


def error(heard: list[Element]) -> str:
    """The condition of the only answer, which is an error."""
    (answer,) = heard
    return condition(answer)


def history(limit: str) -> Callable[[Host, str], None]:
    def said(host: Host, value: str) -> None:
        alice, bob = opened(host, "alice")[0], host.login("bob")
        assert error(join(bob, "bob", f"<history {limit}='{value}'/>")) == "bad-request"
        assert alice.heard() == []
        assert error(join(bob, "new", f"<history {limit}='{value}'/>")) == "bad-request"
        assert bob.ask("get", "<ping xmlns='urn:xmpp:ping'/>", f"{ROOM}/bob").get("type") == "error"

    return said


def again(host: Host, value: str) -> None:
    """Sent by an occupant of the room."""
    _, bob = opened(host, "alice", "bob")
    assert error(join(bob, "bob", f"<history maxchars='{value}'/>")) == "bad-request"


def firstIn(host: Host, value: str) -> None:
    """Sent by a user who would create the room."""
    assert error(join(host.login("alice"), "a", f"<history seconds='{value}'/>")) == "bad-request"
    assert host.server.rooms is not None
    assert host.server.rooms.rooms == {}


def priority(host: Host, value: str) -> None:
    alice, other = host.login("alice"), host.login("alice")
    alice.forget()
    said = f"<presence xmlns='jabber:client'><priority>{value}</priority></presence>"
    assert error(other.say(said)) == "bad-request"
    assert alice.heard() == []


def priorityTo(host: Host, value: str) -> None:
    """In presence for a user, and for a room."""
    alice, bob = opened(host, "alice", "bob")
    for to in (alice.jid, f"{ROOM}/bob", f"{ROOM}/robert"):
        assert error(bob.say(f"<presence xmlns='jabber:client' to='{to}'><priority>{value}</priority></presence>")) == (
            "bad-request"
        )
    assert alice.heard() == []


def setting(name: str) -> Callable[[Host, str], None]:
    def said(host: Host, value: str) -> None:
        alice, bob = opened(host, "alice", "bob")
        assert condition(configure(alice, roomname="New", **{name: value})) == "bad-request"
        assert "New" not in alice.ask("get", f"<query xmlns='{MUC}#owner'/>", ROOM).toXml()
        assert bob.heard() == []

    return said


def size(host: Host, value: str) -> None:
    class Files(Slots):
        maxFile = 1_000

    UploadService(host.server.settings, host.server.queries, Files)
    answer = host.login("alice").ask("get", f"<request xmlns='{UPLOAD}' filename='f' size='{value}'/>", "localhost")
    assert condition(answer) == "bad-request"


def enable(name: str) -> Callable[[Host, str], None]:
    def said(host: Host, value: str) -> None:
        (answer,) = host.login("alice").say(f"<enable xmlns='urn:xmpp:sm:3' {name}='{value}'/>")
        assert answer.name == "failed"
        assert "bad-request" in answer.toXml()

    return said


NUMBERS = {
    **{limit: history(limit) for limit in ("maxstanzas", "maxchars", "seconds")},
    "again": again,
    "first": firstIn,
    "priority": priority,
    "priority to one": priorityTo,
    "size": size,
    "max": enable("max"),
}
BOOLEANS = {
    **{
        name: setting(name)
        for name in (
            "persistentroom",
            "publicroom",
            "membersonly",
            "moderatedroom",
            "changesubject",
            "allowinvites",
            "passwordprotectedroom",
        )
    },
    "resume": enable("resume"),
}


class TestWhereTheyAre:
    @pytest.mark.parametrize("place", NUMBERS.values(), ids=NUMBERS)
    @pytest.mark.parametrize("value", NO_NUMBERS, ids=range(len(NO_NUMBERS)))
    def test_no_number(self, host: Host, place: Callable[[Host, str], None], value: str) -> None:
        place(host, value)

    @pytest.mark.parametrize("value", [value for value in NO_NUMBERS if value], ids=range(len(NO_NUMBERS) - 1))
    def test_no_number_of_occupants(self, host: Host, value: str) -> None:
        setting("maxusers")(host, value)

    @pytest.mark.parametrize("place", BOOLEANS.values(), ids=BOOLEANS)
    @pytest.mark.parametrize("value", NO_BOOLEANS, ids=range(len(NO_BOOLEANS)))
    def test_no_boolean(self, host: Host, place: Callable[[Host, str], None], value: str) -> None:
        place(host, value)

    @pytest.mark.parametrize("value", NO_DATES, ids=range(len(NO_DATES)))
    def test_no_date(self, host: Host, value: str) -> None:
        history("since")(host, value)

    @pytest.mark.parametrize("value", ["x", "admins", "1"])
    def test_neither_moderators_nor_anyone(self, host: Host, value: str) -> None:
        setting("whois")(host, value)

    @pytest.mark.parametrize(
        "version", ["1", "1.", ".0", "1.x", "x.0", "0.9", "-1.0", "1.0.0", "١.0", HUGE, f"{HUGE}.0"]
    )
    def test_no_version(self, host: Host, version: str) -> None:
        heard = host.connect().say(OPEN.replace('"1.0"', f'"{version}"'))
        assert [condition(each) for each in heard if each.name == "error"] == ["unsupported-version"]

    @pytest.mark.parametrize("value", [*NO_NUMBERS, "-1", "4294967296"])
    @pytest.mark.parametrize("said", ["<a xmlns='urn:xmpp:sm:3' h='{}'/>", "<resume xmlns='urn:xmpp:sm:3' h='{}'/>"])
    def test_no_count_of_stanzas(self, host: Host, said: str, value: str) -> None:
        talker: Talker
        if said.startswith("<a "):
            talker = host.login("alice")
            talker.say("<enable xmlns='urn:xmpp:sm:3'/>")
        else:
            talker = host.connect()
            talker.say(OPEN)
            talker.authenticate("alice", "PLAIN", "alice")
            talker.say(OPEN)
        heard = talker.say(said.format(value))
        assert [condition(each) for each in heard if each.name == "error"] == ["bad-format"]

    def test_a_form_in_which_they_are_right_is_taken(self, host: Host) -> None:
        alice, _ = opened(host, "alice", "bob")
        answer = configure(alice, maxusers="10", publicroom="true", moderatedroom="0", membersonly="", whois="anyone")
        assert answer.get("type") == "result"
        assert f'var="{CONFIG}maxusers"' in alice.ask("get", f"<query xmlns='{MUC}#owner'/>", ROOM).toXml()
