"""The keys of a route of topics."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsd.config import stateFolder
from wsd.config.stores import checkStore
from wsd.config.values import MIB
from wsd.protocols.topics.outbox import Slow
from wsd.protocols.topics.redis.address import readAddress
from wsd.protocols.topics.rules import IMPLIED, Action, Rule, decisionsOf, loadDecision, parseRule, readRule

if TYPE_CHECKING:
    # It needs PyJWT, which only a route with tokens loads.
    from wsd.auth.tokens import Verifier


def _count(default: int, unit: str, least: int = 1) -> Any:
    return field(default=default, metadata={"unit": unit, "least": least})


def _size(default: int, least: int = 0) -> Any:
    return field(default=default, metadata={"size": True, "least": least})


def _seconds(default: float, least: float = 0) -> Any:
    return field(default=default, metadata={"unit": "seconds", "least": least})


def _rules(*default: str) -> Any:
    return _optionalRules(default)


def _optionalRules(default: tuple[str, ...] | None = None) -> Any:
    return field(default=default, metadata={"eachIn": readRule, "codeIn": decisionsOf})


MEMORY, FILE = "memory", "file"


def readBackend(text: str) -> str:
    """A backend as it is configured, checked. Raises ValueError."""
    if text not in (MEMORY, FILE):
        if "://" not in text:
            raise ValueError(
                f'"{text}" is not a backend; write "memory", "file", or a URL such as "redis://localhost/0"'
            )
        readAddress(text)
    return text


@dataclass(frozen=True)
class TopicsOptions:
    """Who may do what, how many topics there may be, how much of each is kept, and what happens to slow subscribers."""

    publish: tuple[str, ...] = _rules("anyone")
    """Who may publish: rules such as "token chat/#"."""
    subscribe: tuple[str, ...] = _rules("anyone")
    """Who may subscribe."""
    history: tuple[str, ...] | None = _optionalRules()
    """Who may read earlier messages: history, last values, and everything since a position; None: as `subscribe`."""
    presence: tuple[str, ...] | None = _optionalRules()
    """Who may be present, and see who is; None: as `subscribe`."""
    direct: tuple[str, ...] | None = _optionalRules()
    """Who may send messages to one member; None: as `publish`."""
    clear: tuple[str, ...] = _rules()
    """Who may drop history and last values; nobody by default."""
    decision_timeout: float = _seconds(5.0, least=0.1)
    """Seconds that a function named in a rule may take to decide."""
    token_key: str | None = field(default=None, metadata={"path": True})
    """The file of the keys for tokens: a secret, a public key in PEM, or a JWKS."""
    token_audience: str | None = None
    """The audience (aud) that a token must have."""
    token_issuer: str | None = None
    """The issuer (iss) that a token must have."""
    backend: str = field(default="memory", metadata={"each": readBackend})
    """Where topics are kept: in "memory", in a "file", or in the Redis of a URL."""
    store: str | None = field(default=None, metadata={"path": True})
    """The file of the backend "file"; None is topics.sqlite in the state folder."""
    redis_prefix: str = "wsd:"
    """How all keys and channels in Redis begin; routes with the same prefix are one."""
    max_topics: int = _count(1000, "topics")
    """Topics at a time."""
    max_kept: int = _size(64 * MIB, least=65536)
    """Bytes of all histories and last values."""
    history_count: int = _count(100, "messages", least=0)
    """Messages in the history of a topic."""
    history_size: int = _size(MIB)
    """Bytes in the history of a topic."""
    history_age: float = _seconds(3600.0, least=0.1)
    """Seconds for which a message stays in the history."""
    max_keys: int = _count(100, "keys", least=0)
    """Last values of a topic."""
    max_subscriptions: int = _count(100, "topics")
    """Topics and filters that one connection of the enveloped form may subscribe to."""
    max_members: int = _count(1000, "members")
    """Members that are present at one topic."""
    once_age: float = _seconds(300.0, least=1)
    """Seconds for which an idempotency key is remembered."""
    slow: str = field(default=Slow.close.value, metadata={"choices": tuple(each.value for each in Slow)})
    """What happens to a subscriber that reads too slowly."""
    slow_count: int = _count(1000, "messages")
    """Messages that may wait for a subscriber, beside what its connection has taken."""
    slow_size: int = _size(MIB, least=1024)
    """Bytes of these messages."""

    def check(self) -> Sequence[str]:
        """Check that keys and decisions can be loaded. Raises ValueError."""
        warnings = checkStore(self.path(os.environ)) if self.backend == FILE else []
        for action in Action:
            for reference in decisionsOf(getattr(self, action)):
                try:
                    loadDecision(reference)
                except ValueError as error:
                    raise ValueError(f"{action}: {error}") from None
        self.verifier()
        if self.token_key is None:
            unused = [name for name in ("token_audience", "token_issuer") if getattr(self, name) is not None]
            warnings += [f"{name} is not used without token_key" for name in unused]
            if any(rule.who == "token" for rules in self.rules().values() for rule in rules):
                warnings.append('nobody has a "token" while token_key is not set; name the file of the keys')
        if self.store is not None and self.backend != FILE:
            warnings.append(f'store is not used with the backend "{self.backend}"; write backend = "file"')
        return warnings

    def lockFiles(self, environ: Mapping[str, str]) -> Sequence[Path]:
        """The files that the daemon locks, so that no other daemon uses the same store."""
        return [] if self.backend != FILE else [self.path(environ).with_suffix(".lock")]

    def path(self, environ: Mapping[str, str]) -> Path:
        """The file of the backend "file"."""
        return Path(self.store or Path(stateFolder(environ)) / "topics.sqlite")

    def rules(self) -> Mapping[Action, tuple[Rule, ...]]:
        """The rules for each action."""
        own = {action: getattr(self, action.value) for action in Action}
        for action, other in IMPLIED.items():
            if own[action] is None:
                own[action] = own[other]
        return {action: tuple(map(parseRule, texts)) for action, texts in own.items()}

    def verifier(self) -> Verifier | None:
        """What verifies tokens; None when the route takes none. Raises ValueError."""
        if self.token_key is None:
            return None
        from wsd.auth.tokens import Keys, Verifier

        try:
            keys = Keys(self.token_key)
        except OSError as error:
            raise ValueError(f"token_key: {self.token_key} cannot be read: {error.strerror}; name the file") from None
        return Verifier(keys, self.token_audience, self.token_issuer)
