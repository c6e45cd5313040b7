"""Chats by XMPP: what stream management has acknowledged is noted, and so is what has come."""

from __future__ import annotations

import threading
from contextlib import suppress
from random import Random

from tests.process.xmpp import CLOSE, SM, Client, Ended, body, message

USERS = 4
_R = f"<r xmlns='{SM}'/>"


class Chat:
    """Some users who write to each other, and who come and go."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = [threading.Lock() for _ in range(USERS)]
        """For each user: only one of its sessions reads, so that nobody misses what another one has read."""
        self._count = 0
        self.acknowledged: list[set[str]] = [set() for _ in range(USERS)]
        """By user: the messages to it that the daemon has taken on."""
        self.arrived: list[set[str]] = [set() for _ in range(USERS)]

    def begin(self, url: str) -> None:
        """Make the accounts."""
        for number in range(USERS):
            Client(url).login(f"user{number}", register=True).cut()

    def visit(self, url: str, seed: int) -> None:
        """One writes some messages, or reads what waits."""
        random = Random(seed)
        if random.randrange(2):
            self._write(url, random)
        else:
            self.read(url, random.randrange(USERS))

    def missing(self) -> int:
        """How many messages were acknowledged and have not come."""
        return sum(len(taken - came) for taken, came in zip(self.acknowledged, self.arrived, strict=True))

    def _write(self, url: str, random: Random) -> None:
        sender = Client(url).login(f"user{random.randrange(USERS)}")
        sender.say(f"<enable xmlns='{SM}'/>")
        sender.until("enabled")
        said = []
        for _ in range(random.randint(1, 10)):
            with self._lock:
                self._count += 1
                text = f"message {self._count}"
            to = random.randrange(USERS)
            said.append((to, text))
            sender.say(message(f"user{to}@localhost", text))
        sender.say(_R)
        handled = int(sender.until("a").get("h"))
        with self._lock:
            for to, text in said[:handled]:
                self.acknowledged[to].add(text)
        sender.cut()

    def read(self, url: str, user: int) -> None:
        """Come, and acknowledge everything that waits."""
        with self._readers[user]:
            reader = Client(url).login(f"user{user}")
            reader.say(f"<enable xmlns='{SM}' resume='true'/>")
            reader.until("enabled")
            reader.say("<presence xmlns='jabber:client'/>")
            # What waits is read from the store before how much was handled is written to it.
            reader.say(_R)
            heard, number = [], 0
            while (element := reader.hear()).name != "a":
                number += element.name in ("message", "presence", "iq")
                if element.name == "message":
                    heard.append(body(element))
            reader.say(f"<a xmlns='{SM}' h='{number}'/>")
            reader.say(CLOSE)
            with suppress(Ended):
                while True:
                    # What comes now is not acknowledged: the daemon keeps it, and sends it again.
                    reader.hear()
            with self._lock:
                self.arrived[user].update(heard)
