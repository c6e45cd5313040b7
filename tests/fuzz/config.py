"""The configuration: any text is a `Config`, or a `ConfigError` of one line."""

from __future__ import annotations

from wsd.config import ConfigError, parse
from wsd.protocols import optionsOf


def check(data: bytes) -> None:
    """Takes the bytes of a file."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    try:
        parse(text, _optionsOf)
    except ConfigError as error:
        said = str(error)
    else:
        return
    assert said
    assert "\n" not in said, said


def _optionsOf(name: str) -> type:
    """The options of wsd's own protocols. A reference to code is refused, since a fuzzer must not run any."""
    if ":" in name or "." in name:
        raise ConfigError("a fuzzer loads no code")
    return optionsOf(name)
