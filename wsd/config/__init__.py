"""
The configuration: TOML as frozen dataclasses, checked to the last key. Standard library only.

`schema` has the dataclasses, made of `fields`. `reading` reads a file, `routes` its routes, `tables` a table, and
`values` one value, each by means of the next; `policies` checks them together, and `subjects` reads rules for client
certificates. `auth` and `traces` have the keys of those tables. `code` loads the Python code that a route names, and
`uses` says whether there are the pages of uses. `environment` has the variables that override the file, and `variables`
reads their values. `sources` says where each value came from, and `effective` prints what is in force. `default.toml`
is the default configuration with comments. `state` is the daemon's state folder, `stores` checks an SQLite file in it,
`sockets` says where the control socket is, and `changes` lists what a reload has changed.
"""

from wsd.config.errors import ConfigError
from wsd.config.reading import defaultText, parse
from wsd.config.schema import AccessLog, Certificate, Config, Control, Log, Policies, Route, Tls, Uses
from wsd.config.state import stateFolder
from wsd.config.traces import Traces

__all__ = [
    "AccessLog",
    "Certificate",
    "Config",
    "ConfigError",
    "Control",
    "Log",
    "Policies",
    "Route",
    "Tls",
    "Traces",
    "Uses",
    "defaultText",
    "parse",
    "stateFolder",
]
