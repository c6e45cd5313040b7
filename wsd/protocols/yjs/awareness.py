"""Who is at a document, and where: the awareness protocol of y-protocols (`awareness.js`)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wsd.protocols.yjs.messages import GONE, ClientState, MalformedMessage

TIMEOUT = 30.0
"""Seconds after which a state that was not renewed is dropped. Clients renew theirs every 15 seconds."""

MOST_CLIENTS = 1000
"""Clients with a state at one document."""

MOST_OWN = 64
"""Clients whose state comes from one connection. Usually that is one; a browser's tabs pass on each other's."""

_MOST_CLOCKS = 4 * MOST_CLIENTS
"""Clients whose clock is remembered after they have gone, so that an old state does not bring them back."""


@dataclass(slots=True)
class _Entry:
    state: ClientState
    owner: object
    """The connection that the state came from."""
    renewed: float


class Awareness:
    """The states of the clients at one document."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._entries: dict[int, _Entry] = {}
        self._clocks: dict[int, int] = {}

    @property
    def states(self) -> list[ClientState]:
        """The states of all clients that are there."""
        return [entry.state for entry in self._entries.values()]

    def accept(self, states: list[ClientState], owner: object, most: int) -> list[ClientState]:
        """
        Take states that came from a connection, of at most `most` characters each. Returns those that are new.

        Raises MalformedMessage, and takes none, if one of them is not JSON or too large, or there are too many.
        """
        for each in states:
            _check(each, most)
        new = [each for each in states if self._isNew(each)]
        coming = [each.client for each in new if each.state != GONE and each.client not in self._entries]
        if len(self._entries) + len(coming) > MOST_CLIENTS:
            raise MalformedMessage(f"{MOST_CLIENTS} clients are at this document, which is the limit")
        if sum(entry.owner is owner for entry in self._entries.values()) + len(coming) > MOST_OWN:
            raise MalformedMessage(f"one connection has the states of more than {MOST_OWN} clients")
        for each in new:
            self._take(each, owner)
        return new

    def forgotten(self, states: list[ClientState]) -> list[ClientState]:
        """
        Returns those of the states that were there before, and have gone for the others since.

        Others take them only with a higher clock, and a client raises its clock when it hears that it is gone.
        """
        return [
            ClientState(each.client, each.clock, GONE)
            for each in states
            if each.state != GONE and each.client not in self._entries and self._clocks.get(each.client) == each.clock
        ]

    def saveState(self) -> dict[str, Any]:
        """What a new process needs in an upgrade, without who owns which states."""
        entries = [
            [entry.state.client, entry.state.clock, entry.state.state, entry.renewed]
            for entry in self._entries.values()
        ]
        return {"entries": entries, "clocks": list(self._clocks.items())}

    def restoreState(self, saved: dict[str, Any]) -> None:
        """Go on with what `saveState` has returned. Nobody owns a state before `adopt`."""
        for client, clock, state, renewed in saved["entries"]:
            self._entries[client] = _Entry(ClientState(client, clock, state), None, renewed)
        self._clocks = dict(saved["clocks"])

    def ownedBy(self, owner: object) -> list[int]:
        """The clients whose states came from a connection."""
        return [client for client, entry in self._entries.items() if entry.owner is owner]

    def adopt(self, clients: list[int], owner: object) -> None:
        """These came from a connection that has moved here."""
        for client in clients:
            if client in self._entries:
                self._entries[client].owner = owner

    def remove(self, owner: object) -> list[ClientState]:
        """Called when a connection is gone. Returns what tells the others that its clients are gone."""
        return self._drop(self.ownedBy(owner))

    def removeOutdated(self) -> list[ClientState]:
        """Drop states that were not renewed in time. Returns what tells the others."""
        before = self._seconds() - TIMEOUT
        return self._drop([client for client, entry in self._entries.items() if entry.renewed <= before])

    def _isNew(self, each: ClientState) -> bool:
        """As y-protocols decides: a later clock is new, and so is the end of a client that is there."""
        clock = self._clocks.get(each.client, -1)
        return each.clock > clock or (each.clock == clock and each.state == GONE and each.client in self._entries)

    def _take(self, each: ClientState, owner: object) -> None:
        self._clocks.pop(each.client, None)
        self._clocks[each.client] = each.clock
        if each.state == GONE:
            self._entries.pop(each.client, None)
        elif each.client in self._entries:
            entry = self._entries[each.client]
            entry.state, entry.renewed = each, self._seconds()
        else:
            self._entries[each.client] = _Entry(each, owner, self._seconds())
        while len(self._clocks) > _MOST_CLOCKS:
            oldest = next(client for client in self._clocks if client not in self._entries)
            del self._clocks[oldest]

    def _drop(self, clients: list[int]) -> list[ClientState]:
        return [ClientState(client, self._entries.pop(client).state.clock, GONE) for client in clients]


def _check(each: ClientState, most: int) -> None:
    if len(each.state) > most:
        raise MalformedMessage(f"the state of a client has more than {most} characters")
    try:
        json.loads(each.state)
    except (ValueError, RecursionError):
        raise MalformedMessage("the state of a client is not JSON") from None
