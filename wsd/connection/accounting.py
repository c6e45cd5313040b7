"""MemoryAccounting: the memory that is held for a connection. `wsd.policies.budget` limits that of all together."""

from __future__ import annotations

from wsd.connection.api import ConnectionApi
from wsd.frames.codes import CloseCode
from wsd.metrics import Cause
from wsd.policies.admission import accountOf
from wsd.policies.budget import Account, MemoryUse
from wsd.policies.shedding import Progress


class MemoryAccounting(ConnectionApi):
    """Counts the memory that is held for a connection, and ends it if that is too much."""

    __account: Account | None = None
    __handled = 0
    """Bytes of the messages that a hook is still handling."""

    def noteReceived(self, rest: int, assembled: int, inflated: int) -> None:
        """Called with the received bytes that are not read yet, and with those of an incomplete message."""
        self._note(MemoryUse.reading, rest)
        self._note(MemoryUse.assembling, assembled)
        self._note(MemoryUse.inflating, inflated)

    def noteHandled(self, more: int) -> None:
        """Called when a hook begins to handle a message of `more` bytes; with `-more` when it is done."""
        self.__handled += more
        self._note(MemoryUse.handling, self.__handled)

    def noteDeflating(self, size: int) -> None:
        """Called with the bytes of the message being deflated and of everything queued behind it."""
        self._note(MemoryUse.deflating, size)

    def noteMemory(self, use: MemoryUse, size: int) -> None:
        """Called by a protocol with the bytes that it keeps for this connection, for a use of its own."""
        self._note(use, size)

    def noteUnsent(self) -> bool:
        """Returns whether the transport has unsent bytes. If so, it reports their number from now on."""
        if not self._wire.unsent:
            return False
        self._wire.tellUnsent(self.__unsentIs)
        return True

    def __unsentIs(self, size: int) -> None:
        self._note(MemoryUse.sending, size)

    def _note(self, use: MemoryUse, size: int) -> None:
        """Set the bytes of one use in the connection's account, which exists only while it is not empty."""
        account = self.__account
        if account is None:
            if not size or self.state == self.STATE_CLOSED:
                return
            self.__account = account = self.factory.budget.open(self)
        account.put(use, size)
        if not account.size:
            self._closeAccount()

    @property
    def memoryInUse(self) -> int:
        """The bytes of memory that count towards `memory_max`."""
        return 0 if self.__account is None else self.__account.size

    @property
    def countedAddress(self) -> str | None:
        """What counts as the client's address; None for a client on this machine."""
        return None if self.peer.direct else accountOf(self.peer.address)

    @property
    def progress(self) -> Progress:
        """How fast the client takes what is unsent, since the last check."""
        raise NotImplementedError

    def _closeAccount(self) -> None:
        """Called when the connection keeps no memory any more."""
        account, self.__account = self.__account, None
        if account is not None:
            self.factory.budget.close(account)

    def relieve(self, size: int) -> None:
        """Called if this connection holds too much memory, or all together do: close or drop it."""
        self._closeAccount()
        if self.state != self.STATE_OPEN or self.unsent or self.__handled:
            self.drop(Cause.memory)
            return
        sentence = "the server is out of memory for connections; try again later"
        self.close(CloseCode.TRY_AGAIN_LATER, sentence, Cause.memory)
        self.message_data = []
        self.frames.resumeReading()
