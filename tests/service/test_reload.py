"""Every key of the configuration, changed under a running daemon: a reload takes it up, or says that it does not."""

from __future__ import annotations

import gc
import json
import re
import weakref
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent

from tests.certificates import Authority
from tests.wire import Wire
from wsd.config import AccessLog, Config, Control, Log, Policies, Route, Tls, Traces, Uses, parse
from wsd.config.auth import Auth
from wsd.config.changes import FIXED
from wsd.control.socket import ControlSocket
from wsd.listen.listener import Listener
from wsd.policies.address import Trust
from wsd.protocols import optionsOf
from wsd.service import Daemon, check
from wsd.service.steering import Steering
from wsd.uses import offerOf

# A reload that needs these libraries for the first time loads them in a thread.
import_module("wsd.traces.export")

ROOT = Path(__file__).parent.parent.parent

TOP = """\
port = 0
host = "127.0.0.1"
built_in = false
"""
ROUTES = """
[route."/one"]
protocol = "echo"
[route."/describe"]
"""


class Reactor(MemoryReactorClock):
    """Threads that look for changed handlers may report to it; nobody waits for that."""

    def callFromThread(self, call: Callable[..., object], *arguments: object) -> None:
        pass


class Reloaded:
    """A daemon in memory, whose configuration is written anew."""

    def __init__(self, folder: Path) -> None:
        self.text = TOP + ROUTES
        self.environ = {"STATE_DIRECTORY": str(folder)}
        self.daemon: Any = None

    def start(self, text: str) -> None:
        self.text = text
        self.daemon = Daemon(self.read(), Reactor(), self.read, dict(self.environ))
        self.daemon.control = ControlSocket(self.daemon.reactor, self.environ, Steering(self.daemon, None))
        self.daemon.startService()
        self.daemon.reactor.run()

    def read(self) -> Config:
        return parse(self.text, optionsOf, offer=offerOf(self.environ))

    def reload(self, text: str) -> list[str]:
        """The lines of the log."""
        self.text = text
        with capturedLogs() as events:
            self.daemon.reload()
        return [str(formatEvent(event)) for event in events]

    def ask(self, path: str, *lines: str, host: str = "localhost") -> tuple[int, str]:
        """Status and body of the answer to a GET."""
        head = "".join(f"{line}\r\n" for line in (f"GET {path} HTTP/1.1", f"Host: {host}", *lines, ""))
        head, _, body = Wire(self.daemon).exchange(head.encode()).decode().partition("\r\n\r\n")
        return int(head.split()[1]), body

    def peer(self, *lines: str) -> str:
        """The address that the daemon sees."""
        return str(json.loads(self.ask("/describe", *lines)[1])["peer"]["address"])

    def stop(self) -> None:
        if self.daemon is not None:
            self.daemon.stopService()
            self.daemon.reactor.pump([0.1] * 200)


@pytest.fixture
def reloaded(tmp_path: Path) -> Iterator[Reloaded]:
    ours = Reloaded(tmp_path)
    yield ours
    ours.stop()


def table(name: str, line: str) -> str:
    return f"{TOP}[{name}]\n{line}\n{ROUTES}"


def top(line: str) -> str:
    return f"{TOP}{line}\n{ROUTES}"


def route(*lines: str) -> str:
    return TOP + ROUTES.replace('protocol = "echo"', "\n".join(lines))


def routeKey(name: str) -> Callable[[Reloaded], Any]:
    return lambda r: getattr(r.daemon.site.routeFor("/one").route, name)


def policy(name: str) -> Callable[[Reloaded], Any]:
    """What a new connection meets: that of its route, of the door, or of the whole daemon."""

    def look(r: Reloaded) -> tuple[Any, ...]:
        (factory,) = r.daemon.site.routeFor("/one").distinct()
        door = Wire(r.daemon).door
        return tuple(
            getattr(policies, name) for policies in (factory.policies, door._policies, r.daemon._admission._policies)
        )

    return look


XFF, FORWARDED = "X-Forwarded-For: 203.0.113.7", "Forwarded: for=203.0.113.8"
TRUST = 'trusted_proxies = "127.0.0.1"\n'

LOOKS: dict[str, tuple[str, str, Callable[[Reloaded], Any]]] = {
    "hosts": (top(""), top('hosts = ["example.com"]'), lambda r: r.ask("/describe", host="example.com")[0]),
    "trusted_proxies": (top(""), top(TRUST), lambda r: r.peer(XFF)),
    "proxy_header": (top(TRUST), top(f'{TRUST}proxy_header = "forwarded"'), lambda r: r.peer(XFF, FORWARDED)),
    "metrics_allow": (
        top(TRUST),
        top(f'{TRUST}metrics_allow = "203.0.113.0/24"'),
        lambda r: r.ask("/metrics", XFF)[0],
    ),
    "built_in": (top(""), top("").replace("built_in = false", "built_in = true"), lambda r: r.ask("/echo")[0]),
    "drain": (top(""), top("drain = 3"), lambda r: r.daemon.config.drain),
    "handlers": (top(""), top('handlers = "{folder}"'), lambda r: r.ask("/good")[0]),
    "handlers_strict": (
        top('handlers = "{folder}"'),
        top('handlers = "{folder}"\nhandlers_strict = true'),
        lambda r: [f.options.handlers_strict for f in r.daemon.site.routeFor("/good").distinct()],
    ),
    "control.enabled": (top(""), table("control", "enabled = false"), lambda r: r.daemon.control.path),
    "control.path": (top(""), table("control", 'path = "{folder}/other.sock"'), lambda r: r.daemon.control.path),
    "uses.enabled": (table("uses", "enabled = false"), table("uses", "enabled = true"), lambda r: r.ask("/uses/")[0]),
    "route.protocol": (route('protocol = "echo"'), route('protocol = "describe"'), lambda r: r.ask("/one")[0]),
    "route.subprotocols": (
        route('protocol = "echo"'),
        route('protocol = "echo"', 'subprotocols = ["a"]'),
        lambda r: [f.spoken for f in r.daemon.site.routeFor("/one").distinct()],
    ),
    "route.prefer": (route('protocol = "echo"'), route('protocol = "echo"', 'prefer = "server"'), routeKey("prefer")),
    "route.require_subprotocol": (
        route('protocol = "echo"'),
        route('protocol = "echo"', "require_subprotocol = true"),
        routeKey("require_subprotocol"),
    ),
    "route.origins": (route('protocol = "echo"'), route('protocol = "echo"', 'origins = "*"'), routeKey("origins")),
    "route.enabled": (
        route('protocol = "echo"'),
        route('protocol = "echo"', "enabled = false"),
        lambda r: r.ask("/one")[0],
    ),
}
"""A key to a configuration, another one, and what tells which of them holds."""

OTHER = {
    "max_message": "2 MiB",
    "max_frame": "1 KiB",
    "http_body_rate": "2 KiB",
    "high_water": "2 MiB",
    "low_water": "1 KiB",
    "max_unsent": "32 MiB",
    "memory_max": "1 GiB",
    "memory_per_connection": 0.5,
    "memory_per_address": 0.75,
    "close_id": False,
    "deflate": False,
    "over_rate": "close",
}
"""Other values than the default, of policies to which one may not simply be added."""

for each in fields(Policies):
    value = OTHER.get(each.name, each.default + 1 if isinstance(each.default, (int, float)) else None)
    LOOKS[f"policies.{each.name}"] = top(""), table("policies", f"{each.name} = {json.dumps(value)}"), policy(each.name)

AUTH: dict[str, tuple[str, str]] = {
    "methods": ("", 'methods = "hook"\nhook = "http://127.0.0.1:1/"'),
    "realm": ("", 'realm = "ours"'),
    "htpasswd": ("", 'htpasswd = "users"'),
    "basic_without_tls": ("", "basic_without_tls = true"),
    "token_key": ("", 'token_key = "key"'),
    "token_audience": ("", 'token_audience = "us"'),
    "token_issuer": ("", 'token_issuer = "them"'),
    "certificate_user": ("", 'certificate_user = "cn"'),
    "hook": ("", 'hook = "http://127.0.0.1:1/"'),
    "hook_headers": ("", 'hook_headers = "cookie"'),
    "hook_user": ("", 'hook_user = "remote-user"'),
    "hook_timeout": ("", "hook_timeout = 1"),
    "hook_cache": ("", "hook_cache = 1"),
}
for name, (before, after) in AUTH.items():
    LOOKS[f"auth.{name}"] = table("auth", before), table("auth", after), routeKey("auth")
TRACES: dict[str, tuple[str, str]] = {
    "enabled": ("enabled = false", "enabled = true"),
    "endpoint": ("", 'endpoint = "http://127.0.0.1:1"'),
    "headers_file": ("", 'headers_file = "{folder}/headers"'),
    "service_name": ("", 'service_name = "ours"'),
    "sample": ("", "sample = 0.5"),
    "timeout": ("", "timeout = 1"),
}
for name, (before, after) in TRACES.items():
    switch = "" if name == "enabled" else "enabled = true\n"
    LOOKS[f"traces.{name}"] = (
        table("traces", switch + before),
        table("traces", switch + after),
        lambda r: (r.daemon.site.tracing.tracer is None, r.daemon.tracing._settings),
    )
LOOKS["route.auth"] = (
    route('protocol = "echo"'),
    route('protocol = "echo"', 'auth = { methods = "hook", hook = "http://127.0.0.1:1/" }'),
    routeKey("auth"),
)

FIXED_KEYS: dict[str, str] = {
    "frames": top('frames = "plain"'),
    "workers": top("workers = 2"),
}
"""The keys whose change a reload refuses."""

LISTENERS = {"port", "host", "listen", "proxy_protocol", "tls.port", "tls.listen"}
"""Those that tests/process/test_reload.py changes, with real sockets."""

LOGS = {f"log.{each.name}" for each in fields(Log)} | {f"access.{each.name}" for each in fields(AccessLog)}
"""Those that tests/process/test_reload.py changes: the daemon's log belongs to the command line."""


def keys() -> set[str]:
    """Every key there is."""
    tables = {
        "policies": Policies,
        "auth": Auth,
        "tls": Tls,
        "log": Log,
        "access": AccessLog,
        "traces": Traces,
        "control": Control,
        "uses": Uses,
    }
    names = {each.name for each in fields(Config)} - {*tables, "routes"}
    names |= {f"{where}.{each.name}" for where, shape in tables.items() for each in fields(shape)}
    own = {"path", "prefix", "single", "options", "policies", "builtIn", "code"}
    return names | {f"route.{each.name}" for each in fields(Route) if each.name not in own} | {"route.enabled"}


TLS = {"tls.self_signed", "tls.certificate", "tls.client_ca", "tls.client_auth", "tls.client_crl", "route.clients"}
"""Those that have their own test, since they need certificates."""


def test_every_key_is_changed_here() -> None:
    assert {*LOOKS, *FIXED_KEYS, *LISTENERS, *LOGS, *TLS} == keys()
    assert set(FIXED_KEYS) == set(FIXED)


@pytest.mark.parametrize("key", LOOKS)
def test_a_reload_takes_up(reloaded: Reloaded, tmp_path: Path, key: str) -> None:
    (tmp_path / "good_wsh.py").write_text(
        "async def web_socket_do_extra_handshake(request): pass\nasync def web_socket_transfer_data(request): pass\n"
    )
    (tmp_path / "headers").write_text("Authorization: Bearer abc")
    before, after, look = LOOKS[key]
    reloaded.start(before.replace("{folder}", str(tmp_path)))
    seen = look(reloaded)
    lines = reloaded.reload(after.replace("{folder}", str(tmp_path)))
    assert look(reloaded) != seen
    name = 'route."/one"' if key.startswith("route.") else key
    assert any(re.search(rf"^reloaded, changed: (.*, )?{re.escape(name)}(,|$)", line) for line in lines)


@pytest.mark.parametrize("key", FIXED_KEYS)
def test_what_only_a_restart_can_change_is_refused_with_all_the_rest(reloaded: Reloaded, key: str) -> None:
    reloaded.start(top(""))
    before = reloaded.daemon.config
    (line,) = reloaded.reload(FIXED_KEYS[key].replace("built_in = false", "built_in = true"))
    assert line == (
        f"not reloaded, the old configuration stays in use: only a restart can change {key}; restart wsd, or change it "
        "back"
    )
    assert reloaded.daemon.config is before
    assert reloaded.ask("/echo")[0] == 404
    assert "reloaded, nothing has changed" in reloaded.reload(top(""))


@pytest.mark.parametrize("host", ["203.0.113.7", "a..b"])
def test_a_host_that_this_machine_does_not_have_is_refused_as_by_a_check(reloaded: Reloaded, host: str) -> None:
    reloaded.start(top(""))
    before = reloaded.daemon.listening.urls
    text = top("").replace("127.0.0.1", host)
    (fault,) = check(parse(text, optionsOf), MemoryReactorClock(), reloaded.environ).faults
    assert fault.startswith(f"host '{host}' is not an address of this machine")
    (line,) = reloaded.reload(text)
    assert line == f"not reloaded, the old configuration stays in use: {fault}"
    assert reloaded.daemon.listening.urls == before


@pytest.mark.parametrize("key", sorted(TLS))
def test_a_reload_takes_up_what_tls_shows(reloaded: Reloaded, tmp_path: Path, key: str) -> None:
    one, two = Authority(tmp_path, "one"), Authority(tmp_path, "two")
    pairs = [authority.server(name, name) for authority, name in ((one, "one.example"), (two, "two.example"))]
    shown = [f'certificate = [{{ cert = "{pair.cert}", key = "{pair.key}" }}]' for pair in pairs]
    clients = [f'client_auth = "required"\nclient_ca = "{authority.path}"' for authority in (one, two)]
    some = '[route."/some"]\nprotocol = "echo"\nclients = '
    texts = {
        "tls.self_signed": ("self_signed = true", shown[0]),
        "tls.certificate": (shown[0], shown[1]),
        "tls.client_auth": (shown[0], f"{shown[0]}\n{clients[0]}"),
        "tls.client_crl": (f"{shown[0]}\n{clients[0]}", f'{shown[0]}\n{clients[0]}\nclient_crl = "{one.revoke()}"'),
        "route.clients": (f'{shown[0]}\n{clients[0]}\n{some}"*"', f'{shown[0]}\n{clients[0]}\n{some}"CN=me"'),
        "tls.client_ca": (f"{shown[0]}\n{clients[0]}", f"{shown[0]}\n{clients[1]}"),
    }[key]

    def look() -> Any:
        certificates: Any = reloaded.daemon.listening.certificates
        context = certificates._contexts.default
        dates = list(certificates.expiry()), certificates.crlExpiry()
        subjects = [route.route.clients for route in reloaded.daemon.site.routes]
        return dates, subjects, context.verify_mode, context.get_ca_certs()

    reloaded.start(table("tls", f"port = 0\n{texts[0]}"))
    seen = look()
    reloaded.reload(table("tls", f"port = 0\n{texts[1]}"))
    assert look() != seen


def test_traces_that_cannot_be_made_refuse_a_reload_and_the_old_ones_stay(reloaded: Reloaded, tmp_path: Path) -> None:
    reloaded.start(table("traces", "enabled = true"))
    tracer = reloaded.daemon.tracing.tracer
    (line,) = reloaded.reload(table("traces", f'enabled = true\nheaders_file = "{tmp_path}/none"'))
    assert line == (
        f"not reloaded, the old configuration stays in use: traces.headers_file: {tmp_path}/none cannot be read: "
        "No such file or directory; name a file that wsd can read"
    )
    assert reloaded.daemon.site.tracing.tracer is tracer is not None


def pieces() -> list[Any]:
    """All there are of what configurations are made of."""
    gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, (Config, Policies, Route, Trust))]


def test_nothing_keeps_a_piece_of_the_old_configuration(reloaded: Reloaded) -> None:
    others = {id(each) for each in pieces()}
    text = f'proxy_protocol = true\ntrusted_proxies = "127.0.0.1"\n[policies]\nmax_message = 111\n{ROUTES}'
    reloaded.start(TOP + text)
    ours = {id(each) for each in pieces()} - others
    reloaded.reload(TOP + text.replace("111", "222").replace("127.0.0.1", "127.0.0.2"))
    reloaded.daemon.reactor.pump([1.0] * 20)
    assert len(ours) > 5
    assert [each for each in pieces() if id(each) in ours] == []


def test_a_replaced_factory_is_gone_soon_although_python_would_keep_it(reloaded: Reloaded) -> None:
    reloaded.start(TOP + ROUTES)
    (old,) = map(weakref.ref, next(iter(reloaded.daemon.routes.routes.values())).distinct())
    gc.disable()
    try:
        reloaded.reload(f"{TOP}[policies]\nmax_message = 222\n{ROUTES}")
        assert old() is not None
        reloaded.daemon.reactor.pump([1.0] * 20)
        assert old() is None
    finally:
        gc.enable()


def test_reloads_with_a_chat_do_not_keep_each_other(reloaded: Reloaded) -> None:
    text = f'{TOP}[policies]\nmax_message = 111\n{ROUTES}[route."/xmpp"]\nprotocol = "xmpp"\n'
    reloaded.start(text)
    counts = []
    for number in range(222, 228):
        reloaded.reload(text.replace("111", str(number)))
        reloaded.daemon.reactor.pump([1.0] * 20)
        counts.append(len(pieces()))
    assert counts[-1] == counts[2]


@pytest.mark.parametrize("isTrusted", [True, False], ids=["a proxy that is new", "a proxy that is removed"])
def test_the_proxies_whose_header_is_read_are_those_of_now(reloaded: Reloaded, isTrusted: bool) -> None:
    texts = [f"proxy_protocol = true\n{line}" for line in ("", TRUST)]
    before, after = texts if isTrusted else reversed(texts)
    reloaded.start(top(before))
    composed = reloaded.daemon.listening.compose(Listener("tcp:0", False))
    reloaded.reload(top(after))

    asked = b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 80\r\nGET /describe HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = Wire(reloaded.daemon, factory=composed).exchange(asked)
    assert (b'"203.0.113.7"' in answer) == isTrusted
    assert answer.startswith(b"HTTP/1.1 200 " if isTrusted else b"HTTP/1.1 400 ")


def test_the_page_says_which_need_a_restart() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    (told,) = re.findall(r"^A restart is needed for (.*?)\. ", text, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"`([\w.]+)`", told)) == set(FIXED)


class TestCode:
    """Code that a route names is read again if it has changed, as handlers are."""

    SHOUT = (
        "from wsd.connection import Connection\n\nclass Shout(Connection):\n    MARK = {mark!r}\n    def {hook}: pass\n"
    )

    def write(self, folder: Path, mark: str, hook: str = "received(self, payload, isBinary)") -> None:
        (folder / "shout.py").write_text(self.SHOUT.format(mark=mark, hook=hook))

    def start(self, reloaded: Reloaded, folder: Path) -> Any:
        """The factory of the route."""
        self.write(folder, "!")
        reloaded.start(f'{TOP}[route."/one"]\nprotocol = "{folder}/shout.py:Shout"\n[route."/describe"]\n')
        return self.factory(reloaded)

    @staticmethod
    def factory(reloaded: Reloaded) -> Any:
        (factory,) = reloaded.daemon.site.routeFor("/one").distinct()
        return factory

    def test_a_changed_file_is_used_for_new_connections(self, reloaded: Reloaded, tmp_path: Path) -> None:
        before = self.start(reloaded, tmp_path)
        self.write(tmp_path, "?")
        assert 'reloaded, changed: route."/one"' in reloaded.reload(reloaded.text)
        assert (before.connection.MARK, self.factory(reloaded).connection.MARK) == ("!", "?")

    def test_an_unchanged_one_keeps_its_factory(self, reloaded: Reloaded, tmp_path: Path) -> None:
        before = self.start(reloaded, tmp_path)
        assert "reloaded, nothing has changed" in reloaded.reload(reloaded.text)
        assert self.factory(reloaded) is before

    def test_a_broken_one_is_told_and_the_old_one_stays(self, reloaded: Reloaded, tmp_path: Path) -> None:
        before = self.start(reloaded, tmp_path)
        self.write(tmp_path, "?", "received(self")
        (line,) = reloaded.reload(reloaded.text)
        assert line.startswith(
            'not reloaded, the old configuration stays in use: route."/one".protocol: '
            f"{tmp_path}/shout.py cannot be loaded: SyntaxError: "
        )
        assert self.factory(reloaded) is before
        self.write(tmp_path, "!!")
        reloaded.reload(reloaded.text)
        assert self.factory(reloaded).connection.MARK == "!!"

    def test_so_is_the_service_of_a_route_of_soap(self, reloaded: Reloaded, tmp_path: Path) -> None:
        offer = (
            "from wsd.protocols.soap.offer import Offer\n"
            "x = Offer('X', 'urn:x', '{}')\n@x.operation()\ndef one() -> int: ...\n"
        )
        (tmp_path / "quotes.py").write_text(offer.format("old"))
        reloaded.start(f'{TOP}[route."/one"]\nprotocol = "soap"\nservice = "{tmp_path}/quotes.py:x"\n')
        assert "old" in reloaded.ask("/one?wsdl")[1]
        (tmp_path / "quotes.py").write_text(offer.format("new"))
        assert 'reloaded, changed: route."/one"' in reloaded.reload(reloaded.text)
        assert "new" in reloaded.ask("/one?wsdl")[1]

    def test_so_is_where_the_passwords_of_soap_come_from(self, reloaded: Reloaded, tmp_path: Path) -> None:
        (tmp_path / "users").write_text("ann:{SSHA}" + b64encode(bytes(24)).decode() + "\n")
        auth = f'auth = {{ methods = ["basic"], htpasswd = "{tmp_path}/users" }}\n'
        text = f'{TOP}[route."/one"]\nprotocol = "soap"\n{auth}'
        reloaded.start(text)
        assert reloaded.ask("/one?wsdl")[0] == 401
        assert 'reloaded, changed: route."/one"' in reloaded.reload(f"{text}username_token = true\n")
        assert reloaded.ask("/one?wsdl")[0] == 200
        (refused,) = reloaded.reload(f'{TOP}[route."/one"]\nprotocol = "soap"\nusername_token = true\n')
        assert 'route."/one".username_token: needs auth.methods' in refused
        assert reloaded.ask("/one?wsdl")[0] == 200

    def test_so_is_a_rule_of_topics(self, reloaded: Reloaded, tmp_path: Path) -> None:
        (tmp_path / "rules.py").write_text("def decide(action, topic, subject):\n    return False\n")
        route = f'protocol = "topics"\nhistory = ["{tmp_path}/rules.py:decide"]\npresence = []\n'
        reloaded.start(f'{TOP}[route."/one/*"]\n{route}')
        assert "forbidden" in reloaded.ask("/one/a")[1]
        (tmp_path / "rules.py").write_text("def decide(action, topic, subject):\n    return topic == 'a'\n")
        assert 'reloaded, changed: route."/one/*"' in reloaded.reload(reloaded.text)
        assert '"history":[]' in reloaded.ask("/one/a")[1]
