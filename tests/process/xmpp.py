"""Other people's XMPP servers on loopback, and a client that says stanzas over a real WebSocket to any of them."""

from __future__ import annotations

import os
import socket
import subprocess
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from scramp import ScramClient
from websockets.client import ClientProtocol
from websockets.frames import Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from tests.certificates import Authority
from tests.commands import PATIENCE, until
from tests.ports import freePorts
from tests.process.test_proxies import isOpen
from wsd.protocols.xmpp.framing import XmlLimits, parse
from wsd.protocols.xmpp.stanza import Element

OPEN = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='localhost' version='1.0'/>"
CLOSE = "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
SM = "urn:xmpp:sm:3"
_LIMITS = XmlLimits(1 << 24, 1_000, 100_000, 1_000)

_PROSODY = """
run_as_root = true
daemonize = false
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
certificates = "{folder}"
log = {{ info = "{folder}/prosody.log" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
http_ports = {{ {web} }}
http_interfaces = {{ "127.0.0.1" }}
https_ports = {{ }}
modules_enabled = {{
  "roster"; "saslauth"; "tls"; "disco"; "posix"; "ping"; "time"; "version"; "carbons"; "blocklist"; "smacks";
  "offline"; "register_ibr"; "websocket"; "vcard4"; "vcard_legacy"; "pep"; "private"; "bookmarks";
}}
modules_disabled = {{ "s2s" }}
allow_registration = true
authentication = "internal_hashed"
c2s_require_encryption = {tls}
consider_websocket_secure = true
consider_bosh_secure = true
cross_domain_websocket = true
smacks_hibernation_time = 300
VirtualHost "localhost"
ssl = {{ certificate = "{cert}"; key = "{key}"; }}
Component "conference.localhost" "muc"
"""

_EJABBERD = """
hosts: [localhost]
loglevel: info
certfiles: ["{cert}", "{key}"]
listen:
  - port: {port}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    starttls_required: true
  - port: {proxied}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    starttls_required: true
    use_proxy_protocol: true
auth_password_format: scram
registration_timeout: infinity
acl: {{ loopback: {{ ip: [127.0.0.0/8, 192.0.2.0/24] }} }}
modules:
  mod_disco: {{}}
  mod_ping: {{}}
  mod_roster: {{}}
  mod_offline: {{}}
  mod_muc: {{}}
  mod_last: {{}}
  mod_register: {{ ip_access: all, access: all, password_strength: 0 }}
  mod_stream_mgmt: {{ resend_on_timeout: if_offline }}
"""


class Server:
    """A server that runs: its port for clients, and another one."""

    def __init__(
        self, folder: Path, port: int, second: int, authority: Authority, process: subprocess.Popen[bytes]
    ) -> None:
        self.folder = folder
        self.port = port
        self.second = second
        """Prosody's own WebSockets (HTTP), ejabberd's port that expects a PROXY header."""
        self.authority = authority
        self._process = process

    @property
    def log(self) -> str:
        return "".join(path.read_text() for path in self.folder.glob("*.log"))

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)


@contextmanager
def _run(folder: Path, command: list[str], ports: list[int], **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "out.log").open("wb") as out:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, **environ}
        )
    try:
        until(lambda: process.poll() is not None or all(map(isOpen, ports)), f"{command[0]} listens")
        assert process.poll() is None, (folder / "out.log").read_text()
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE)


@contextmanager
def prosody(folder: Path, tls: bool = True) -> Iterator[Server]:
    """Prosody for the domain localhost, where clients make accounts by themselves."""
    authority = Authority(folder)
    pair = authority.server("localhost", "localhost")
    port, web = freePorts(2)
    (folder / "data").mkdir()
    file = folder / "prosody.cfg.lua"
    file.write_text(
        _PROSODY.format(folder=folder, port=port, web=web, cert=pair.cert, key=pair.key, tls=str(tls).lower())
    )
    with _run(folder, ["prosody", "-F", "--config", str(file)], [port, web]) as process:
        yield Server(folder, port, web, authority, process)


@contextmanager
def ejabberd(folder: Path) -> Iterator[Server]:
    """ejabberd for the same, without Erlang's network between nodes."""
    authority = Authority(folder)
    pair = authority.server("localhost", "localhost")
    port, proxied = freePorts(2)
    file = folder / "ejabberd.yml"
    file.write_text(_EJABBERD.format(port=port, proxied=proxied, cert=pair.cert, key=pair.key))
    # Erlang's schedulers wait without spinning: on a busy machine they would starve the threads they wait for.
    waiting = ["+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"]
    command = ["erl", *waiting, "-noinput", "-mnesia", "dir", f'"{folder}/spool"', "-s", "ejabberd"]
    environ = {
        "EJABBERD_CONFIG_PATH": str(file),
        "EJABBERD_LOG_PATH": str(folder / "ejabberd.log"),
        "ERL_LIBS": "/usr/lib/x86_64-linux-gnu",
        "HOME": str(folder),
    }
    with _run(folder, command, [port, proxied], **environ) as process:
        yield Server(folder, port, proxied, authority, process)


class Ended(Exception):
    """The WebSocket has been closed: its code."""


class Line:
    """A WebSocket of which nothing is read before it is asked for, and all that came then, whatever came after."""

    def __init__(self, url: str, source: str = "127.0.0.1") -> None:
        uri = parse_uri(url)
        self.socket = socket.create_connection(("127.0.0.1", uri.port), PATIENCE, source_address=(source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._protocol = ClientProtocol(uri, subprotocols=[Subprotocol("xmpp")], max_size=None)
        self._protocol.send_request(self._protocol.connect())
        self._events: deque[Any] = deque()
        self._parts: list[bytes] = []
        self._flush()
        assert isinstance(self._next(), Response)
        assert self._protocol.state is State.OPEN, self._protocol.handshake_exc

    def say(self, message: str | bytes) -> None:
        """Say it; whether the other side is gone is heard."""
        if self._protocol.state is State.OPEN:
            send = self._protocol.send_text if isinstance(message, str) else self._protocol.send_binary
            send(message.encode() if isinstance(message, str) else message)
            self._flush()

    def recv(self) -> str:
        """The next message. Raises Ended with the close's code."""
        while True:
            frame = self._next()
            if frame is None or frame.opcode is Opcode.CLOSE:
                raise Ended(1006 if frame is None else int.from_bytes(frame.data[:2], "big"))
            if frame.opcode in (Opcode.TEXT, Opcode.CONT):
                self._parts.append(frame.data)
                if frame.fin:
                    whole, self._parts = b"".join(self._parts), []
                    return whole.decode()

    def _next(self) -> Any:
        """The next event, None at the end."""
        while not self._events:
            try:
                data = self.socket.recv(65536)
            except ConnectionError:
                data = b""
            if not data:
                return None
            self._protocol.receive_data(data)
            self._flush()
            self._events += self._protocol.events_received()
        return self._events.popleft()

    def _flush(self) -> None:
        with suppress(ConnectionError):
            for data in self._protocol.data_to_send():
                if data:
                    self.socket.sendall(data)

    def close(self) -> None:
        """Without a word."""
        self.socket.close()


class Client:
    """A client that says one stanza after the other, and waits for what it is told."""

    def __init__(self, url: str, source: str = "127.0.0.1") -> None:
        self.line = Line(url, source)
        self.jid = ""
        self.handled = 0
        """Stanzas that have come since stream management began, where a test counts them."""

    def say(self, message: str | bytes) -> None:
        self.line.say(message)

    def hear(self) -> Element:
        """The next element. Raises Ended with the close's code."""
        return parse(self.line.recv().encode(), _LIMITS)

    def until(self, name: str, **attrs: str) -> Element:
        """The next element of that name with these attributes; others are passed over."""
        while True:
            element = self.hear()
            if element.name == name and all(element.get(key) == value for key, value in attrs.items()):
                return element

    def open(self, message: str = OPEN) -> Element:
        """The features."""
        self.say(message)
        return self.until("features")

    def ask(self, kind: str, payload: str, to: str = "", name: str = "q") -> Element:
        address = f" to='{to}'" if to else ""
        self.say(f"<iq xmlns='jabber:client' type='{kind}' id='{name}'{address}>{payload}</iq>")
        return self.until("iq", id=name)

    def register(self, user: str, password: str) -> Element:
        """In-band, before the login."""
        fields = f"<username>{user}</username><password>{password}</password>"
        return self.ask("set", f"<query xmlns='jabber:iq:register'>{fields}</query>", name="r")

    def authenticate(self, user: str, password: str, mechanism: str = "SCRAM-SHA-1") -> Element:
        scram = ScramClient([mechanism], user, password)
        first = b64encode(scram.get_client_first().encode()).decode()
        self.say(f"<auth xmlns='{SASL}' mechanism='{mechanism}'>{first}</auth>")
        answer = self.hear()
        if answer.name != "challenge":
            return answer
        scram.set_server_first(b64decode(answer.text).decode())
        self.say(f"<response xmlns='{SASL}'>{b64encode(scram.get_client_final().encode()).decode()}</response>")
        answer = self.hear()
        if answer.name == "success":
            scram.set_server_final(b64decode(answer.text).decode())
        return answer

    def bind(self, resource: str = "") -> Element:
        inner = f"<resource>{resource}</resource>" if resource else ""
        answer = self.ask("set", f"<bind xmlns='{BIND}'>{inner}</bind>", name="b")
        bound = answer.child(BIND, "bind")
        if bound is not None:
            self.jid = bound.textOf(BIND, "jid")
        return answer

    def login(self, user: str, password: str = "secret", resource: str = "", register: bool = False) -> Client:
        """Somebody who is there, unless that fails the test."""
        self.open()
        if register:
            assert self.register(user, password).get("type") == "result"
        assert self.authenticate(user, password).name == "success"
        self.open()
        assert self.bind(resource).get("type") == "result"
        return self

    def come(self) -> Client:
        """Be available."""
        self.say("<presence xmlns='jabber:client'/>")
        self.until("presence", **{"from": self.jid})
        return self

    def cut(self) -> None:
        """The connection is gone, without a close."""
        self.line.close()


def message(to: str, body: str, name: str = "m") -> str:
    return f"<message xmlns='jabber:client' type='chat' to='{to}' id='{name}'><body>{body}</body></message>"


def body(element: Element) -> str:
    return element.textOf("jabber:client", "body")
