"""
The configuration: TOML as frozen dataclasses, checked to the last key. Standard library only.

`shape` says what there is, made of `fields`. `reading` reads a file, `routes` the routes in it, `tables` a table, and
`values` one value, each by the next. `default.toml` is the whole of it with its defaults and comments. `state` is the
folder for what the daemon keeps, `stores` checks a store in it, and `changes` tells what a reload has changed.
"""

from wsd.config.errors import ConfigError
from wsd.config.reading import defaultText, parse
from wsd.config.schema import Certificate, Config, Log, Policies, Route, Tls
from wsd.config.state import stateFolder

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
