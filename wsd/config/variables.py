"""The value that a variable gives to a key: its own text or that of a file, as the configuration would have it."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wsd.config.errors import ConfigError
from wsd.config.values import reference, show


class VariableError(ConfigError):
    """A mistake in a variable, which is the `key` of the error."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key that a variable can set: its place in the file, the annotation and metadata of its field, its default."""

    path: tuple[str, ...]
    kind: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    default: object = None

    @property
    def name(self) -> str:
        """Its full name, as messages have it: `tls.port`, `route."/echo".origins`."""
        return ".".join(f'"{part}"' if part.startswith("/") else part for part in self.path)


@dataclass(frozen=True, slots=True)
class Setting:
    """A key with the value that the environment gives it."""

    key: Key
    value: object
    source: str
    """The variable, or the credential."""
    isHidden: bool
    """Whether the value came from a file, and may be a secret."""


def settingOf(key: Key, text: str, variable: str, isFile: bool) -> Setting:
    """The setting of a variable, whose text may be the path of a file with the value. Raises `VariableError`."""
    if not isFile or key.metadata.get("path"):
        return Setting(key, valueOf(key.kind, key.metadata, text), variable, bool(key.metadata.get("secret")))
    try:
        with open(text, encoding="utf-8") as file:
            content = file.read()
    except OSError as error:
        raise VariableError(
            f"{text} cannot be read: {error.strerror}; name a file that wsd can read", variable
        ) from None
    except UnicodeDecodeError:
        raise VariableError(f"{text} is not UTF-8", variable) from None
    return Setting(key, valueOf(key.kind, key.metadata, content.removesuffix("\n")), variable, True)


def valueOf(kind: str, metadata: Mapping[str, Any], text: str) -> object:
    """
    The text of a variable as the file would have the value. What it cannot be stays a string, which is refused later.

    Paths are relative to the current folder.
    """
    lower = text.strip().lower()
    if metadata.get("path"):
        return os.path.abspath(text)
    if metadata.get("code") or kind == "protocol":
        return _toml(text, "{") if text.lstrip().startswith("{") else _codeOf(text)
    if kind.startswith("tuple"):
        return _toml(text, "[")
    if lower in ("true", "false") and (kind == "bool" or metadata.get("unit") == "port"):
        return lower == "true"
    if metadata.get("size") or kind in ("int", "float"):
        for number in (int, float):
            try:
                return number(lower)
            except ValueError:
                continue
    return text


def _toml(text: str, begin: str) -> object:
    """A list or a table as TOML writes it; any other text unchanged."""
    if not text.lstrip().startswith(begin):
        return text
    try:
        return tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _codeOf(text: str) -> str:
    """A reference to Python code, or a name."""
    if ":" not in text and not text.endswith(".py"):
        return text
    try:
        return reference(text, os.getcwd())
    except ValueError:
        return text


def written(value: object) -> str:
    """A value as a variable has it: a list with one string without its brackets; "" for None."""
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return str(value[0]) if len(value) == 1 else f"[{', '.join(map(show, value))}]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{show(name)} = {show(each)}" for name, each in value.items()) + " }"
    return str(value).lower() if isinstance(value, bool) else str(value)
