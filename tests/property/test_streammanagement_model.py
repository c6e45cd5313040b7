"""
Stream management with resumption (XEP-0198) against a model: one user sends to another, and either may break off.

What the sender was told is handled reaches the receiver, whether the connection, the session or the process was lost.
Nothing comes twice, except where the receiver had no way to say that it had it already.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.property.sequences import FOLDERS, sequences
from tests.protocols.xmpp.talk import CLOSE, OPEN, Host, message
from wsd.protocols.xmpp.stanza import Element

SM = "urn:xmpp:sm:3"
PRESENCE = "<presence xmlns='jabber:client'/>"
STANZAS = ("message", "presence", "iq")
RESUME = 60.0
"""Seconds for which a session waits to be resumed."""


class Managed:
    """A client with stream management, as XEP-0198 wants it to be."""

    def __init__(self, host: Host, user: str) -> None:
        self.host = host
        self.user = user
        self.isLost = False
        self.got: list[str] = []
        """The bodies of all messages, as they came."""
        self.handled: list[str] = []
        """The messages that the server was said to have handled, since the last call of `takeHandled`."""
        self.login()

    def login(self) -> None:
        """A new session."""
        self.talker = self.host.connect()
        self.talker.login(self.user, "one")
        self.begin()

    def begin(self) -> None:
        """Begin stream management in a session that is bound."""
        self.inbound = 0
        """Stanzas that have come in this session."""
        self.base = 0
        """Stanzas of this session that are known to be handled."""
        self.isLost = False
        [enabled] = self.talker.say(f"<enable xmlns='{SM}' resume='true'/>")
        self.id = enabled.get("id")
        self.stanzas: list[str | None] = []
        """What was sent in this session and is not known to be handled: the bodies of messages, None for others."""
        self.say(PRESENCE, None)

    def say(self, xml: str, body: str | None) -> None:
        """Send a stanza."""
        self.stanzas.append(body)
        self.take(self.talker.say(xml))

    def take(self, heard: list[Element]) -> None:
        for element in heard:
            if element.name in STANZAS:
                self.inbound += 1
            if element.name == "message":
                assert element.get("type") != "error", element.toXml()
                self.got.append(element.textOf("jabber:client", "body"))
            elif element.name == "a":
                self.acknowledged(int(element.get("h")))

    def acknowledged(self, number: int) -> None:
        assert self.base <= number <= self.base + len(self.stanzas)
        done, self.stanzas = self.stanzas[: number - self.base], self.stanzas[number - self.base :]
        self.base = number
        self.handled += [body for body in done if body is not None]

    def takeHandled(self) -> list[str]:
        handled, self.handled = self.handled, []
        return handled

    def read(self) -> None:
        if not self.isLost:
            self.take(self.talker.heard())

    def acknowledge(self) -> None:
        self.take(self.talker.say(f"<a xmlns='{SM}' h='{self.inbound}'/>"))

    def ask(self) -> None:
        self.take(self.talker.say(f"<r xmlns='{SM}'/>"))

    def lose(self) -> None:
        self.talker.lose()
        self.isLost = True

    def resume(self) -> bool:
        """Resume the session, or begin another; what was not handled is sent again. Returns whether it was resumed."""
        self.talker = self.host.connect()
        self.talker.say(OPEN)
        self.talker.authenticate(self.user, "SCRAM-SHA-256", self.user)
        self.talker.say(OPEN)
        first, *others = self.talker.say(f"<resume xmlns='{SM}' previd='{self.id}' h='{self.inbound}'/>")
        if first.get("h"):
            # After the process died this may be less than was told before: the store has the count of the last <a/>.
            self.acknowledged(max(self.base, int(first.get("h"))))
        again = [body for body in self.stanzas if body is not None]
        if first.name == "resumed":
            self.isLost = False
            self.stanzas = []
            self.take(others)
        else:
            assert first.name == "failed"
            self.talker.bind("one")
            self.begin()
        for body in again:
            self.say(message("bob@localhost", body), body)
        return first.name == "resumed"


class StreamManagementModel(RuleBasedStateMachine):
    """Alice sends numbered messages to Bob."""

    @initialize()
    def start(self) -> None:
        self.folder = TemporaryDirectory(dir=FOLDERS)
        self.host = Host(Path(self.folder.name), "alice", "bob", resume=RESUME)
        self.alice, self.bob = Managed(self.host, "alice"), Managed(self.host, "bob")
        self.count = 0
        self.mustCome: set[str] = set()
        """What Alice was told is handled."""
        self.mayRepeat: set[str] = set()
        """What was lost from sight: Bob had it, or Alice sent it, in a session that ended without a last word."""

    # -- Alice ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: not self.alice.isLost)
    @rule(count=st.integers(1, 3))
    def send(self, count: int) -> None:
        for _ in range(count):
            self.count += 1
            body = str(self.count)
            self.alice.say(message("bob@localhost", body), body)

    @precondition(lambda self: not self.alice.isLost)
    @rule()
    def ask(self) -> None:
        self.alice.ask()

    # -- Bob ------------------------------------------------------------------------------------------------------

    @rule()
    def read(self) -> None:
        self.bob.read()

    @precondition(lambda self: not self.bob.isLost)
    @rule()
    def acknowledge(self) -> None:
        """Of what Bob has read, all is acknowledged."""
        self.bob.acknowledge()

    # -- both -----------------------------------------------------------------------------------------------------

    @rule(isAlice=st.booleans())
    def lose(self, isAlice: bool) -> None:
        client = self.alice if isAlice else self.bob
        if not client.isLost:
            client.lose()

    @rule(isAlice=st.booleans())
    def resume(self, isAlice: bool) -> None:
        """After a loss, or on a new connection that supplants the old one."""
        client = self.alice if isAlice else self.bob
        before = list(client.stanzas)
        if not client.resume():
            self.sawEnd(client, before)

    def sawEnd(self, client: Managed, before: list[str | None]) -> None:
        """A session ended without a last word: nobody knows what of it came."""
        if client is self.alice:
            self.mayRepeat.update(body for body in before if body is not None)
        else:
            self.mayRepeat.update(self.bob.got)

    @rule(seconds=st.sampled_from([0.5, 5.0, RESUME + 5]))
    def wait(self, seconds: float) -> None:
        """Sessions that were lost for too long are over; what Bob has not acknowledged is kept for him."""
        self.host.pass_(seconds)
        self.alice.read()

    @rule(isWriting=st.booleans())
    def kill(self, isWriting: bool) -> None:
        """The process dies, perhaps before the disk has what was sent last; what it has told is on the disk."""
        self.alice.read()
        if isWriting and not self.alice.isLost:
            self.host.pool.slow = True
            self.send(2)
            self.alice.ask()
        self.host.kill()
        self.alice.isLost = self.bob.isLost = True

    # -- what must be true ----------------------------------------------------------------------------------------

    @invariant()
    def bringsNothingTwice(self) -> None:
        if not hasattr(self, "alice"):
            return
        self.mustCome.update(self.alice.takeHandled())
        repeated = {body for body in self.bob.got if self.bob.got.count(body) > 1}
        assert repeated <= self.mayRepeat
        assert self.alice.got == []

    def teardown(self) -> None:
        if not hasattr(self, "alice"):
            return
        for client in (self.bob, self.alice):
            before = list(client.stanzas)
            if client.isLost and not client.resume():
                self.sawEnd(client, before)
        self.bob.read()
        self.bob.acknowledge()
        self.alice.ask()
        self.host.pass_(1)
        self.alice.read()
        self.bob.read()
        self.bringsNothingTwice()
        assert [body for body in self.alice.stanzas if body is not None] == []
        assert self.mustCome == {str(number + 1) for number in range(self.count)}
        assert set(self.bob.got) == self.mustCome
        self.checkEnd()
        self.host.close()
        self.folder.cleanup()

    def checkEnd(self) -> None:
        """Both leave: nothing is held for them any more."""
        self.bob.acknowledge()
        for client in (self.alice, self.bob):
            client.talker.say(CLOSE)
            client.lose()
        server = self.host.server
        assert server.resumption.sessions == {}
        assert (server.sessionMemory.total, server.sessionMemory._held) == (0, {})
        assert not any(user.sessions for user in server.accounts.users.values())


TestStreamManagement = StreamManagementModel.TestCase
TestStreamManagement.settings = sequences(30, 30)
