"""The cells of the table: what is done to the servers in each, and what wsd is to reach there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from tests.bench.servers import Kind

PLAIN = Kind()


class Quantity(Enum):
    """What a cell measures of a server; the value is its unit."""

    cpu = "us"
    """Of the server's CPU a message, summed over its threads and children."""
    rate = "/s"
    """Opening handshakes in a second of the server's CPU."""
    memory = "KiB"
    """Resident, a connection."""
    p99 = "us p99"
    """From sending to having the answer, of 99 in 100 messages."""
    p999 = "us p99.9"
    """The same, of 999 in 1,000 messages. At a fixed rate, it counts from when a message was due."""
    wire = "B"
    """Bytes of payload on the wire, a message."""

    @property
    def isShare(self) -> bool:
        """Whether the table has wsd's share of the other's figure, where smaller is better."""
        return self in (Quantity.memory, Quantity.p99, Quantity.p999)


@dataclass(frozen=True)
class Load:
    """What the generator does: its options."""

    mode: str = "echo"
    size: int = 32
    kind: str = "text"
    connections: int = 100
    depth: int = 1
    idle: int = 0
    flood: int = 0
    messages: int = 0
    rate: int = 80
    plain: bool = False
    takeover: bool = False

    def options(self) -> list[str]:
        """As the generator takes them."""
        options = [f"--{name}={value}" for name, value in vars(self).items() if not isinstance(value, bool)]
        return [*options, *(f"--{name}" for name, value in vars(self).items() if value is True)]


@dataclass(frozen=True)
class Target:
    """How `subject`'s figure must stand to that of the best of a group: so many times as good, or at most so much."""

    against: str
    limit: float
    atMost: bool = False
    subject: str = ""
    """"" is the cell's own subject."""
    quantity: Quantity | None = None
    """None is the cell's own."""


@dataclass(frozen=True)
class Cell:
    """One measurement of several servers, one of which is ours: the `subject`."""

    name: str
    load: Load
    targets: tuple[Target, ...]
    quantity: Quantity = Quantity.cpu
    kind: Kind = PLAIN
    subject: str = "wsd"
    servers: tuple[str, ...] = ()
    """The peers, and what else of ours is measured beside the subject."""

    def loadOf(self, name: str) -> Load:
        """What is done to this one; "wsd alone" has no other connections beside it."""
        return replace(self.load, idle=0, flood=0) if name == ALONE else self.load


ALONE = "wsd-alone"
"""wsd itself, as another entrant of a cell: without the other connections."""
ZLIB = "zlib"
"""No server: the same messages by zlib at level 6."""

GROUPS = {
    "autobahn": ("autobahn",),
    "websockets": ("websockets", "websockets-uvloop"),
    "aiohttp": ("aiohttp", "aiohttp-uvloop"),
    "node": ("node",),
    "picows": ("picows",),
    "uvloop": ("raw-uvloop",),
    "native": ("native",),
}
"""Whom a target names -> the servers of which the best counts. A name that is not here is a server's own."""

_WEBSOCKET = ("autobahn", "websockets", "websockets-uvloop", "aiohttp", "aiohttp-uvloop", "node", "picows")
NATIVE = "native"
"""A server that the caller names; it is measured in cells without TLS."""
_RAW = ("raw-twisted", "raw-uvloop", NATIVE)
_COMPRESSING = (*_WEBSOCKET[:-1], NATIVE)
_BROADCASTING = ("autobahn", "websockets", "websockets-uvloop", "node", "picows")
_ENTRY = Target("wsd", 1.2, atMost=True, subject="wsd-entry")


def _atLeast(
    autobahn: float,
    websockets: float,
    node: float,
    picows: float | None = None,
    uvloop: float | None = None,
    native: float | None = None,
    aiohttp: float | None = None,
) -> tuple[Target, ...]:
    limits = vars().copy()
    return tuple(Target(name, limit) for name, limit in limits.items() if limit is not None)


def _small(name: str, load: Load, targets: tuple[Target, ...], kind: Kind = PLAIN, peers: tuple[str, ...] = ()) -> Cell:
    """A cell that another package's protocol is measured in, too."""
    return Cell(name, load, (*targets, _ENTRY), kind=kind, servers=("wsd-entry", *(peers or _WEBSOCKET)))


_TLS = Kind(tls=True)
_DEFLATE = Kind(deflate=True)
_UTF8 = Load(size=1024, kind="utf8")
_CANVAS = Load(size=512_000, kind="binary")

CELLS = (
    _small("32 B x1", Load(connections=1), (Target("picows", 1), Target(NATIVE, 0.9)), peers=_WEBSOCKET + _RAW),
    _small("32 B x100", Load(), _atLeast(8, 4, 1.7, 1.25, 0.85, 0.85), peers=_WEBSOCKET + _RAW),
    _small("32 B x100, depth 10", Load(depth=10), _atLeast(20, 15, 5, 7, 0.55, 0.8), peers=_WEBSOCKET + _RAW),
    _small("1 KiB x100", Load(size=1024), _atLeast(8, 4, 2, 1.5, 0.8, 0.85), peers=_WEBSOCKET + _RAW),
    _small("1 KiB non-ASCII x100", _UTF8, _atLeast(6, 3, 1.1, 0.8, 0.6), peers=_WEBSOCKET + _RAW),
    Cell(
        "64 KiB x100",
        Load(size=65536, kind="binary"),
        _atLeast(3.5, 2, 2.5, 1.4, 0.65),
        servers=_WEBSOCKET + _RAW,
    ),
    Cell(
        "512,000 B x1",
        replace(_CANVAS, connections=1),
        _atLeast(3.5, 1.6, 1.4, 1.4, 0.7),
        servers=_WEBSOCKET + _RAW,
    ),
    Cell("512,000 B x100", _CANVAS, _atLeast(3.5, 1.6, 1.4, 1.4, 0.7), servers=_WEBSOCKET + _RAW),
    Cell(
        "16 MiB x1",
        Load(size=16 << 20, kind="binary", connections=1),
        _atLeast(2.8, 2, 1.2, 1.1, 0.65),
        servers=_WEBSOCKET + _RAW,
    ),
    _small(
        "deflate 1 KiB JSON x100",
        Load(size=1024, kind="json"),
        (
            *_atLeast(4, 2, 4, aiohttp=1.8),
            Target(ZLIB, 1.12, atMost=True, quantity=Quantity.wire),
        ),
        _DEFLATE,
        _COMPRESSING,
    ),
    _small("deflate 100 B JSON x100", Load(size=100, kind="json"), (), _DEFLATE, _COMPRESSING),
    _small(
        "deflate 1 KiB JSON x100, one stream",
        Load(size=1024, kind="json", takeover=True),
        (Target(ZLIB, 1.12, atMost=True, quantity=Quantity.wire),),
        _DEFLATE,
        _COMPRESSING,
    ),
    _small("deflate negotiated, 32 B x100 sent plain", Load(plain=True), _atLeast(6, 3, 1.3), _DEFLATE, _COMPRESSING),
    _small("wss 32 B x100", Load(), _atLeast(6, 2.5, 1.2, 1.1), _TLS),
    _small("wss 1 KiB x100", Load(size=1024), _atLeast(6, 2.5, 1.2, 1.1), _TLS),
    Cell(
        "wss 64 KiB x20",
        Load(size=65536, kind="binary", connections=20),
        _atLeast(2, 1.1, 1, 1.05),
        kind=_TLS,
        servers=_WEBSOCKET,
    ),
    Cell("pure Python, 32 B x100", Load(), _atLeast(4, 2, 0.9, 0.55), subject="wsd-python", servers=_WEBSOCKET),
    Cell(
        "pure Python, 32 B x100, depth 10",
        Load(depth=10),
        _atLeast(8, 6, 2, 1.4),
        subject="wsd-python",
        servers=_WEBSOCKET,
    ),
    Cell(
        "handshakes",
        Load("handshakes", connections=50),
        _atLeast(4.5, 4, 0.7, 1.15, native=0.25),
        Quantity.rate,
        servers=(*_WEBSOCKET, NATIVE),
    ),
    Cell(
        "wss handshakes",
        Load("handshakes", connections=50),
        _atLeast(2, 1.5, 0.9, 1),
        Quantity.rate,
        _TLS,
        servers=_WEBSOCKET,
    ),
    Cell(
        "fan-out of 1 KiB to 1,000",
        Load("fanout", size=1024, kind="binary", connections=1000),
        _atLeast(2.8, 1.3, 1.05, 1.1),
        kind=Kind(fanout=True),
        servers=_BROADCASTING,
    ),
    Cell(
        "topic: fan-out of 1 KiB to 1,000",
        Load("fanout", size=1024, connections=1000),
        (*_atLeast(2, 1.4, 1.2, 1), Target("topics", 1.15, atMost=True, subject="topics-enveloped")),
        kind=Kind(fanout=True),
        subject="topics",
        servers=("topics-enveloped", *_BROADCASTING),
    ),
    Cell(
        "10,000 messages a second over 1,000",
        Load("paced", connections=1000, rate=10_000),
        (Target("picows", 1, atMost=True), Target("autobahn", 0.5, atMost=True)),
        Quantity.p999,
        servers=(*_WEBSOCKET, NATIVE),
    ),
    Cell(
        "32 B x100, two workers on one core",
        Load(),
        (Target("wsd", 1.1, atMost=True, subject="wsd-workers"),),
        servers=("wsd-workers",),
    ),
    Cell(
        "32 B x100 among 10,000 open",
        Load(idle=10_000),
        (Target(ALONE, 1.3, atMost=True),),
        servers=(ALONE,),
    ),
    Cell(
        "32 B x100 beside a flood",
        Load(flood=1000),
        (Target(ALONE, 3, atMost=True),),
        Quantity.p99,
        servers=(ALONE,),
    ),
    Cell(
        "idle connection",
        Load("hold", connections=5000),
        (
            Target("autobahn", 0.4, atMost=True),
            Target("websockets", 0.75, atMost=True),
            Target("node", 1.3, atMost=True),
            Target("picows", 0.15, atMost=True),
        ),
        Quantity.memory,
        servers=_WEBSOCKET,
    ),
    Cell(
        "idle connection, deflate, after ten messages",
        Load("hold", size=1024, kind="json", connections=2000, messages=10),
        (Target("websockets", 0.5, atMost=True),),
        Quantity.memory,
        _DEFLATE,
        servers=_COMPRESSING,
    ),
)
