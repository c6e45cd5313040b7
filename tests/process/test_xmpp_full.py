"""The embedded server has no room to write, and then has some again: it loses nothing, and nobody restarts it."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from tests.daemon import RunningDaemon, runningDaemon
from tests.process.xmpp import SM, Client, body, message
from tests.process.xmppkills import CONFIG, R


def fill(daemon: RunningDaemon, file: Path) -> None:
    """No file of the daemon's may become longer than this one."""
    _, hard = resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (file.stat().st_size, hard))


def clear(daemon: RunningDaemon) -> None:
    _, hard = resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (hard, hard))


def reasons(daemon: RunningDaemon) -> list[str]:
    """What /readyz says."""
    try:
        with urlopen(f"http://127.0.0.1:{daemon.port()}/readyz") as answer:
            told = json.load(answer)
    except HTTPError as error:
        told = json.load(error)
    return list(told["reasons"])


def test_it_goes_on_without_a_new_start(tmp_path: Path) -> None:
    store = tmp_path / "xmpp.sqlite"
    with runningDaemon(config=CONFIG.format(store=store)) as daemon:

        def login(user: str, register: bool = False) -> Client:
            return Client(f"ws://127.0.0.1:{daemon.port()}/xmpp").login(user, register=register)

        login("bob", register=True).cut()
        alice = login("alice", register=True)
        alice.say(f"<enable xmlns='{SM}' resume='true'/>")
        alice.until("enabled")
        alice.say(message("bob@localhost", "before"))
        alice.say(R)
        assert alice.until("a").get("h") == "1"

        fill(daemon, tmp_path / "xmpp.sqlite-wal")
        alice.say(message("bob@localhost", "x" * 100_000))
        error = alice.until("message")
        assert error.get("type") == "error"
        daemon.waitFor("the XMPP store is failing")
        assert any("/xmpp: the store cannot be used" in reason for reason in reasons(daemon))
        alice.say(R)

        clear(daemon)
        daemon.waitFor("works again")
        assert alice.until("a").get("h") == "2"
        assert reasons(daemon) == []
        alice.say(message("bob@localhost", "after"))
        alice.say(R)
        assert alice.until("a").get("h") == "3"
        daemon.process.kill()
    with runningDaemon(config=CONFIG.format(store=store)) as daemon:
        bob = login("bob")
        bob.say("<presence xmlns='jabber:client'/>")
        assert [body(bob.until("message")) for _ in range(2)] == ["before", "after"]
