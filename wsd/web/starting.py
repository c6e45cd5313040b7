"""Starts the factory of a route. If that fails, only this route answers 503, until a reload."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.config import ConfigError
from wsd.connection import CannotStart, Factory

_log = Logger(namespace="wsd")


_FAILED = "{route} could not be started and answers 503; all other routes work: {sentence}"
_KEPT = "{route} could not be started after the reload and serves as before: {sentence}"


def start(factory: Factory, hasOther: bool = False) -> Deferred[Any]:
    """
    Start a factory, which answers 503 until it has started. Fires when it has started or failed.

    With `hasOther`, the factory before it serves until then, and serves on if this one fails.
    """
    factory.unusable = "it is starting"
    return maybeDeferred(factory.started).addCallbacks(
        lambda _: _started(factory), lambda failure: _failed(factory, failure, _KEPT if hasOther else _FAILED)
    )


def _started(factory: Factory) -> None:
    factory.unusable = None


def _failed(factory: Factory, failure: Failure, words: str) -> None:
    error, path = failure.value, factory.route.path
    factory.hasFailed = True
    factory.unusable = f"it could not be started: {_cause(error)}"
    if isinstance(error, (CannotStart, ConfigError, OSError)):
        _log.error(words, event="route.unusable", route=path, sentence=_sentence(error))
    else:
        _log.failure(words, failure, event="route.unusable", route=path, sentence=_cause(error))


def _cause(error: BaseException | None) -> str:
    """The cause, without names of files, which clients may see."""
    if isinstance(error, CannotStart):
        return error.cause
    if isinstance(error, ConfigError):
        return "its configuration is invalid"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _sentence(error: CannotStart | ConfigError | OSError) -> str:
    """The cause for the log, with the name of the file."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {_cause(error)}"
    return str(error) or _cause(error)
