"""Reads the routes, which are built in or named in the file, with the options of their protocols."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, replace
from os.path import isdir, isfile
from typing import Any

from wsd.config.auth import Auth, checkAuth
from wsd.config.code import versionOf
from wsd.config.errors import ConfigError
from wsd.config.policies import checkPolicies
from wsd.config.schema import Policies, Route
from wsd.config.tables import Table
from wsd.config.uses import UsesOffer
from wsd.config.values import nearest, reference, show, splitReference, token

BUILT_IN: Mapping[str, Mapping[str, object]] = {
    "/": {"protocol": "echo", "origins": ["same-host", "null"]},
    "/echo": {
        "protocol": "echo",
        "subprotocols": ["soap", "xmpp"],
        "origins": ["same-host", "null"],
        "max_message": "32 MiB",
        "max_frame": "32 MiB",
    },
    "/ws": {"protocol": {"": "echo", "echo": "echo", "xmpp": "xmpp", "soap": "soap"}},
    "/describe": {"protocol": "describe", "origins": ["same-host", "null"]},
    "/blob": {"protocol": "blob", "deflate": False},
    "/canvas/*": {"protocol": "canvas", "deflate": False},
    "/topics/*": {"protocol": "topics"},
    "/yjs/*": {"protocol": "yjs", "max_message": "4 MiB"},
    "/xmpp": {"protocol": "xmpp"},
    "/xmpp-websocket": {"protocol": "xmpp"},
    "/soap": {"protocol": "soap"},
}
"""The routes that exist without a file, in the form of a file."""

HANDLERS: Mapping[str, object] = {
    "protocol": "pywebsocket",
    "origins": ["*"],
    "opening_timeout": 60.0,
    "max_message": "32 MiB",
    "max_frame": "32 MiB",
}
"""The route of `handlers`. Handlers check origins themselves, and that may take long."""

_OWN = ("/healthz", "/readyz", "/metrics", "/_wsd")
"""Paths of the daemon's own pages, which no route may have."""

_PATH = re.compile(r"/[!$%&'()+,\-./0-9:;=@A-Z_a-z~]*", re.ASCII)
_POLICIES = {field.name for field in fields(Policies)}
_DAEMON = {field.name for field in fields(Policies) if field.metadata.get("daemon")}
ROUTE_POLICIES = [field.name for field in fields(Policies) if field.name not in _DAEMON]
"""The policies that a route may override."""
_NO_AUTH = Auth()
_ROUTE = {"subprotocols", "prefer", "require_subprotocol", "origins", "clients"}


class RouteReader:
    """
    Reads routes. Each overrides the daemon's policies.

    `optionsOf` returns a protocol's dataclass of options by the protocol's name. All methods raise ConfigError.
    """

    def __init__(
        self,
        policies: Policies,
        optionsOf: Callable[[str], type],
        folder: str,
        auth: Auth = _NO_AUTH,
    ) -> None:
        self._policies = policies
        self._auth = auth
        self._optionsOf = optionsOf
        self._folder = folder

    def readAll(self, tables: Table, daemon: Mapping[str, Any], uses: UsesOffer | None = None) -> dict[str, Route]:
        """The routes of the file over the built-in ones; `daemon` has the values of the daemon's own keys."""
        builtIn = _builtIn(tables, daemon, uses)
        routes = {}
        for key in [*builtIn, *(key for key in tables if key not in builtIn)]:
            _checkPath(key, tables.keyOf(f'"{key}"'))
            own = Table(tables.get(key, {}), tables.keyOf(f'"{key}"'))
            table = Table({**builtIn.get(key, {}), **own.values}, own.name, self._folder)
            if table.read("enabled", bool, {}, True):
                routes[key] = self.read(key, table.without("enabled"))
        if daemon.get("built_in", True):
            routes = {key: replace(route, builtIn=self._isBuiltIn(key, route)) for key, route in routes.items()}
        return routes

    def read(self, key: str, table: Table) -> Route:
        """One route."""
        single, protocol = _protocol(table)
        classes = self._classes({single} if single is not None else set(protocol.values()), table)
        own = {field.name for each in classes.values() for field in fields(each)}
        for name in _DAEMON.intersection(table):
            raise table.error(name, "applies to the whole daemon; move it to [policies]")
        table.refuseUnknown(_ROUTE | {"protocol", "enabled", "auth"} | (_POLICIES - _DAEMON) | own)
        values = table.without(*(set(table) - _ROUTE)).readFields(Route)
        if protocol:
            values["subprotocols"] = _spoken(values.get("subprotocols"), protocol, table)
        if values.get("require_subprotocol") and values.get("subprotocols") == ():
            raise table.error(
                "require_subprotocol", "nobody could connect, because subprotocols is empty; list at least one"
            )
        policies = replace(self._policies, **table.readFields(Policies))
        checkPolicies(policies, table)
        auth = self._readAuth(table.table("auth"))
        options = {name: _options(each, table) for name, each in classes.items()}
        return Route(
            path=key.removesuffix("/*"),
            prefix=key.endswith("/*"),
            protocol=protocol,
            single=single,
            options=options,
            code={text: versionOf(text) for text in (*_code(options), *auth.code)},
            policies=policies,
            auth=auth,
            **values,
        )

    def _readAuth(self, table: Table) -> Auth:
        auth = replace(self._auth, **table.readOnly(Auth))
        checkAuth(auth, table)
        return auth

    def _classes(self, names: set[str], table: Table) -> dict[str, type]:
        classes = {}
        for name in sorted(names):
            try:
                classes[name] = self._optionsOf(name)
            except ConfigError as error:
                raise table.error("protocol", str(error)) from None
        return classes

    def _isBuiltIn(self, key: str, route: Route) -> bool:
        """Whether a route equals the built-in one of its path."""
        classes = {name: type(options) for name, options in route.options.items()}
        reader = RouteReader(self._policies, classes.__getitem__, "", self._auth)
        try:
            return key in BUILT_IN and route == reader.read(key, Table(dict(BUILT_IN[key])))
        except (ConfigError, KeyError):
            # The policies contradict the built-in route, or another protocol answers there.
            return False


def _builtIn(tables: Table, daemon: Mapping[str, Any], uses: UsesOffer | None) -> Mapping[str, Mapping[str, object]]:
    """
    The built-in routes. A handler in the folder of `handlers` replaces the built-in route of its path.

    If `built_in` is false, only the ones that the file names are left, with their built-in keys, and those of the pages
    of uses.
    """
    named = {*tables, *(uses.needed if uses is not None else ())}
    builtIn = {key: table for key, table in BUILT_IN.items() if key in named or daemon.get("built_in", True)}
    if uses is not None:
        builtIn |= uses.routes
    handlers = daemon.get("handlers")
    if handlers is None:
        return builtIn
    if not isdir(handlers):
        raise ConfigError(f"{handlers} is not a folder; name the folder with the *_wsh.py files", "handlers")
    kept = {key: table for key, table in builtIn.items() if key in tables or not isfile(f"{handlers}{key}_wsh.py")}
    return {
        **kept,
        "/*": {**HANDLERS, "handlers": handlers, "handlers_strict": daemon.get("handlers_strict", False)},
    }


def _checkPath(key: str, name: str) -> None:
    path = key.removesuffix("/*") or "/"
    if not key.startswith("/") or not _PATH.fullmatch(path) or (path.endswith("/") and path != "/"):
        raise ConfigError('is not a path; write "/name", or "/name/*" to include everything below it', name)
    for own in _OWN:
        if path == own or path.startswith(own + "/"):
            raise ConfigError(f"{own} is reserved for the daemon; choose another path", name)


def _protocol(table: Table) -> tuple[str | None, dict[str, str]]:
    """The name of the only protocol, or the names of protocols by subprotocol."""
    value = table.get("protocol")
    if value is None:
        raise table.error("protocol", 'is missing; write protocol = "echo", or another protocol\'s name')
    if isinstance(value, str):
        return _named(value, "protocol", table), {}
    if not isinstance(value, dict) or not value:
        sentence = f'{show(value)} is not a protocol; write "echo", or {{"" = "echo", chat = "echo"}}'
        raise table.error("protocol", sentence)
    protocols = {}
    for subprotocol, name in value.items():
        if not isinstance(name, str):
            sentence = f'{show(name)} is not the name of a protocol; write "echo"'
            raise table.error(f'protocol."{subprotocol}"', sentence)
        protocols[subprotocol] = _named(name, f'protocol."{subprotocol}"', table)
        if subprotocol:
            try:
                token(subprotocol)
            except ValueError as error:
                raise table.error(f'protocol."{subprotocol}"', str(error)) from None
    return None, protocols


def _named(name: str, key: str, table: Table) -> str:
    """The name of a protocol, or a reference to the Python code of one."""
    if ":" not in name and not name.endswith(".py"):
        return name
    try:
        text = reference(name, table.folder)
    except ValueError as error:
        raise table.error(key, str(error)) from None
    if splitReference(text)[1] is None:
        raise table.error(key, f'{show(name)} has no class; write "{name}:ShoutFactory"')
    return text


def _code(options: Mapping[str, Any]) -> Iterator[str]:
    """The references to Python code in the names of protocols, and in their options."""
    for name, own in options.items():
        if ":" in name:
            yield name
        for field in fields(own):
            value = getattr(own, field.name)
            if field.metadata.get("code") and value is not None:
                yield value
            yield from field.metadata.get("codeIn", _none)(value)


def _none(value: object) -> Iterable[str]:
    return ()


def _spoken(given: tuple[str, ...] | None, protocol: Mapping[str, str], table: Table) -> tuple[str, ...]:
    """The subprotocols of a table of protocols, in the order of `subprotocols`, else in the order of the table."""
    names = tuple(name for name in protocol if name)
    if given is None:
        return names
    for name in given:
        if name not in names:
            raise table.error(
                "subprotocols", f'there is no protocol for the subprotocol "{name}"; {nearest(name, names)}'
            )
    return given


def _options(optionsClass: type, table: Table) -> object:
    """The options of a protocol. A ValueError that they raise begins with the wrong key and a colon."""
    try:
        return optionsClass(**table.readFields(optionsClass))
    except ValueError as error:
        raise ConfigError(str(error)).within(table.name) from None
