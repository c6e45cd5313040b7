"""
A reload in two phases: first every part of the daemon prepares for the new configuration, then all of them use it.

A part that cannot, raises. Nothing has changed then, and the old configuration stays in use as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.logger import Logger

from wsd.config import Config, ConfigError
from wsd.config.changes import changes, fixedIn
from wsd.config.prepared import Prepare, PreparedChange, nothing
from wsd.control.interface import ReloadOutcome
from wsd.listen.endpoints import CannotListen
from wsd.logs import describeError

_log = Logger(namespace="wsd")


@dataclass(frozen=True, slots=True)
class PreparedReload:
    """A reload that every part is prepared for or, if `refused` says why, none."""

    refused: str | None
    commit: Callable[[], ReloadOutcome]
    abort: Callable[[], object] = nothing


def refusal(sentence: str) -> PreparedReload:
    """A reload that is refused, and why, which is logged."""
    logRefused(sentence)
    return PreparedReload(sentence, lambda: ReloadOutcome(sentence))


class Reloading:
    """
    Reloads the parts of a daemon, in the order in which they were added.

    `reread` returns the configuration as it is now.
    """

    def __init__(self, config: Config, reread: Callable[[], Config]) -> None:
        self.config = config
        """The configuration in use."""
        self.ended: Callable[[bool], object] = lambda isAccepted: None
        """Called after each reload, with whether it was accepted."""
        self._reread = reread
        self._parts: list[Prepare] = []

    def add(self, *parts: Prepare) -> None:
        """Let these take part in each reload."""
        self._parts += parts

    def prepare(self) -> PreparedReload:
        """Read the configuration, and let all parts prepare for it. Logs why it is refused."""
        prepared: list[PreparedChange] = []
        try:
            config = self._reread()
            _refuseFixed(self.config, config)
            prepared.extend(part(config) for part in self._parts)
        except BaseException as error:
            # Modules of users run here. Whatever they raise, even SystemExit, does not end the daemon.
            _abort(prepared)
            return self._refused(sentenceOf(error))
        return PreparedReload(None, lambda: self._commit(config, prepared), lambda: _abort(prepared))

    def _refused(self, sentence: str) -> PreparedReload:
        self.ended(False)
        return refusal(sentence)

    def _commit(self, config: Config, prepared: list[PreparedChange]) -> ReloadOutcome:
        before, self.config = self.config, config
        for change in prepared:
            try:
                change.commit()
            except Exception:
                _log.failure("a part of the daemon could not be reloaded", event="reload.error")
        self.ended(True)
        return logChanges(before, config)


def _abort(prepared: list[PreparedChange]) -> None:
    for change in reversed(prepared):
        try:
            change.abort()
        except Exception:
            _log.failure("a refused reload could not be undone as a whole", event="reload.error")


def _refuseFixed(before: Config, after: Config) -> None:
    """Raises ConfigError if a key has changed that only a restart can change."""
    keys = fixedIn(before, after)
    if keys:
        raise ConfigError(f"only a restart can change {' and '.join(keys)}; restart wsd, or change it back")


def sentenceOf(error: BaseException) -> str:
    """Why a configuration is refused, in one sentence."""
    return str(error) if isinstance(error, (ConfigError, CannotListen)) else describeError(error)


def logRefused(sentence: str) -> None:
    """Log that a reload was refused."""
    _log.error(
        "not reloaded, the old configuration stays in use: {sentence}", event="reload.refused", sentence=sentence
    )


def logChanges(before: Config, after: Config) -> ReloadOutcome:
    """Log which keys a reload has changed. Returns them."""
    changed = changes(before, after)
    _log.info(
        "reloaded, changed: {keys}" if changed else "reloaded, nothing has changed",
        event="reload.done",
        keys=", ".join(changed),
    )
    return ReloadOutcome(changed=tuple(changed))
