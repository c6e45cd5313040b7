"""Whatever state a connection is in when its client goes: nothing of it is left, and at once."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator

import pytest

from tests.connection.test_bad_frames import frame
from tests.web.test_channel import Later
from tests.web.test_door import daemon, get, upgrade
from tests.wire import Daemon, Wire
from wsd.config import Policies

MIB = 1024 * 1024

STATES: dict[str, Callable[[Wire], object]] = {
    "new": lambda wire: None,
    "in the middle of a head": lambda wire: wire.exchange(get()[:9]),
    "after an answer": lambda wire: wire.exchange(get()),
    "before an answer": lambda wire: wire.exchange(get(b"/later")),
    "in the middle of a body": lambda wire: wire.exchange(
        b"POST /every HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nbody"
    ),
    "turned away": lambda wire: wire.exchange(b"nonsense\r\n\r\n"),
    "refused by its protocol": lambda wire: wire.exchange(upgrade(b"/every?wish=refuse")),
    "opening": lambda wire: wire.exchange(upgrade(b"/every?wish=wait")),
    "raw": lambda wire: wire.exchange(upgrade(b"/every?wish=raw")),
    "open": lambda wire: wire.exchange(upgrade()),
    "open after a request": lambda wire: wire.exchange(get() + upgrade()),
    "in the middle of a frame": lambda wire: wire.exchange(upgrade() + frame(0x82, b"whole")[:8]),
    "held": lambda wire: wire.exchange(upgrade(b"/every") + frame(0x81, b"hold") + frame(0x81, b"more")),
    "full": lambda wire: (wire.exchange(upgrade()), wire.push(frame(0x82, bytes(MIB)) * 20)),
    "in the middle of a compressed message": lambda wire: wire.exchange(
        upgrade(b"/every", b"Sec-WebSocket-Extensions: permessage-deflate")
        + frame(0xC2, bytes.fromhex("f248cdc9c90700"))
        + frame(0x42, bytes.fromhex("f248"))
    ),
    "closing": lambda wire: wire.exchange(upgrade(b"/every") + frame(0x81, b"close 4000")),
    "failed": lambda wire: wire.exchange(upgrade() + b"\xff\xff"),
    "closed": lambda wire: wire.exchange(upgrade() + frame(0x88)),
}


@pytest.fixture
def without_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def gone(ours: Daemon) -> bool:
    ours.reactor.advance(0)
    ours.factories["/every"].opened.clear()
    return not ours.site.doors and not ours.connections and not ours.admission.connections


@pytest.mark.parametrize("state", STATES)
class TestAClientThatGoes:
    def serving(self) -> Daemon:
        ours = daemon(policies=Policies(max_message=4 * MIB, ping_interval=25))
        self.later = Later()
        ours.site.pages["/later"] = self.later
        return ours

    def test_leaves_nothing_behind(self, state: str, without_collection: None) -> None:
        ours = self.serving()
        for _ in range(5):
            wire = ours.connect()
            STATES[state](wire)
            kept = [weakref.ref(wire.door), *map(weakref.ref, ours.connections)]
            if state == "held":
                # What is not read is not known to have ended either.
                ours.connections[0].release()
            wire.close()
            if state == "before an answer":
                # It may have ended its half only, until something is sent to it.
                self.later.requests.pop().finish()
                wire.serve()
            assert gone(ours)
            del wire
        assert ours.timer._buckets == {}
        if state not in ("before an answer", "raw", "opening"):
            assert [reference() for reference in kept] == [None] * len(kept)

    def test_by_a_reset_too(self, state: str) -> None:
        ours = self.serving()
        wire = ours.connect()
        STATES[state](wire)
        wire.transport.abortConnection()
        assert gone(ours)
        assert ours.timer._buckets == {}
