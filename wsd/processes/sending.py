"""Passes connections on to the new process, a few in each message, and counts those that have moved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from wsd.processes.conversation import NewSide
from wsd.processes.doors import takeBack
from wsd.processes.packing import pack
from wsd.processes.passing import Leaving
from wsd.service.daemon import Daemon
from wsd.service.routes import FactoryKey

BATCH = 16
"""Connections that are passed on in one message. Each of them waits for all others of its batch."""

_BATCH_SIZE = 8 * 1024 * 1024
"""Bytes of a batch beyond which no further connection is added to it."""


class ConnectionSender:
    """Passes connections of `daemon` on to `new`."""

    def __init__(self, daemon: Daemon, reactor: Any, new: NewSide) -> None:
        self.count = 0
        """Connections that have moved."""
        self.pause = 0.0
        """The longest time in seconds for which one of them stood still."""
        self._daemon = daemon
        self._reactor = reactor
        self._new = new
        self._unconfirmed: list[Leaving] = []
        """Connections that the new process continues with if it gets them."""

    async def hold(self, key: FactoryKey, leaving: Iterable[Leaving]) -> list[Leaving]:
        """
        Pass on connections of a factory that the new process does not touch before it is told to.

        Returns those that it cannot resume. Raises `NotTakenOver`.
        """
        kept: list[Leaving] = []
        for batch, packed in _batches(leaving):
            kept += await self._send(key, batch, packed, isHeld=True)
        return kept

    async def move(self, key: FactoryKey, leaving: Iterable[Leaving], since: float) -> None:
        """
        Pass on connections of a factory, which continue there at once. They have stood still since that time.

        Those that the new process cannot resume continue here. Raises `NotTakenOver`.
        """
        self._unconfirmed = list(leaving)
        for batch, packed in _batches(leaving):
            kept = await self._send(key, batch, packed, isHeld=False)
            self._unconfirmed = self._unconfirmed[len(batch) :]
            takeBack(kept)
            self.confirm((each for each in batch if each not in kept), since)

    async def moveNew(self, leaving: Leaving) -> None:
        """Pass on a connection whose first request is not complete. Raises `NotTakenOver`."""
        self._unconfirmed = [leaving]
        await self._new.ask("new", {}, pack(leaving.saved), [leaving.descriptor])
        self._unconfirmed = []
        leaving.confirm()

    def confirm(self, leaving: Iterable[Leaving], since: float) -> None:
        """The new process has these connections, which have stood still since that time."""
        for each in leaving:
            each.confirm()
            self.count += 1
            self.pause = max(self.pause, self._reactor.seconds() - since)

    def takeBack(self) -> None:
        """Continue here with the connections that are not confirmed. The new process must not run any more."""
        unconfirmed, self._unconfirmed = self._unconfirmed, []
        takeBack(unconfirmed)

    def forget(self) -> None:
        """Leave the connections that are not confirmed to the new process, which may be slow."""
        unconfirmed, self._unconfirmed = self._unconfirmed, []
        for each in unconfirmed:
            each.confirm()

    async def _send(
        self, key: FactoryKey, batch: Sequence[Leaving], packed: Sequence[bytes], isHeld: bool
    ) -> list[Leaving]:
        version = self._daemon.routes.named[key].stateVersion
        fields = {"key": key, "version": version, "isHeld": isHeld}
        answer = await self._new.ask("connections", fields, pack(packed), [each.descriptor for each in batch])
        return [batch[number] for number in answer.fields["failed"]]


def _batches(leaving: Iterable[Leaving]) -> Iterator[tuple[list[Leaving], list[bytes]]]:
    """What one message has: some connections, and their packed states."""
    batch: list[Leaving] = []
    packed: list[bytes] = []
    for each in leaving:
        batch.append(each)
        packed.append(pack(each.saved))
        if len(batch) == BATCH or sum(map(len, packed)) > _BATCH_SIZE:
            yield batch, packed
            batch, packed = [], []
    if batch:
        yield batch, packed
