"""The schema of the configuration: each dataclass is a table of the file, each field a key with its default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from wsd.config import fields
from wsd.config.auth import Auth
from wsd.config.subjects import subject
from wsd.config.traces import Traces
from wsd.config.values import KIB, MIB, endpoint, hostName, network, origin, proxy, token


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """Limits of a connection, fixed when it opens. A route's table may override all except the last eleven."""

    max_message: int = fields.size(MIB)
    """Bytes of a received message, after inflating; a larger one closes with 1009."""
    max_frame: int = fields.size(0, least=0)
    """Bytes of one received frame, by the length in its header, before inflating; 0 means the same as `max_message`."""
    opening_timeout: float = fields.seconds(10.0)
    """Seconds from connecting to the end of the request head, and again from there to the answer."""
    closing_timeout: float = fields.seconds(5.0)
    """Seconds for the closing handshake, then the connection is dropped."""
    http_idle_timeout: float = fields.seconds(60.0)
    """Seconds for which an HTTP connection may be idle between two requests."""
    http_body_timeout: float = fields.seconds(20.0)
    """The longest wait for the next bytes of a request's body, in seconds."""
    http_body_rate: int = fields.size(KIB, least=0)
    """The lowest average rate of a request's body in bytes a second, after the first `http_body_timeout`."""
    ping_interval: float = fields.seconds(25.0, least=0)
    """Seconds between pings; 0 sends none."""
    ping_timeout: float = fields.seconds(20.0)
    """Seconds after a ping in which something must arrive, else the connection is dropped."""
    high_water: int = fields.size(MIB)
    """Unsent bytes at which a connection is full; an echo then stops reading."""
    low_water: int = fields.size(256 * KIB, least=0)
    """Unsent bytes below which a full connection is drained again."""
    max_unsent: int = fields.size(64 * MIB)
    """Unsent bytes at which a connection is dropped; at least `high_water` plus `max_message`."""
    stall_timeout: float = fields.seconds(60.0)
    """Seconds in which a peer must take at least one of the unsent bytes, else it is dropped."""
    close_id: bool = True
    """Whether the reason of a close frame that the daemon sends first ends with the connection's id."""
    deflate: bool = True
    """Whether permessage-deflate (RFC 7692) is agreed to when it is offered."""
    deflate_level: int = fields.count(6, "1 to 9", 1, 9)
    """How hard to compress, 1 (fast) to 9 (small); `wsd.frames.libraries` chooses the library."""
    deflate_memory: int = fields.count(8, "1 to 9", 1, 9)
    """Memory for compressing, 1 to 9: 2 ** (this + 9) bytes beside the window; igzip ignores it."""
    messages_per_second: int = fields.count(0, "messages", 0)
    """Messages and pings a second that one connection may send, 0 for any number."""
    bytes_per_second: int = fields.size(0, least=0)
    """Bytes of messages a second, after inflating, that one connection may send, 0 for any number."""
    over_rate: str = fields.choice("wait", "close")
    """What happens to a client that sends more: reading waits, or the connection is closed with 1008."""
    memory_max: int = fields.memory()
    """Bytes held for all clients together; above it, those that hold memory without progress are closed first."""
    memory_per_connection: float = fields.share(0.25)
    """The share of `memory_max` that one WebSocket may hold."""
    memory_per_address: float = fields.share(0.5)
    """The share that the WebSockets of one address (a /64 of IPv6) may hold; clients on this machine are exempt."""
    max_connections: int = fields.count(20000, "connections", 1, daemon=True)
    """Connections at one time, including HTTP."""
    max_connections_per_address: int = fields.count(1000, "connections", 1, daemon=True)
    """Connections at one time from one address (a /64 of IPv6); clients on this machine are exempt."""
    handshakes_per_second: int = fields.count(100, "handshakes", 0, daemon=True)
    """Opening handshakes a second from one address, 0 for any number; clients on this machine are exempt."""
    max_connections_per_user: int = fields.count(0, "connections", 0, daemon=True)
    """WebSockets at one time of one user, 0 for any number."""
    messages_per_second_per_address: int = fields.count(0, "messages", 0, daemon=True)
    """Messages and pings a second from one address, 0 for any number; clients on this machine are exempt."""
    bytes_per_second_per_address: int = fields.size(0, least=0, daemon=True)
    """Bytes of messages a second from one address, 0 for any number; clients on this machine are exempt."""
    messages_per_second_per_user: int = fields.count(0, "messages", 0, daemon=True)
    """Messages and pings a second of one user, 0 for any number."""
    bytes_per_second_per_user: int = fields.size(0, least=0, daemon=True)
    """Bytes of messages a second of one user, 0 for any number."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A [[tls.certificate]]: two PEM files. Without `key`, the key is in the certificate's file."""

    cert: str = fields.path()
    key: str = fields.path()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """[tls]: wss and https."""

    port: int | None = fields.port(None)
    """A port for TLS on each of `host`; 0 takes a free one, None opens none."""
    listen: tuple[str, ...] = fields.strings(each=endpoint)
    """Twisted endpoint strings to listen at with TLS."""
    self_signed: bool = False
    """Whether to use a certificate for localhost that is made on demand and kept in the state folder."""
    certificate: tuple[Certificate, ...] = ()
    """The certificates; the first one answers clients that ask for another name, or for none."""
    client_ca: str | None = fields.path()
    """A PEM file of the authorities that clients' certificates are checked against."""
    client_crl: str | None = fields.path()
    """A PEM file with a revocation list (CRL) of each of those authorities."""
    client_auth: str = fields.choice("none", "optional", "required")
    """Whether clients are asked for a certificate, and refused without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """[log]: how the log is written."""

    format: str = fields.choice("text", "json", "journal")
    """Lines for people, one JSON object a line, or entries of systemd's journal with their fields."""
    level: str = field(default="info", metadata={"choices": ("debug", "info", "warn", "error")})
    """The least level that is written."""
    file: str | None = fields.path()
    """A file to append to; without it, the log goes where that of twistd or twist goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLog:
    """[access]: the access lines, one at the end of each connection and HTTP request."""

    enabled: bool = True
    """Whether they are written."""
    file: str | None = fields.path()
    """A file of their own to append to; without it, they are in the log."""
    format: str | None = field(default=None, metadata={"choices": ("text", "json", "journal")})
    """The format of the file, or "journal" instead of a file; None: that of the log."""
    sample: float = field(default=1.0, metadata={"unit": "share", "least": 0, "most": 1})
    """The share of connections and requests without a failure of which there are lines."""
    per_minute: int = fields.count(6000, "lines", least=0)
    """The most lines in a minute that clients can cause, 0 for no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """[control]: the unix socket that `wsd ctl` uses."""

    enabled: bool = True
    """Whether there is one."""
    path: str | None = fields.path()
    """The socket; None for control.sock in the runtime folder, else in the state folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uses:
    """[uses]: pages that show what wsd is used for."""

    enabled: bool | None = None
    """Whether the pages and their routes exist; None: if only this machine can reach the daemon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A [route."/path"]: its protocol, who may connect, and its policies."""

    path: str
    """The path; for a prefix ("/x/*") without the "/*"."""
    prefix: bool = False
    """Whether all paths below it belong to the route too."""
    protocol: Mapping[str, str] = field(default_factory=dict)
    """Names of protocols by subprotocol; "" answers when no subprotocol is chosen. Empty if there is a `single`."""
    single: str | None = None
    """The name of the only protocol; None if the subprotocol decides."""
    subprotocols: tuple[str, ...] | None = field(default=None, metadata={"each": token})
    """The subprotocols, in the server's order of preference; None leaves them to the protocol."""
    prefer: str = fields.choice("client", "server")
    """Whose order of preference decides among the subprotocols in common."""
    require_subprotocol: bool = False
    """Whether a client without a subprotocol in common is refused (400)."""
    origins: tuple[str, ...] = fields.strings("same-host", each=origin)
    """The origins that may open it: "same-host", "null", "*", or whole origins."""
    clients: tuple[str, ...] = fields.strings(each=subject)
    """The subjects of client certificates that may open it; if empty, no certificate is needed."""
    options: Mapping[str, object] = field(default_factory=dict)
    """Instances of the protocols' Options, by the name of the protocol."""
    policies: Policies = Policies()
    """The daemon's policies, as the route overrides them."""
    auth: Auth = field(default_factory=Auth)
    """The daemon's methods of authentication, as the route overrides them."""
    builtIn: bool = field(default=False, compare=False)
    """Whether it is a built-in route that nobody configured."""
    code: Mapping[str, int] = field(default_factory=dict)
    """References to its Python code, each with a version: a reload replaces the route if the code has changed."""

    @property
    def table(self) -> str:
        """The name of its table in the file, for messages."""
        return f'route."{self.path}/*"' if self.prefix else f'route."{self.path}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole configuration."""

    port: int | None = fields.port(9998)
    """The port on each of `host`; 0 takes a free one, None (false in the file) opens none."""
    host: tuple[str, ...] = fields.strings("127.0.0.1", "::1")
    """The addresses to listen on."""
    listen: tuple[str, ...] = fields.strings(each=endpoint)
    """Twisted endpoint strings to listen at. If there are any, `port` counts only if it is given too."""
    hosts: tuple[str, ...] = fields.strings("localhost", "127.0.0.1", "[::1]", each=hostName)
    """The hosts that a request may name: a whole name, "*.NAME" for every name under NAME, or "*" for any."""
    trusted_proxies: tuple[str, ...] = fields.strings(each=proxy)
    """The proxies whose word on the client's address is trusted: addresses, networks, or "unix"."""
    proxy_header: str = fields.choice("x-forwarded-for", "forwarded")
    """The header in which trusted proxies send the client's address; the other one is ignored."""
    proxy_protocol: bool = False
    """Whether the trusted proxies begin each connection with a PROXY header; a `listen` string may override it."""
    metrics_allow: tuple[str, ...] = fields.strings(each=network)
    """Addresses and networks that may read /metrics; direct loopback peers always may."""
    frames: str = fields.choice("auto", "_fast", "fast", "plain")
    """The plane that reads and writes frames: the fastest one ("auto"), or the one of this name in `wsd.frames`."""
    workers: int = fields.workers()
    """The processes that serve as one daemon; "auto" means one for each core that this process may use."""
    drain: float = fields.seconds(20.0, least=0)
    """Seconds for finishing pending answers when the daemon stops, before all connections are closed."""
    built_in: bool = True
    """Whether the routes of `wsd.config.routes.BUILT_IN` exist without being named in the file."""
    handlers: str | None = fields.path()
    """A folder of pywebsocket handlers. Each answers at its path, and replaces a built-in route of that path."""
    handlers_strict: bool = False
    """Whether the daemon does not start if a handler cannot be loaded; otherwise that is a warning."""
    policies: Policies = Policies()
    auth: Auth = field(default_factory=Auth)
    tls: Tls = Tls()
    log: Log = Log()
    access: AccessLog = AccessLog()
    traces: Traces = field(default_factory=Traces)
    control: Control = Control()
    uses: Uses = Uses()
    routes: Mapping[str, Route] = field(default_factory=dict)
    """The routes by their keys as written: "/echo", "/x/*"."""
