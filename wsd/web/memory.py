"""The memory that the body of a request takes, until the request is answered."""

from __future__ import annotations

from typing import Protocol

from wsd.head import Refused
from wsd.policies.address import Peer
from wsd.policies.admission import accountOf
from wsd.policies.budget import Account, Budget, MemoryUse
from wsd.policies.shedding import Progress, Shed


class MemoryTaker(Protocol):
    """A request with a body."""

    peer: Peer

    def giveUp(self, refused: Refused) -> None:
        """Called to free the memory of the body: refuse the request, or end the connection."""


class BodyMemory:
    """The account of one request's body. It exists only while there are any bytes."""

    def __init__(self, budget: Budget, request: MemoryTaker) -> None:
        self._budget = budget
        self._request = request
        self._account: Account | None = None

    def put(self, size: int) -> None:
        """Set the bytes that the body takes."""
        if self._account is None:
            if not size:
                return
            self._account = self._budget.open(self)
        self._account.put(MemoryUse.bodies, size)
        if not size:
            self.close()

    def close(self) -> None:
        """Called when the request is answered, or the client is gone."""
        account, self._account = self._account, None
        if account is not None:
            self._budget.close(account)

    @property
    def countedAddress(self) -> str | None:
        """What counts as the client's address; None for a client on this machine."""
        peer = self._request.peer
        return None if peer.direct else accountOf(peer.address)

    @property
    def progress(self) -> Progress:
        """A request takes its turn by the size of its body."""
        return Progress(Shed.large)

    def relieve(self, size: int) -> None:
        """Called if this body takes too much memory, or everybody together does: refuse the request."""
        self.close()
        sentence = "the server is out of memory for requests; try again later"
        self._request.giveUp(Refused(503, sentence, [("Retry-After", "5")]))
