"""
The configuration by environment variables: each key has a variable, and each variable may be the content of a file.

`port` is WSD_PORT, `tls.port` is WSD_TLS_PORT, and `origins` of the route /echo is WSD_ROUTE_ECHO_ORIGINS. A new route
has a name of one's own, and its path in WSD_ROUTE_NAME_PATH. The variable with _FILE behind its name has the path of a
file with the value, which is how containers get secrets. A credential of systemd (systemd.exec(5)) has the name of the
variable. An empty variable is the same as none.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, fields, replace
from typing import Any, get_type_hints

from wsd.config.auth import Auth
from wsd.config.errors import ConfigError
from wsd.config.routes import BUILT_IN, ROUTE_POLICIES
from wsd.config.schema import AccessLog, Certificate, Config, Control, Log, Policies, Route, Tls, Uses
from wsd.config.tables import Table
from wsd.config.traces import Traces
from wsd.config.values import nearest
from wsd.config.variables import Key, Setting, VariableError, settingOf, valueOf

PREFIX = "WSD_"
FILE = "_FILE"

OTHERS = ("WSD_CONFIG",)
"""Variables that are no keys: WSD_CONFIG names the configuration file."""

TABLES: Mapping[str, type] = {
    "policies": Policies,
    "auth": Auth,
    "tls": Tls,
    "log": Log,
    "access": AccessLog,
    "traces": Traces,
    "control": Control,
    "uses": Uses,
}
"""The tables of the configuration by name."""

_LINKS = re.compile(r"WSD_SERVICE_(HOST|PORT(_\w+)?)|WSD_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?")
"""Variables that Kubernetes sets in every pod beside a service called wsd."""
_LINK = re.compile(r"(tcp|udp|sctp)://")
"""The value of WSD_PORT that Kubernetes sets."""

_TABLE_PREFIXES = tuple(f"{PREFIX}{name.upper()}_" for name in (*TABLES, "route"))
"""What the variables of keys in tables begin with. No other program's do."""

_ROUTE_KEYS = ("subprotocols", "prefer", "require_subprotocol", "origins", "clients")


class Environment:
    """The variables that the configuration of one daemon may have; `table` is its file, `builtIn` its other routes."""

    def __init__(
        self,
        environ: Mapping[str, str],
        table: Table,
        optionsOf: Callable[[str], type],
        builtIn: Mapping[str, Mapping[str, object]] = BUILT_IN,
    ) -> None:
        self._environ = environ
        self._table = table
        self._optionsOf = optionsOf
        self._builtIn = builtIn

    def keys(self) -> Mapping[str, Key]:
        """All keys by variable. A variable that would stand for two keys is left out."""
        return {variable: found[0] for variable, found in self._allKeys().items() if len(found) == 1}

    def _allKeys(self) -> Mapping[str, list[Key]]:
        return _byVariable([*_plainKeys(), *self.routeKeys()])

    def settings(self) -> list[Setting]:
        """What the environment sets. Raises `VariableError`, with a variable that is unknown or wrong."""
        given = dict(self._given())
        if not given:
            return []
        hasRoutes = any(name.startswith("WSD_ROUTE_") for name in given)
        keys = self._allKeys() if hasRoutes else _byVariable(_plainKeys())
        found: dict[str, Setting] = {}
        for variable, (text, isFile) in given.items():
            name = variable
            if name not in keys and name.endswith(FILE):
                name, isFile = name.removesuffix(FILE), True
            meant = keys.get(name, [])
            if len(meant) > 1:
                both = " and ".join(key.name for key in meant)
                raise VariableError(f"stands for both {both}; write them into a file", variable)
            if not meant:
                if variable.startswith(_TABLE_PREFIXES):
                    raise VariableError(f"there is no such key; {nearest(name, keys)}", variable)
                continue
            setting = settingOf(meant[0], text, variable, isFile)
            other = found.setdefault(name, setting)
            if other is not setting:
                raise VariableError(f"{other.source} is set as well; remove one of them", variable)
        return list(found.values())

    def unknown(self) -> list[str]:
        """A warning for each variable that is no key. They may be another program's, such as WSD_VERSION."""
        given = [name for name, _ in self._given()]
        keys = self._allKeys() if given else {}
        names = [name for name in given if not {name, name.removesuffix(FILE)} & keys.keys()]
        return [f"{name}: there is no such key, so it is ignored; {nearest(name, keys)}" for name in names]

    def _given(self) -> Iterator[tuple[str, tuple[str, bool]]]:
        """The variables and credentials: the name, the value or the path of the file, and which of both it is."""
        folder = self._environ.get("CREDENTIALS_DIRECTORY")
        names = _credentialsIn(folder) if folder else []
        for name in names:
            yield name, (os.path.join(folder or "", name), True)
        for name, text in self._environ.items():
            if name.startswith(PREFIX) and text and name not in OTHERS and not _isLink(name, text):
                if name in names:
                    raise VariableError("there is a credential of this name as well; remove one of them", name)
                yield name, (text, False)

    # -- routes ---------------------------------------------------------------------------------------------------

    def routeKeys(self) -> Iterator[tuple[str, Key]]:
        """The keys of all routes, by variable."""
        for name, path in self._routes():
            yield f"{PREFIX}ROUTE_{name}_PATH", Key(("route", path, "path"), "str")
            for key in self._keysOfRoute(name, path):
                yield f"{PREFIX}ROUTE_{name}_{'_'.join(key.path[2:]).upper()}", key

    def _routes(self) -> Iterator[tuple[str, str]]:
        """The names and paths of all routes: built-in ones, those of the file, and those of the environment."""
        written = self._table.table("route")
        own = {match[1]: text for name, text in self._environ.items() if (match := _NEW.fullmatch(name)) and text}
        known = {path: nameOf(path) for path in (*self._builtIn, *written) if path not in own.values()}
        yield from ((name, path) for path, name in known.items() if name not in own)
        yield from own.items()

    def _keysOfRoute(self, name: str, path: str) -> Iterator[Key]:
        """The keys of a route. The default is what the route has; none for a policy that it has from the daemon."""
        given = {**self._builtIn.get(path, {}), **self._table.table("route").table(path).values}
        protocol = self._environ.get(f"{PREFIX}ROUTE_{name}_PROTOCOL") or given.get("protocol")
        place = ("route", path)
        yield Key((*place, "protocol"), "protocol", {}, given.get("protocol"))
        yield Key((*place, "enabled"), "bool", {}, given.get("enabled", True))
        own = {key.name: key for key in _keysOf(Route, place, _ROUTE_KEYS)}
        for options in self._optionsOfAll(protocol):
            for key in _keysOf(options, place):
                # Protocols may share the name of a key, and have other defaults.
                other = own.setdefault(key.name, key)
                own[key.name] = key if other.default == key.default else replace(key, default=None)
        for key in _keysOf(Policies, place, ROUTE_POLICIES):
            yield replace(key, default=given.get(key.path[-1]))
        for key in _keysOf(Auth, (*place, "auth")):
            yield replace(key, default=Table(given).table("auth").get(key.path[-1]))
        for key in own.values():
            yield replace(key, default=given.get(key.path[-1], key.default))

    def _optionsOfAll(self, protocol: object) -> Iterator[type]:
        """The options of a route's protocols. One that cannot be loaded is reported when the route is read."""
        if isinstance(protocol, str):
            protocol = valueOf("protocol", {}, protocol)
        for name in protocol.values() if isinstance(protocol, Mapping) else [protocol]:
            try:
                yield self._optionsOf(str(name))
            except ConfigError:
                continue


_NEW = re.compile(r"WSD_ROUTE_([A-Z0-9_]+)_PATH")


def nameOf(path: str) -> str:
    """The name of a route in variables: ECHO for /echo, USES_TOPICS for /uses/topics/*, ROOT for /."""
    return re.sub("[^A-Z0-9]+", "_", path.removesuffix("/*").upper()).strip("_") or "ROOT"


def _byVariable(pairs: Iterable[tuple[str, Key]]) -> Mapping[str, list[Key]]:
    """The keys that each variable stands for."""
    keys: dict[str, list[Key]] = {}
    for variable, key in pairs:
        found = keys.setdefault(variable, [])
        if all(other.path != key.path for other in found):
            found.append(key)
    return keys


def _plainKeys() -> Iterator[tuple[str, Key]]:
    """The keys outside of routes, by variable."""
    for key in _keysOf(Config, (), [each.name for each in fields(Config) if each.name not in (*TABLES, "routes")]):
        yield f"{PREFIX}{key.path[0].upper()}", key
    for name, shape in TABLES.items():
        for key in _keysOf(shape, (name,)):
            yield f"{PREFIX}{name.upper()}_{key.path[1].upper()}", key
    for key in _keysOf(Certificate, ("tls", "certificate")):
        yield f"{PREFIX}TLS_CERTIFICATE_{key.path[2].upper()}", key


def _keysOf(shape: type, place: tuple[str, ...], names: Iterable[str] | None = None) -> Iterator[Key]:
    hints = get_type_hints(shape)
    known: dict[str, Field[Any]] = {each.name: each for each in fields(shape)}
    for name in known if names is None else names:
        each = known[name]
        kind = hints[name]
        text = str(getattr(kind, "__name__", kind) if isinstance(kind, type) else kind).removesuffix(" | None")
        default = each.metadata.get("default", None if each.default is MISSING else each.default)
        yield Key((*place, name), text, each.metadata, default)


def _credentialsIn(folder: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if name.startswith(PREFIX))
    except OSError:
        return []


def _isLink(name: str, text: str) -> bool:
    return bool(_LINKS.fullmatch(name)) or (name == "WSD_PORT" and bool(_LINK.match(text)))


# -- applying ---------------------------------------------------------------------------------------------------------


def apply(settings: Iterable[Setting], table: Table) -> None:
    """Put the settings into the table of a file. Raises ConfigError if that has a value where a table must be."""
    pair: dict[str, dict[str, object]] = defaultdict(dict)
    for setting in settings:
        *place, name = setting.key.path
        if place == ["tls", "certificate"]:
            pair["certificate"][name] = setting.value
        elif name != "path" or place[:1] != ["route"]:
            table.put(place, name, setting.value)
        else:
            table.within(place)
    if pair:
        table.put(["tls"], "certificate", [pair["certificate"]])
