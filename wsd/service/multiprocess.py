"""What a daemon knows of other processes: workers beside it, and the one before or after an upgrade."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from wsd.config import Policies, Route
from wsd.listen.listener import Listener
from wsd.policies.admission import Admission
from wsd.policies.rates import Rates
from wsd.policies.timer import Timer
from wsd.service.listening import TlsOf


@dataclass(frozen=True, slots=True)
class Membership:
    """What makes a daemon one of several workers: what it gets instead of making it, and who hears that it serves."""

    number: int
    listeners: Sequence[Listener]
    makeAdmission: Callable[[Policies, Timer], Admission]
    makeRates: Callable[[Policies, Timer], Rates]
    serves: Callable[[Route], bool]
    wrapTlsOf: Callable[[TlsOf], TlsOf]
    served: Callable[[], object]


class Predecessor(Protocol):
    """The process before an upgrade, as the daemon after it sees it."""

    def takeOver(self, daemon: Any) -> Deferred[None]:
        """Move its connections to `daemon`. Fires when it accepts no more, and fails if it keeps them."""

    def serving(self) -> None:
        """Called when this daemon has taken over."""

    def refused(self) -> None:
        """Called when this daemon cannot take over. Ends the process."""

    def stopping(self) -> None:
        """Called when this daemon stops. Ends the process if it has not taken over."""


class Successor(Protocol):
    """The process after an upgrade, as the daemon before it sees it."""

    def abort(self) -> Deferred[None]:
        """
        Called when the daemon stops: end an upgrade that is under way.

        A new process that has connections stops in order, unless it is the daemon already. Fires when it has ended.
        """

    def hurry(self) -> None:
        """Called when a daemon that stops is to end at once."""
