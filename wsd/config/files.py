"""Reads a configuration file from disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from wsd.config.errors import ConfigError
from wsd.config.reading import parse
from wsd.config.schema import Config
from wsd.config.uses import UsesOffer


def readFile(
    path: str | None,
    optionsOf: Callable[[str], type],
    overrides: Mapping[str, object] | None = None,
    offer: UsesOffer | None = None,
) -> Config:
    """
    Read the configuration in a file (None: the defaults), with `overrides` by dotted key.

    `optionsOf` and `offer` are as in `parse`. Raises ConfigError, whose message begins with the file's path.
    """
    if path is None:
        return parse("", optionsOf, overrides, offer=offer)
    try:
        # Some editors begin a file with a byte order mark, which "utf-8-sig" skips.
        with open(path, encoding="utf-8-sig") as file:
            text = file.read()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}; name a file that wsd may read", path=path) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"is not UTF-8 at byte {error.start}; save it as UTF-8", path=path) from None
    try:
        return parse(text, optionsOf, overrides, os.path.dirname(os.path.abspath(path)), offer)
    except ConfigError as error:
        raise ConfigError(error.sentence, error.key, path) from None
