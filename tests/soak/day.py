"""
A mixed day in twenty minutes: all protocols at once, with clients that come, go, stall and break, and an operator.

The operator reloads the daemon with changed limits and routes, and with another certificate. In the end everything that
was acknowledged must be there.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import ssl
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.certificates import Authority
from tests.daemon import RunningDaemon, runningDaemon
from tests.ports import freePorts
from tests.soak.actors import ACTORS, PATIENCE, TOPICS, Actor, World, expect, loaded
from tests.soak.attacks import MIB
from tests.soak.chat import USERS, Chat
from tests.soak.crowd import troubles
from tests.soak.table import Line

SECONDS = 1200.0
GROWTH = 32 * MIB
"""Bytes by which the memory at the end may be more than after the first minutes."""
FIRST = (0.15, 0.25)
"""The part of the time with which the end is compared."""
RELOADS = 40
"""In all the time; every fourth one with another certificate."""
_MOST_FAULTS = 1000

_CONFIG = """
host = "127.0.0.1"
port = {port}
handlers = "{folder}/handlers"
[tls]
port = {tlsPort}
[[tls.certificate]]
cert = "{folder}/localhost{certificate}.crt"
key = "{folder}/localhost{certificate}.key"
[policies]
max_connections_per_address = 20000
ping_interval = {interval}.0
[route."/topics/*"]
backend = "file"
history_count = 1000000
history_size = "64 MiB"
history_age = 86400
[route."/xmpp"]
register = true
offline = 100000
[route."/blob"]
quota = 0
[route."/number{number}"]
protocol = "echo"
"""
_HANDLER = """
def web_socket_do_extra_handshake(request):
    pass

async def web_socket_transfer_data(request):
    async for message in request.ws_stream:
        await request.ws_stream.send_message(message)
"""
_BLOCKING = """
def web_socket_do_extra_handshake(request):
    pass

def web_socket_transfer_data(request):
    while (message := request.ws_stream.receive_message()) is not None:
        request.ws_stream.send_message(message)
"""


@dataclass
class Outcome:
    """What has happened on a day."""

    visits: Counter[str] = field(default_factory=Counter)
    reloads: int = 0
    certificates: int = 0
    faults: list[str] = field(default_factory=list)
    samples: list[tuple[float, int]] = field(default_factory=list)
    """Seconds, and resident bytes."""
    kept: str = ""
    """How much was acknowledged, and found in the end."""

    def growth(self, seconds: float) -> int:
        """Bytes by which the memory at the end is more than after the first minutes."""
        first = [size for at, size in self.samples if FIRST[0] * seconds <= at <= FIRST[1] * seconds]
        last = [size for at, size in self.samples if at >= 0.95 * seconds]
        return int(statistics.fmean(last) - statistics.fmean(first))


def run(seconds: float = SECONDS, seed: int | None = None) -> Line:
    """The row."""
    return judged(whole(seconds, seed), seconds)


def judged(outcome: Outcome, seconds: float) -> Line:
    """The row of an outcome."""
    growth = outcome.growth(seconds)
    broken = list(dict.fromkeys(outcome.faults))[:3]
    if growth > GROWTH:
        broken.append(f"{growth / MIB:.0f} MiB of memory more than after the first minutes")
    return Line(
        "day",
        f"A mixed day in {seconds / 60:g} min: all protocols at once, clients that come, go, stall and break, reloads "
        "and other certificates",
        f"{outcome.visits.total():,} visits of {len(outcome.visits)} kinds, {outcome.reloads} reloads, "
        f"{outcome.certificates} certificates; {len(outcome.faults)} errors; {outcome.kept}; "
        f"{outcome.samples[-1][1] / MIB:.0f} MiB, {growth / MIB:+.1f} MiB since the first minutes",
        f"no unexpected error, none in the log, all that was acknowledged is there, {GROWTH / MIB:.0f} MiB more",
        tuple(broken),
    )


def whole(seconds: float, seed: int | None = None) -> Outcome:
    """Live a day."""
    with dayDaemon() as (daemon, operator):
        daemon.port("wss")
        world = operator.world(random.Random(seed))
        outcome = Outcome()
        asyncio.run(_live(world, operator, daemon, seconds, outcome))
        outcome.faults += troubles(daemon)
    return outcome


class Operator:
    """Who changes the configuration and the certificate, and reloads."""

    def __init__(self, folder: Path) -> None:
        self.ports = freePorts(2)
        self._folder = folder
        self._authority = Authority(folder)
        self._reloads = 0
        self._certificates = 0
        handlers = folder / "handlers"
        handlers.mkdir()
        (handlers / "echoes_wsh.py").write_text(_HANDLER, "utf-8")
        (handlers / "blocks_wsh.py").write_text(_BLOCKING, "utf-8")
        self._certify()

    def world(self, chosen: random.Random) -> World:
        """What the clients know."""
        trusted = ssl.create_default_context(cafile=str(self._authority.path))
        port, tlsPort = self.ports
        return World(port, tlsPort, trusted, chosen, Chat())

    def config(self) -> str:
        """Another one each time."""
        number = self._reloads
        return _CONFIG.format(
            folder=self._folder,
            port=self.ports[0],
            tlsPort=self.ports[1],
            certificate=self._certificates,
            interval=20 + number % 5,
            number=number,
        )

    def _certify(self) -> None:
        self._certificates += 1
        self._authority.server(f"localhost{self._certificates}", "localhost")

    def reload(self, daemon: RunningDaemon, outcome: Outcome) -> None:
        """Reload once. Every fourth time the certificate is another one, and the next handshake must show it."""
        self._reloads += 1
        isNew = self._reloads % 4 == 0
        if isNew:
            self._certify()
        (daemon.folder / "wsd.toml").write_text(self.config(), "utf-8")
        since = len(daemon.lines)
        daemon.process.send_signal(signal.SIGHUP)
        daemon.waitFor("reloaded, changed: ", since)
        outcome.reloads += 1
        if isNew:
            shown = ssl.get_server_certificate(("localhost", self.ports[1]), timeout=PATIENCE)
            wanted = (self._folder / f"localhost{self._certificates}.crt").read_text("utf-8")
            expect(shown.split() == wanted.split(), "the certificate is not the new one")
            outcome.certificates += 1


async def _live(world: World, operator: Operator, daemon: RunningDaemon, seconds: float, outcome: Outcome) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(64))
    await asyncio.to_thread(world.chat.begin, f"ws://localhost:{world.port}/xmpp")
    began = time.monotonic()
    end = began + seconds

    def sample() -> None:
        outcome.samples.append((time.monotonic() - began, daemon.memory))

    async def reload(_: World) -> None:
        await asyncio.sleep(max(1.0, seconds / RELOADS))
        await asyncio.to_thread(operator.reload, daemon, outcome)

    repeated = [
        _repeated(name, actor, world, end, outcome) for name, (actor, count) in ACTORS.items() for _ in range(count)
    ]
    watched = [_repeated("", reload, world, end, outcome), _sampled(sample, min(1.0, seconds / 100), end)]
    await asyncio.gather(*repeated, *watched)
    try:
        outcome.kept = await _kept(world, outcome)
    except Exception as error:
        outcome.faults.append(f"in the end: {type(error).__name__}: {error}")


async def _repeated(name: str, actor: Actor, world: World, end: float, outcome: Outcome) -> None:
    """Let one visit after the other, until the day is over."""
    while time.monotonic() < end and len(outcome.faults) < _MOST_FAULTS:
        try:
            async with asyncio.timeout(2 * PATIENCE):
                await actor(world)
        except Exception as error:
            outcome.faults.append(f"{name}: {type(error).__name__}: {error}")
        if name:
            outcome.visits[name] += 1
            await asyncio.sleep(world.random.uniform(0.1, 2.0))


async def _sampled(sample: Callable[[], None], pause: float, end: float) -> None:
    while time.monotonic() < end:
        sample()
        await asyncio.sleep(pause)


async def _kept(world: World, outcome: Outcome) -> str:
    """See whether everything is there that was acknowledged. Returns how much it was."""
    for name, digest in world.files.items():
        if sha256(await world.fetch(f"/blob/{name}")).hexdigest() != digest:
            outcome.faults.append(f"the file {name} is another one")
    for topic in TOPICS:
        found = json.loads(await world.fetch(f"/topics/{topic}?history=1000000"))["history"]
        kept = {each["position"]: each["text"] for each in found}
        if not world.published[topic].items() <= kept.items():
            outcome.faults.append(f"messages to {topic} are lost")
    for name in sorted({name for name, _ in world.edits}):
        async with world.open(f"/yjs/{name}") as client:
            entries = (await loaded(client))["entries"]
        wanted = {key: value for (document, key), value in world.edits.items() if document == name}
        if any(entries[key] != value for key, value in wanted.items()):
            outcome.faults.append(f"edits of {name} are lost")
    for user in range(USERS):
        await asyncio.to_thread(world.chat.read, f"ws://localhost:{world.port}/xmpp", user)
    if world.chat.missing():
        outcome.faults.append(f"{world.chat.missing()} messages of the chat are lost")
    published = sum(map(len, world.published.values()))
    talked = sum(map(len, world.chat.acknowledged))
    return f"{len(world.files):,} files, {published:,} publishes, {len(world.edits):,} edits, {talked:,} stanzas kept"


@contextmanager
def dayDaemon() -> Iterator[tuple[RunningDaemon, Operator]]:
    """The daemon of a day, and who operates it."""
    with TemporaryDirectory(prefix="wsd-day-") as folder:
        operator = Operator(Path(folder))
        with runningDaemon(config=operator.config(), mayHold=True) as daemon:
            yield daemon, operator
