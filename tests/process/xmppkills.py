"""
Kills the daemon in the midst of a talk, and sees that nothing acknowledged is lost: `make soak` does so many times.

Alice sends messages to Bob, who is there, is away, or is there and acknowledges nothing; she changes her roster and who
is what in a room; all with stream management. Then the daemon is killed (-9) at some moment, and started again. What
was acknowledged to her is with Bob, once; what Bob acknowledged does not come again; her roster and the room are as
acknowledged; and resume is answered with how much was handled.
"""

from __future__ import annotations

import argparse
import random
import signal
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.daemon import RunningDaemon, runningDaemon
from tests.process.xmpp import SM, Client, Ended, body, message

CONFIG = """
[route."/xmpp"]
store = "{store}"
register = true
"""
ROOM = "den@conference.localhost"
MUC = "http://jabber.org/protocol/muc"
R = f"<r xmlns='{SM}'/>"


class Talk:
    """What has been said, over all the lives of the daemon."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.config = CONFIG.format(store=folder / "xmpp.sqlite")
        self.acknowledged: set[str] = set()
        """Messages, contacts and affiliations that alice was told of."""
        self.arrived: list[str] = []
        """Messages that bob has acknowledged, and was not killed while he did."""
        self.doubtful: set[str] = set()
        """Messages that bob has acknowledged, and nobody knows whether that was heard."""
        self._said = 0

    def begin(self) -> None:
        """Two users, and a room that stays."""
        with runningDaemon(config=self.config) as daemon:
            alice = self._login(daemon, "alice", register=True)
            self._login(daemon, "bob", register=True).cut()
            alice.say(f"<presence xmlns='jabber:client' to='{ROOM}/alice'><x xmlns='{MUC}'/></presence>")
            value = "<field var='muc#roomconfig_persistentroom'><value>1</value></field>"
            form = f"<query xmlns='{MUC}#owner'><x xmlns='jabber:x:data' type='submit'>{value}</x></query>"
            assert alice.ask("set", form, ROOM).get("type") == "result"
            alice.cut()

    @staticmethod
    def _login(daemon: RunningDaemon, user: str, register: bool = False) -> Client:
        return Client(f"ws://127.0.0.1:{daemon.port()}/xmpp").login(user, register=register)

    def live(self) -> None:
        """One life of the daemon: it ends in the midst of a talk."""
        with runningDaemon(config=self.config) as daemon:
            self._fetch(daemon)
            alice = self._login(daemon, "alice")
            alice.say(f"<enable xmlns='{SM}' resume='true'/>")
            previous = alice.until("enabled").get("id")
            bob = self._login(daemon, "bob") if self.random.random() < 0.7 else None
            if bob is not None:
                bob.say(f"<enable xmlns='{SM}'/>")
                bob.until("enabled")
                bob.come()
                bob.handled = 1
            handled = self._talk(alice, bob)
            daemon.stop(signal.SIGKILL)
        with runningDaemon(config=self.config) as daemon:
            self._resume(daemon, previous, handled)
            self._fetch(daemon)
            self._check(daemon)

    def _talk(self, alice: Client, bob: Client | None) -> int:
        """Say some things, and wait until some of them are acknowledged; what is left is in doubt."""
        said: list[str] = []
        handled = 0
        for _ in range(self.random.randrange(1, 4)):
            said += [self._say(alice) for _ in range(self.random.randrange(1, 12))]
            alice.say(R)
            if bob is not None and self.random.random() < 0.5:
                self._acknowledge(bob)
            handled = int(alice.until("a").get("h"))
            self.acknowledged.update(said[:handled])
        for _ in range(self.random.randrange(20)):
            self._say(alice)
        return handled

    def _say(self, alice: Client) -> str:
        self._said += 1
        name, kind = f"n{self._said}", self.random.random()
        if kind < 0.7:
            alice.say(message("bob@localhost", name))
            return name
        if kind < 0.85:
            payload, to = f"<query xmlns='jabber:iq:roster'><item jid='{name}@localhost'/></query>", ""
        else:
            item = f"<item jid='{name}@localhost' affiliation='member'/>"
            payload, to = f"<query xmlns='{MUC}#admin'>{item}</query>", f" to='{ROOM}'"
        alice.say(f"<iq xmlns='jabber:client' type='set' id='{name}'{to}>{payload}</iq>")
        return f"{name}@localhost"

    def _acknowledge(self, bob: Client) -> None:
        """Bob has read so much; whether the daemon has heard of it nobody knows when it is killed."""
        heard: list[str] = []
        bob.say("<iq xmlns='jabber:client' type='get' id='here' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
        number = 0
        while True:
            element = bob.hear()
            if element.name in ("message", "presence", "iq"):
                number += 1
            if element.name == "message":
                heard.append(body(element))
            if element.get("id") == "here":
                break
        self.doubtful.update(heard)
        bob.handled += number
        bob.say(f"<a xmlns='{SM}' h='{bob.handled}'/>")

    def _resume(self, daemon: RunningDaemon, previous: str, handled: int) -> None:
        alice = Client(f"ws://127.0.0.1:{daemon.port()}/xmpp")
        alice.open()
        alice.authenticate("alice", "secret")
        alice.open()
        alice.say(f"<resume xmlns='{SM}' previd='{previous}' h='0'/>")
        answer = alice.hear()
        assert (answer.name, int(answer.get("h") or -1) >= handled) == ("failed", True), answer.toXml()
        alice.cut()

    def _fetch(self, daemon: RunningDaemon) -> None:
        """Bob comes, reads all that waits, and says so in peace."""
        bob = self._login(daemon, "bob")
        bob.say(f"<enable xmlns='{SM}' resume='true'/>")
        bob.until("enabled")
        bob.say("<presence xmlns='jabber:client'/>")
        # What waits is read from the store before how much was handled is written to it.
        bob.say(R)
        number = 0
        while (element := bob.hear()).name != "a":
            number += element.name in ("message", "presence", "iq")
            if element.name == "message":
                self.arrived.append(body(element))
        bob.say(f"<a xmlns='{SM}' h='{number}'/>")
        bob.say("<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>")
        with suppress(Ended):
            while True:
                bob.hear()

    def _check(self, daemon: RunningDaemon) -> None:
        arrived = set(self.arrived)
        assert len(arrived) == len(self.arrived), "what was acknowledged in peace has come again"
        messages = {name for name in self.acknowledged if "@" not in name}
        assert not messages - arrived - self.doubtful, "messages that were acknowledged are lost"
        alice = self._login(daemon, "alice")
        roster = alice.ask("get", "<query xmlns='jabber:iq:roster'/>").toXml()
        members = alice.ask("get", f"<query xmlns='{MUC}#admin'><item affiliation='member'/></query>", ROOM).toXml()
        kept = [name for name in self.acknowledged if "@" in name]
        assert not [name for name in kept if f'"{name}"' not in roster + members], (
            "changes that were acknowledged are lost"
        )
        alice.cut()


def main() -> None:
    """Kill so many times."""
    parser = argparse.ArgumentParser(
        description="Kill the daemon in the midst of a talk; nothing acknowledged is lost."
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    given = parser.parse_args()
    print(f"xmpp: {given.kills} kills, --seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        talk = Talk(Path(folder), given.seed)
        talk.begin()
        for _ in range(given.kills):
            talk.live()
    print(f"xmpp: {len(talk.acknowledged)} acknowledged, {len(talk.arrived)} messages arrived, none lost")


if __name__ == "__main__":
    main()
