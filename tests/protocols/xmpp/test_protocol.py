"""The route: XMPP on a real WebSocket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.logger import capturedLogs

from tests.protocols.xmpp.talk import CLOSE, OPEN, Socket, Talker, condition, message
from tests.wire import Daemon
from wsd.config import Policies
from wsd.protocols.xmpp.options import XmppOptions
from wsd.protocols.xmpp.protocol import XmppFactory
from wsd.web.starting import start

DEFAULTS = Policies()


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    options = XmppOptions(store=str(tmp_path / "xmpp.sqlite"))
    return daemonOf(**{"xmpp": options, "xmpp-websocket": options})


def connect(daemon: Daemon, path: str = "/xmpp", **arguments: object) -> Talker:
    return Talker(Socket(daemon.open(path, subprotocols=["xmpp"], **arguments)))


def anonymous(daemon: Daemon, path: str = "/xmpp") -> Talker:
    talker = connect(daemon, path)
    talker.login("", mechanism="ANONYMOUS")
    return talker


def daemonOf(policies: Policies = DEFAULTS, /, **options: XmppOptions) -> Daemon:
    """A daemon with a route for each of these, in their order."""
    daemon = Daemon({f"/{name}": XmppFactory for name in options}, policies)
    met: list[Any] = []
    for given, factory in zip(options.values(), daemon.factories.values(), strict=True):
        factory.options = given
        factory.meet(met)
        met.append(factory)
    for factory in met:
        start(factory)
    return daemon


class TestTheRoute:
    def test_two_clients_exchange_messages(self, daemon: Daemon) -> None:
        one, two = anonymous(daemon), anonymous(daemon)
        one.say(message(two.jid, "&lt;&amp;&gt; ünï 😀"))
        assert "<body>&lt;&amp;&gt; ünï 😀</body>" in two.heard()[0].toXml()

    def test_routes_of_the_same_domains_and_store_are_one_server(self, daemon: Daemon) -> None:
        one, two = anonymous(daemon), anonymous(daemon, "/xmpp-websocket")
        one.say(message(two.jid))
        assert len(two.heard()) == 1

    @pytest.mark.parametrize(
        ("before", "after"),
        [({}, {"anonymous": "never"}), ({"anonymous": "never"}, {}), ({"anonymous": "never"}, {"history": 3})],
    )
    def test_keys_that_a_reload_changes_apply_to_all_of_them(
        self, tmp_path: Path, before: dict[str, Any], after: dict[str, Any]
    ) -> None:
        def keys(more: dict[str, Any]) -> XmppOptions:
            return XmppOptions(store=str(tmp_path / "xmpp.sqlite"), **more)

        daemon = daemonOf(ws=XmppOptions(), xmpp=keys(before))

        def letsIn(path: str) -> bool:
            return "ANONYMOUS" in "".join(each.toXml() for each in connect(daemon, path).say(OPEN))

        old = daemon.factories["/xmpp"]
        assert letsIn("/ws") == ("anonymous" not in before)
        new = XmppFactory(old.route, keys(after), old.clock, old.timer, old.metrics, plane=old.plane, pool=old.pool)
        new.meet(list(daemon.factories.values()))
        new.started()
        assert letsIn("/ws") == ("anonymous" not in after)
        assert new.server.settings.options == keys(after)
        old.stopped()
        assert letsIn("/ws") == ("anonymous" not in after)

    def test_keys_that_need_a_restart_are_logged(self, tmp_path: Path) -> None:
        daemon = daemonOf(ws=XmppOptions(), xmpp=XmppOptions(store=str(tmp_path / "xmpp.sqlite")))
        old = daemon.factories["/xmpp"]
        options = XmppOptions(store=str(tmp_path / "other"), domains=("example.com",))
        new = XmppFactory(old.route, options, old.clock, old.timer, old.metrics, plane=old.plane, pool=old.pool)
        new.meet(list(daemon.factories.values()))
        with capturedLogs() as events:
            new.started()
        (event,) = [event for event in events if event.get("event") == "reload.partial"]
        assert (event["route"], event["keys"]) == ("/xmpp", "domains, store")

    def test_a_route_without_keys_shares_the_server_of_the_first_that_has_some(self, tmp_path: Path) -> None:
        said = XmppOptions(store=str(tmp_path / "s"), domains=("example.com",))
        daemon = daemonOf(ws=XmppOptions(), xmpp=said, other=XmppOptions(store=str(tmp_path / "other")))
        ws, xmpp, other = daemon.factories.values()
        assert ws.server is xmpp.server
        assert ws.server.settings.domains == {"example.com"}
        assert other.server is not xmpp.server

    def test_it_shares_no_server_with_a_route_that_could_not_start(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
        (tmp_path / "bad").write_bytes(b"x" * 4096)
        daemon = daemonOf(xmpp=XmppOptions(store=str(tmp_path / "bad")))
        old = daemon.factories["/xmpp"]
        new = XmppFactory(old.route, XmppOptions(), old.clock, old.timer, old.metrics, plane=old.plane, pool=old.pool)
        new.meet([old])
        with capturedLogs() as events:
            start(new)
        assert new.unusable is None
        assert [event for event in events if event.get("event") == "reload.partial"] == []

    def test_also_if_its_own_keys_are_about_something_else(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
        ws, xmpp = daemonOf(ws=XmppOptions(), xmpp=XmppOptions(register=True)).factories.values()
        assert ws.server is xmpp.server
        assert ws.server.settings.options.register

    def test_the_server_stops_with_the_last_of_its_routes(self, tmp_path: Path) -> None:
        said = XmppOptions(store=str(tmp_path / "s"))
        one, two = daemonOf(one=said, two=said).factories.values()
        assert one.stopped() is None
        assert two.stopped() is not None

    def test_a_client_without_the_subprotocol_is_refused(self, daemon: Daemon) -> None:
        client = daemon.open("/xmpp")
        assert client.response is not None
        assert client.response.status_code == 400

    def test_binary_is_closed_with_1003(self, daemon: Daemon) -> None:
        client = daemon.open("/xmpp", subprotocols=["xmpp"])
        client.say(OPEN.encode())
        assert client.closeCode == 1003

    def test_the_client_closes_first(self, daemon: Daemon) -> None:
        talker = anonymous(daemon)
        assert [each.name for each in talker.say(CLOSE)] == ["close"]
        assert talker.wire.closeCode == 1000

    def test_the_server_closes_first(self, daemon: Daemon) -> None:
        talker = connect(daemon)
        assert condition(talker.say("<a/>")[1]) == "invalid-namespace"
        talker.say(CLOSE)
        assert talker.wire.closeCode == 1000

    def test_a_client_behind_a_proxy_is_not_local(self, daemon: Daemon) -> None:
        talker = connect(daemon, headers={"X-Forwarded-For": "192.0.2.1"})
        features = talker.say(OPEN)[1].toXml()
        assert "PLAIN" not in features
        assert "ANONYMOUS" not in features

    def test_a_message_may_come_in_many_frames(self, daemon: Daemon) -> None:
        one, two = anonymous(daemon), anonymous(daemon)
        said = message(two.jid, "x" * 100_000).encode()
        client = one.wire.client
        client.protocol.send_text(said[:10], fin=False)
        client.protocol.send_continuation(said[10:], fin=True)
        client.exchange()
        assert len(two.heard()[0].toXml()) > 100_000

    def test_a_message_that_is_too_large_is_a_stream_error(self, tmp_path: Path) -> None:
        options = XmppOptions(store=str(tmp_path / "s"), max_stanza=10_000)
        daemon = daemonOf(xmpp=options)
        talker = connect(daemon)
        assert condition(talker.say("<a>" + "x" * 10_000 + "</a>")[1]) == "policy-violation"

    def test_so_is_one_that_becomes_too_large_when_it_is_passed_on(self, tmp_path: Path) -> None:
        policies = Policies(max_unsent=64_000, high_water=4_000, low_water=1_000, max_message=32_000)
        daemon = daemonOf(policies, xmpp=XmppOptions(store=str(tmp_path / "s")))
        assert condition(connect(daemon).say(OPEN + "x" * 16_000)[1]) == "policy-violation"

    def test_one_whose_namespaces_make_it_too_large_reaches_nobody(self, daemon: Daemon) -> None:
        """Each element declares its namespace when it is passed on: a guest could disconnect a whole room."""
        one, two = anonymous(daemon), anonymous(daemon)
        for talker in (one, two):
            talker.say(f"<presence xmlns='jabber:client' to='a@conference.localhost/{talker.bare[:8]}'/>")
        two.forget()
        told = f"<body/><x xmlns:p='{'u' * 900}'>{'<p:a/>' * 3_900}</x>"
        one.say(f"<message xmlns='jabber:client' to='a@conference.localhost' type='groupchat'>{told}</message>")
        assert [each.name for each in two.heard()] == ["presence"]
        assert two.wire.closeCode is None


class TestReadiness:
    def test_it_is_ready_while_the_store_works_or_is_not_needed_yet(self, daemon: Daemon) -> None:
        anonymous(daemon)
        assert [factory.ready() for factory in daemon.factories.values()] == [None, None]

    def test_it_is_not_ready_if_the_store_could_not_be_created(
        self, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Root may write everywhere.
        monkeypatch.setattr("wsd.config.stores.os.access", lambda *_: False)
        told = {factory.ready() for factory in daemon.factories.values()}
        assert told == {"the store cannot be created: Permission denied"}

    def test_it_is_not_ready_while_the_store_fails(self, daemon: Daemon, tmp_path: Path) -> None:
        (tmp_path / "xmpp.sqlite").mkdir()
        talker = connect(daemon)
        talker.say(OPEN)
        assert talker.authenticate("alice", "PLAIN", "alice").name == "failure"
        for factory in daemon.factories.values():
            assert factory.ready() == "the store cannot be used: unable to open database file"
        (tmp_path / "xmpp.sqlite").rmdir()
        daemon.reactor.advance(1)
        assert [factory.ready() for factory in daemon.factories.values()] == [None, None]

    def test_clients_are_refused_if_the_store_cannot_be_read_at_the_start(self, tmp_path: Path) -> None:
        path = tmp_path / "xmpp.sqlite"
        path.write_bytes(b"x" * 4096)
        daemon = daemonOf(xmpp=XmppOptions(store=str(path)))
        client = daemon.open("/xmpp", subprotocols=["xmpp"])
        assert client.response is not None
        assert client.response.status_code == 503
        told = "it could not be started: the store cannot be opened: file is not a database"
        assert daemon.factories["/xmpp"].unusable == told
        path.unlink()
        anonymous(daemonOf(xmpp=XmppOptions(store=str(path))))
