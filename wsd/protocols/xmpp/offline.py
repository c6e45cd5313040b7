"""Offline messages (XEP-0160): stored until a session has acknowledged them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.protocols.xmpp.accounts import Accounts
from wsd.protocols.xmpp.asyncstore import AsyncStore
from wsd.protocols.xmpp.delay import delayed
from wsd.protocols.xmpp.errors import StanzaError, errorOf
from wsd.protocols.xmpp.faults import refuseForStore
from wsd.protocols.xmpp.framing import parse
from wsd.protocols.xmpp.ledger import cost
from wsd.protocols.xmpp.quarantine import Quarantine
from wsd.protocols.xmpp.records import OFFLINE, EntryIds
from wsd.protocols.xmpp.session import Session, SessionState, User
from wsd.protocols.xmpp.settings import Settings
from wsd.protocols.xmpp.stanza import Element, mayBeAnswered
from wsd.protocols.xmpp.store import StoreError
from wsd.protocols.xmpp.streammanagement import Receipt

_MOST_BYTES = 64
"""Limit of the cost of one user's waiting messages, as a multiple of the largest message."""
_HINTS = "urn:xmpp:hints"
_STATES = "http://jabber.org/protocol/chatstates"


def isWorthStoring(message: Element) -> bool:
    """Whether a message is for a person, and more than a chat state such as "typing" (XEP-0160 3, XEP-0334)."""
    if message.get("type", "normal") not in ("chat", "normal"):
        return False
    if message.child(_HINTS, "no-store") or message.child(_HINTS, "no-permanent-store"):
        return False
    return any(not (child.ns == _STATES or child.name == "thread") for child in message.elements())


class Offline:
    """The stored messages of all users."""

    log = Logger(namespace="wsd")

    def __init__(
        self,
        settings: Settings,
        store: AsyncStore,
        quarantine: Quarantine,
        accounts: Accounts,
        entryIds: EntryIds,
        now: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._store = store
        self._quarantine = quarantine
        self._accounts = accounts
        self._entryIds = entryIds
        self._now = now
        self._sent: set[int] = set()
        """Stored messages that were sent to a session and are not acknowledged."""
        self._reading: dict[str, Session | None] = {}
        """The users whose messages are being read, each with the session that has become available meanwhile."""

    # -- storing --------------------------------------------------------------------------------------------------

    def accept(self, user: User, message: Element, receipt: Receipt | None) -> None:
        """Store a message for a user who is away. Raises StanzaError if that is not possible."""
        if user.isAnonymous:
            raise StanzaError("service-unavailable", "the user is not available")
        if not isWorthStoring(message):
            return
        options = self._settings.options
        if len(user.waiting) >= options.offline or sum(user.waiting.values()) >= _MOST_BYTES * options.max_stanza:
            raise StanzaError("service-unavailable", "this user already has too many offline messages")
        entryId, xml = self._entry(user, message)
        stored = self._store.read(lambda store: store.append(entryId, OFFLINE, user.bare, xml), owner=user.bare)
        stored.addErrback(self._refuse, user, entryId, message)
        if receipt is not None:
            receipt.number = max(receipt.number, self._store.lastNumber)

    def _refuse(self, failure: Failure, user: User, entryId: int, message: Element) -> None:
        """Tell the sender that a message could not be stored."""
        user.waiting.pop(entryId, None)
        sender = self._accounts.sessionOf(message.get("from"))
        log = self.log if sender is None else sender.log
        fault = failure.value
        if not isinstance(fault, StoreError):
            log.failure("a message could not be stored", failure, event="xmpp.store")
            fault = StoreError(failure.getErrorMessage())
        error = refuseForStore(fault, log)
        if mayBeAnswered(message):
            self._accounts.deliver(errorOf(message, error))

    def store(self, user: User, xml: str) -> tuple[int, int]:
        """
        Store a stanza that was sent to a session and is not acknowledged.

        Returns its id and the number of the write; both are 0 for an anonymous user, who can never log in again.
        """
        if user.isAnonymous:
            return 0, 0
        entryId, late = self._entry(user, parse(xml.encode(), self._settings.storedLimits))
        self._sent.add(entryId)
        return entryId, self._store.append(entryId, OFFLINE, user.bare, late)

    def _entry(self, user: User, message: Element) -> tuple[int, str]:
        entryId = self._entryIds.next()
        xml = delayed(message, user.bare.partition("@")[2], self._now()).toXml()
        user.waiting[entryId] = cost(xml)
        return entryId, xml

    def drop(self, user: User, entryId: int) -> None:
        """Forget a message, because it has arrived."""
        self._sent.discard(entryId)
        user.waiting.pop(entryId, None)
        self._store.discard([entryId], user.bare)

    def returned(self, entryId: int) -> None:
        """A message waits again, because its session has ended."""
        self._sent.discard(entryId)

    # -- delivering -----------------------------------------------------------------------------------------------

    def deliver(self, session: Session) -> None:
        """Send the messages that wait for a user to one of its sessions."""
        user = session.user
        if user.isAnonymous or not user.waiting:
            return
        if user.bare in self._reading:
            self._reading[user.bare] = session
            return
        self._reading[user.bare] = None
        read: Any = self._store.entries(OFFLINE, user.bare)
        read.addCallback(self._send, session)
        read.addErrback(self._unsent, session)
        read.addBoth(self._hasRead, user.bare)

    def _hasRead(self, _: object, bare: str) -> None:
        """Called after each read. A session that became available meanwhile gets what the first one did not take."""
        later = self._reading.pop(bare)
        if later is not None:
            self.deliver(later)

    def _unsent(self, failure: Failure, session: Session) -> None:
        """Called when the messages could not be read: they are sent when the store works again."""
        session.hasMoreStored = True
        if failure.check(StoreError):
            sentence = failure.getErrorMessage()
            session.log.warn("stored messages cannot be read: {sentence}", event="xmpp.store", sentence=sentence)
        else:
            session.log.failure("stored messages could not be sent to their user", failure, event="xmpp.store")

    def _send(self, entries: list[tuple[int, str]], session: Session) -> None:
        if session.state is SessionState.ENDED or session.presence is None or session.priority < 0:
            return
        for entryId, xml in entries:
            if entryId not in self._sent and entryId in session.user.waiting:
                if session.fullness >= 0.5:
                    # The rest follows when these have arrived: all at once could overrun the session.
                    session.hasMoreStored = True
                    return
                message = self._quarantine.message(OFFLINE, session.user.bare, entryId, xml)
                if message is None:
                    session.user.waiting.pop(entryId, None)
                    continue
                self._sent.add(entryId)
                session.send(message.copy(to=session.jid), None, entryId)
