"""
The configuration: TOML as frozen dataclasses, checked to the last key. Standard library only.

`shape` says what there is, `values` reads one value, `reading` reads a file, `default.toml` is the whole of it with its
defaults and comments.
"""

from wsd.config.reading import defaultText, parse, stateFolder
from wsd.config.shape import Certificate, Config, Log, Policies, Route, Tls
from wsd.config.values import ConfigError

__all__ = [
    "Certificate",
    "Config",
    "ConfigError",
    "Log",
    "Policies",
    "Route",
    "Tls",
    "defaultText",
    "parse",
    "stateFolder",
]
