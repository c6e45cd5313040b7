"""A reload of all workers: one after the other, the owner first. If one refuses, the others are not asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from wsd.config import Config, ConfigError
from wsd.control.interface import ReloadOutcome
from wsd.listen.systemd import Systemd
from wsd.logs import describeError
from wsd.processes.child import Child


class Reloading:
    """Reloads the workers; `reread` returns the configuration as it is now, and `accepted` is called with it."""

    log = Logger(namespace="wsd")

    def __init__(
        self,
        children: Sequence[Child],
        systemd: Systemd,
        reread: Callable[[], Config],
        accepted: Callable[[Config], object],
        status: Callable[[], str],
    ) -> None:
        """`status` is the text for `systemctl status`."""
        self._children = children
        self._systemd = systemd
        self._reread = reread
        self._accepted = accepted
        self._status = status
        self._waiting: list[Child] = []
        """Those that have not reloaded; the first has been asked."""
        self._done: Deferred[ReloadOutcome] = Deferred()

    @property
    def isUnderWay(self) -> bool:
        """Whether workers have not answered."""
        return bool(self._waiting)

    def start(self) -> Deferred[ReloadOutcome]:
        """Reload, unless it is under way. Returns the outcome."""
        if self._waiting:
            return succeed(ReloadOutcome("another reload is under way"))
        done: Deferred[ReloadOutcome] = Deferred()
        self._done = done
        self._systemd.notify("RELOADING=1")
        try:
            config = self._reread()
        except Exception as error:
            sentence = str(error) if isinstance(error, ConfigError) else describeError(error)
            self.log.error(
                "not reloaded, the old configuration stays in use: {sentence}",
                event="reload.refused",
                sentence=sentence,
            )
            self._refused(sentence)
            return done
        self._accepted(config)
        self._waiting = [child for child in self._children if child.isServing]
        self._askNext()
        return done

    def reloaded(self, refused: str | None) -> None:
        """A worker has reloaded, or has refused for this reason."""
        if refused is None:
            self._reloadNext()
        else:
            self._refused(refused)

    def gone(self, child: Child) -> None:
        """A worker has ended. It starts with the new configuration."""
        if self._waiting[:1] == [child]:
            self._reloadNext()
        elif child in self._waiting:
            self._waiting.remove(child)

    def _refused(self, sentence: str) -> None:
        self._waiting = []
        self._systemd.notify("READY=1", f"not reloaded: {sentence}")
        self._done.callback(ReloadOutcome(sentence))

    def _reloadNext(self) -> None:
        del self._waiting[:1]
        self._askNext()

    def _askNext(self) -> None:
        while self._waiting and not self._waiting[0].isServing:
            del self._waiting[0]
        if self._waiting:
            self._waiting[0].send("reload", {})
        else:
            self._systemd.notify("READY=1", self._status())
            self._done.callback(ReloadOutcome())
