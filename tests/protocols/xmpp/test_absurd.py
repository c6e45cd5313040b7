"""Any well-formed stanza is answered or refused: nothing raises, and nothing is left when all have gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, globalLogPublisher
from zope.interface import implementer

from tests.protocols.xmpp.absurd import SM, Absurd
from tests.protocols.xmpp.talk import CLOSE, OPEN, Host, Talker
from wsd.protocols.xmpp.stream import StreamState

USERS = ("alice", "bob", "carol")
STEPS = 200


@pytest.fixture
def failures() -> Iterator[list[str]]:
    """The logged events with a traceback."""
    logged: list[str] = []

    @implementer(ILogObserver)
    def observe(event: Any) -> None:
        if event.get("log_failure") is not None:
            logged.append(event["log_failure"].getTraceback())

    globalLogPublisher.addObserver(observe)
    yield logged
    globalLogPublisher.removeObserver(observe)


class Crowd:
    """Clients that send nonsense, come, go and lose their connections."""

    def __init__(self, host: Host, seed: int, failures: list[str]) -> None:
        self.host = host
        self.absurd = Absurd(seed)
        self.random = self.absurd.random
        self.failures = failures
        self.talkers: list[Talker] = []

    def step(self) -> None:
        self.talkers = [talker for talker in self.talkers if talker.wire.stream.state is StreamState.BOUND]
        self.absurd.there = [talker.jid for talker in self.talkers]
        chance = self.random.random()
        if chance < 0.02 or len(self.talkers) < 4:
            self.come()
        elif chance < 0.04:
            self.random.choice(self.talkers).lose()
        elif chance < 0.05:
            self.host.pass_(self.random.choice((0, 1, 60, 400)))
        elif chance < 0.07:
            self.resume()
        elif chance < 0.08:
            talker = self.random.choice(self.talkers)
            talker.wire.frozen = not talker.wire.frozen
        elif chance < 0.1:
            self.host.pool.slow = True
        elif chance < 0.13:
            self.host.pool.catchUp()
        else:
            self.say(self.random.choice(self.talkers), self.absurd.stanza())
        for talker in self.talkers:
            talker.heard()

    def say(self, talker: Talker, stanza: str) -> None:
        rest = talker.wire.stream.received(stanza.encode())
        if isinstance(rest, Deferred):
            rest.addErrback(lambda failure: self.failures.append(f"{stanza}\n{failure.getTraceback()}"))

    def come(self) -> None:
        self.host.pool.catchUp()
        user = self.random.choice((*USERS, ""))
        talker = self.host.connect()
        talker.say(OPEN)
        talker.authenticate(user, "PLAIN" if user else "ANONYMOUS", user)
        talker.say(OPEN)
        if talker.bind(self.random.choice(("", "one", "two"))).get("type") == "result":
            self.talkers.append(talker)

    def resume(self) -> None:
        self.host.pool.catchUp()
        for resumeId, session in list(self.host.server.resumption.sessions.items())[:1]:
            user = session.user.bare.partition("@")[0]
            talker = self.host.connect()
            talker.say(OPEN)
            talker.authenticate(user, "PLAIN", user)
            talker.say(OPEN)
            talker.say(f"<resume xmlns='{SM}' previd='{resumeId}' h='{self.random.choice((0, 0, 1, 99))}'/>")
            talker.jid = session.jid
            self.talkers.append(talker)

    def leave(self) -> None:
        self.host.pool.catchUp()
        for talker in self.talkers:
            talker.say(CLOSE)
        self.host.pass_(1)
        self.host.pass_(400)


@pytest.mark.parametrize("seed", range(8))
def test_nothing_raises_and_nothing_is_left(tmp_path: Path, failures: list[str], seed: int) -> None:
    keys = (seed % 2, seed % 3)
    host = Host(
        tmp_path,
        *USERS,
        register=True,
        unacknowledged=(5, 1_000)[keys[0]],
        offline=(1_000, 2)[keys[0]],
        history=(0, 3, 50)[keys[1]],
        contacts=(1_000, 2, 50)[keys[1]],
        sessions=20,
    )
    crowd = Crowd(host, seed, failures)
    for _ in range(STEPS):
        crowd.step()
    crowd.leave()
    server = host.server
    assert failures == []
    assert [user.bare for user in server.accounts.users.values() if user.sessions] == []
    assert server.rooms is not None
    assert [room.occupants for room in server.rooms.rooms.values() if room.occupants] == []
    assert (server.sessionMemory.total, server.sessionMemory.held("127.0.0.1")) == (0, 0)
    assert server.roomMemory.total == sum(room.size for room in server.rooms.rooms.values())
