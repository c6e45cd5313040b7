"""The gateway (RFC 7395 to RFC 6120), before Prosody and ejabberd themselves."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from tests.certificates import Authority
from tests.commands import ROOT, until
from tests.daemon import RunningDaemon, runningDaemon
from tests.ports import freePort
from tests.process.xmpp import CLOSE, OPEN, SM, Client, Ended, Server, body, ejabberd, message, prosody

CONFIG = """
[policies]
ping_interval = 0
[route."/xmpp"]
upstream = "tcp:127.0.0.1:{port}"
upstream_ca = "{ca}"
[route."/proxied"]
protocol = "xmpp"
upstream = "tcp:127.0.0.1:{second}"
upstream_ca = "{ca}"
upstream_proxy = true
[route."/stranger"]
protocol = "xmpp"
upstream = "tcp:127.0.0.1:{port}"
upstream_ca = "{stranger}"
domains = ["stranger"]
[route."/nobody"]
protocol = "xmpp"
upstream = "tcp:127.0.0.1:{nobody}"
[route."/system"]
protocol = "xmpp"
upstream = "tcp:127.0.0.1:{port}"
domains = ["system"]
"""


class Place:
    """A gateway, and the server behind it."""

    def __init__(self, daemon: RunningDaemon, server: Server) -> None:
        self.daemon = daemon
        self.server = server
        self._clients: list[Client] = []

    def connect(self, path: str = "/xmpp") -> Client:
        client = Client(f"ws://127.0.0.1:{self.daemon.port()}{path}")
        self._clients.append(client)
        return client

    def login(self, path: str = "/xmpp") -> Client:
        """Somebody new."""
        return self.connect(path).login(f"u{uuid4().hex[:8]}", register=True).come()

    def end(self) -> None:
        for client in self._clients:
            client.cut()


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Place]]:
    with ExitStack() as stack:
        made: dict[str, Place] = {}

        def place(name: str) -> Place:
            if name not in made:
                folder = tmp_path_factory.mktemp(name)
                server = stack.enter_context({"prosody": prosody, "ejabberd": ejabberd}[name](folder))
                stranger = Authority(folder, "stranger")
                config = CONFIG.format(
                    port=server.port,
                    second=server.second,
                    ca=server.authority.path,
                    stranger=stranger.path,
                    nobody=freePort(),
                )
                made[name] = Place(stack.enter_context(runningDaemon(config=config)), server)
                stack.callback(made[name].end)
            return made[name]

        yield place


@pytest.fixture(params=["prosody", "ejabberd"])
def place(request: pytest.FixtureRequest, places: Callable[[str], Place]) -> Place:
    return places(request.param)


class TestBeforeEach:
    def test_two_log_in_and_talk(self, place: Place) -> None:
        one, two = place.login(), place.login()
        one.say(message(two.jid, "&lt;&amp;&gt; ünï 😀"))
        heard = two.until("message")
        assert (body(heard), heard.get("from")) == ("<&> ünï 😀", one.jid)

    def test_tls_and_what_is_bound_to_it_is_not_offered_to_the_client(self, place: Place) -> None:
        features = place.connect().open().toXml()
        assert "SCRAM-SHA-1<" in features
        for hidden in ("starttls", "-PLUS", "EXTERNAL", "sasl-cb", "compress"):
            assert hidden not in features

    def test_both_say_close_and_the_websocket_closes_with_1000(self, place: Place) -> None:
        client = place.login()
        client.say(CLOSE)
        client.until("close")
        with pytest.raises(Ended, match="1000"):
            client.hear()

    def test_a_session_whose_websocket_is_lost_is_resumed_and_each_stanza_comes_once(self, place: Place) -> None:
        one, two = place.login(), place.login()
        two.say(f"<enable xmlns='{SM}' resume='true'/>")
        previous = two.until("enabled").get("id")
        two.say(message(two.jid, "to myself", name="own"))
        handled = 1 if two.until("message", id="own") else 0
        user = two.jid.partition("@")[0]
        two.cut()
        for number in range(3):
            one.say(message(two.jid, f"missed {number}"))
        again = place.connect()
        again.open()
        again.authenticate(user, "secret")
        again.open()
        again.say(f"<resume xmlns='{SM}' previd='{previous}' h='{handled}'/>")
        assert again.hear().name == "resumed"
        assert [body(again.until("message")) for _ in range(3)] == [f"missed {number}" for number in range(3)]
        one.say(message(two.jid, "last"))
        assert body(again.until("message")) == "last"

    def test_a_wrong_password_is_the_servers_to_refuse(self, place: Place) -> None:
        client = place.connect()
        client.open()
        assert client.authenticate("nobody", "wrong").name == "failure"

    @pytest.mark.parametrize(
        ("said", "condition"),
        [
            ("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AAA=</auth>", "invalid-namespace"),
            ("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' version='1.0'/>", "improper-addressing"),
            ("<?xml version='1.0'?>" + OPEN, "restricted-xml"),
            (OPEN.replace("localhost", "elsewhere.example"), None),
        ],
    )
    def test_what_is_no_stream_ends_it(self, place: Place, said: str, condition: str | None) -> None:
        client = place.connect()
        client.say(said)
        assert client.hear().name == "open"
        error = client.hear()
        assert error.name == "error"
        if condition is not None:
            assert next(error.elements()).name == condition
        client.until("close")
        client.say(CLOSE)
        with pytest.raises(Ended, match="1000"):
            client.hear()

    def test_a_certificate_of_somebody_else_is_refused(self, place: Place) -> None:
        for path in ("/stranger", "/system"):
            client = place.connect(path)
            client.say(OPEN)
            assert client.hear().name == "open"
            assert "remote-connection-failed" in client.hear().toXml()

    def test_a_client_that_does_not_read_holds_its_sender_and_loses_nothing(self, place: Place) -> None:
        one, two = place.login(), place.login()
        text = "x" * 20_000
        for number in range(100):
            one.say(message(two.jid, f"{number} {text}"))
        assert [body(two.until("message")).split()[0] for _ in range(100)] == [str(number) for number in range(100)]


class TestTheWay:
    def test_nobody_there_is_said(self, places: Callable[[str], Place]) -> None:
        client = places("prosody").connect("/nobody")
        client.say(OPEN)
        assert [client.hear().name for _ in range(3)] == ["open", "error", "close"]
        places("prosody").daemon.waitFor("cannot be reached")

    def test_a_proxy_header_tells_the_clients_address(self, places: Callable[[str], Place]) -> None:
        place = places("ejabberd")
        port = place.daemon.port()
        client = Client(f"ws://localhost:{port}/proxied", "127.0.0.2")
        client.login(f"u{uuid4().hex[:8]}", register=True)
        until(lambda: f"{client.jid.partition('/')[0]}" in place.server.log, "the login is logged")
        assert "127.0.0.2" in place.server.log
        client.cut()

    def test_two_of_them_before_one_server_are_one(self, places: Callable[[str], Place], tmp_path: Path) -> None:
        """With the sample of docs/xmpp.md."""
        server = places("ejabberd").server
        page = (ROOT / "docs" / "xmpp.md").read_text("utf-8")
        (config,) = (block for block in re.findall(r"```toml\n(.*?)```", page, re.DOTALL) if "upstream =" in block)
        for sample, here in (
            ("xmpp.example.com:5222", f"127.0.0.1:{server.second}"),
            ("authority.pem", server.authority.path),
        ):
            assert sample in config
            config = config.replace(sample, str(here))
        with runningDaemon(config=config) as one, runningDaemon(config=config) as other:
            alice = Client(f"ws://127.0.0.1:{one.port()}/xmpp").login("alice", register=True).come()
            bob = Client(f"ws://127.0.0.1:{other.port()}/xmpp").login("bob", register=True).come()
            bob.say(f"<enable xmlns='{SM}' resume='true'/>")
            previous = bob.until("enabled").get("id")
            other.stop(signal.SIGKILL)
            alice.say(message(bob.jid, "while it was down"))
            again = Client(f"ws://127.0.0.1:{one.port()}/xmpp")
            again.open()
            again.authenticate("bob", "secret")
            again.open()
            again.say(f"<resume xmlns='{SM}' previd='{previous}' h='0'/>")
            assert again.hear().name == "resumed"
            assert body(again.until("message")) == "while it was down"

    def test_its_end_is_the_clients_end(self, tmp_path: Path) -> None:
        with prosody(tmp_path) as server:
            ca = server.authority.path
            config = CONFIG.format(port=server.port, second=1, ca=ca, stranger=ca, nobody=1)
            with runningDaemon(config=config) as daemon:
                client = Client(f"ws://127.0.0.1:{daemon.port()}/xmpp").login("u", register=True)
                server.stop()
                assert client.until("close").name == "close"
