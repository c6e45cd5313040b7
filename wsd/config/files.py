"""Reads a configuration file from disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import MappingProxyType

from wsd.config.environment import Environment
from wsd.config.errors import ConfigError
from wsd.config.reading import parse, readToml
from wsd.config.schema import Config
from wsd.config.sources import ValueSource
from wsd.config.tables import Table
from wsd.config.uses import UsesOffer
from wsd.config.variables import VariableError


def readFile(
    path: str | None,
    optionsOf: Callable[[str], type],
    overrides: Mapping[str, object] | None = None,
    offer: UsesOffer | None = None,
    environ: Mapping[str, str] = MappingProxyType({}),
    sources: dict[str, ValueSource] | None = None,
) -> Config:
    """
    Read the configuration in a file (None: the defaults), with `overrides` by dotted key.

    `optionsOf`, `offer`, `environ` and `sources` are as in `parse`. Raises ConfigError, whose message begins with the
    file's path.
    """
    if path is None:
        return parse("", optionsOf, overrides, "", offer, environ, sources)
    text = _textOf(path)
    try:
        return parse(text, optionsOf, overrides, os.path.dirname(os.path.abspath(path)), offer, environ, sources)
    except VariableError:
        raise
    except ConfigError as error:
        raise ConfigError(error.sentence, error.key, path) from None


def environmentOf(path: str | None, optionsOf: Callable[[str], type], environ: Mapping[str, str]) -> Environment:
    """The variables for the configuration in a file. Raises ConfigError."""
    return Environment(environ, Table({} if path is None else readToml(_textOf(path))), optionsOf)


def _textOf(path: str) -> str:
    try:
        # Some editors begin a file with a byte order mark, which "utf-8-sig" skips.
        with open(path, encoding="utf-8-sig") as file:
            return file.read()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}; use a file that wsd can read", path=path) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"is not UTF-8 at byte {error.start}; save it as UTF-8", path=path) from None
