"""Resumption of streams (XEP-0198 5): the resumable sessions, and how many stanzas of a lost one were handled."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from typing import Any

from wsd.protocols.xmpp.asyncstore import AsyncStore
from wsd.protocols.xmpp.quarantine import Quarantine
from wsd.protocols.xmpp.records import STREAM
from wsd.protocols.xmpp.session import Session, SessionState
from wsd.protocols.xmpp.settings import Settings
from wsd.protocols.xmpp.stanza import Element
from wsd.protocols.xmpp.streammanagement import Inbound, failed, numberOf


class Resumption:
    """Stream management of the sessions of a server."""

    def __init__(
        self, settings: Settings, store: AsyncStore, quarantine: Quarantine, clock: Any, now: Callable[[], float]
    ) -> None:
        self.sessions: dict[str, Session] = {}
        """The resumable sessions, by the id that resumes them."""
        self._settings = settings
        self._store = store
        self._quarantine = quarantine
        self._clock = clock
        self._now = now

    def enable(self, session: Session, wantsResume: bool) -> dict[str, str]:
        """Begin stream management for a session. Returns the attributes of <enabled/> (XEP-0198 3, 5)."""
        session.inbound = Inbound(self._clock, self._store, partial(self._keepCount, session), session.write)
        seconds = self._settings.options.resume
        # An anonymous user cannot log in again as the same user, so nothing is held for them.
        if not wantsResume or not seconds or session.user.isAnonymous:
            return {}
        session.resumeId = secrets.token_urlsafe(18)
        self.sessions[session.resumeId] = session
        return {"id": session.resumeId, "resume": "true", "max": f"{seconds:.0f}"}

    def _keepCount(self, session: Session, handled: int) -> int:
        """Store how many stanzas a session has handled. Returns the number of the write, 0 if none is needed."""
        if session.resumeId is None or session.user.isAnonymous or session.state is SessionState.ENDED:
            return 0
        return self._store.put(STREAM, session.user.bare, session.resumeId, f"{handled} {self._now()}")

    async def resume(self, bare: str, element: Element) -> Session | Element:
        """
        Returns the session that a <resume/> asks for, or the <failed/> that answers it.

        All that was received in the session is handled by then. Raises StreamError for an impossible h, and StoreError.
        """
        resumeId, handled = element.get("previd"), numberOf(element)
        session = self.sessions.get(resumeId)
        if session is not None and session.user.bare == bare:
            session.outbound.check(handled)
            while session.inbound is not None and session.inbound.receipts:
                await session.inbound.settled()
            session = self.sessions.get(resumeId)
        if session is None or session.user.bare != bare:
            kept = await self._store.get(STREAM, bare, resumeId)
            return failed("item-not-found", self._quarantine.handled(bare, resumeId, kept))
        return session

    def takeOver(self, session: Session, element: Element) -> None:
        """Take a session from its stream, if it has one, for the <resume/> of another. Raises StreamError."""
        handled = numberOf(element)
        session.outbound.check(handled)
        if session.stream is not None:
            old, session.stream = session.stream, None
            old.supplant()
        session.acknowledge(handled)

    def forget(self, session: Session, keepsCount: bool) -> None:
        """Called when a session has ended. With `keepsCount` its client may still ask how many stanzas were handled."""
        if session.resumeId is not None:
            self.sessions.pop(session.resumeId, None)
            if not keepsCount and not session.user.isAnonymous:
                self._store.put(STREAM, session.user.bare, session.resumeId, None)
