"""Reads a configuration file (TOML 1.0) into a `Config`, over the defaults and the built-in routes."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from importlib.resources import files
from os.path import expanduser, isdir, isfile, join
from typing import Any

from wsd.config.shape import Certificate, Config, Log, Policies, Route, Tls
from wsd.config.values import ConfigError, nearest, read, readFields, refuseUnknown, show, tableOf, token

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
    "/xmpp": {"protocol": "xmpp"},
    "/xmpp-websocket": {"protocol": "xmpp"},
    "/soap": {"protocol": "soap"},
}
"""The routes there are without a file, as a file would write them."""

HANDLERS: Mapping[str, object] = {
    "protocol": "pywebsocket",
    "origins": ["*"],
    "opening_timeout": 60.0,
    "max_message": "32 MiB",
    "max_frame": "32 MiB",
}
"""The route of `handlers`: handlers decide themselves who may come, and may take their time for it."""

_OWN = ("/healthz", "/readyz", "/metrics", "/_wsd")
_PATH = re.compile(r"/[!$%&'()+,\-./0-9:;=@A-Z_a-z~]*", re.ASCII)
_POLICIES = {field.name for field in fields(Policies)}
_DAEMON = {field.name for field in fields(Policies) if field.metadata.get("daemon")}
_ROUTE = {"protocol", "subprotocols", "prefer", "require_subprotocol", "origins", "clients", "enabled"}
_TABLES = ("policies", "tls", "log", "route")


def defaultText() -> str:
    """The whole default file: every key with its default, and what it is for."""
    return files("wsd.config").joinpath("default.toml").read_text("utf-8")


def stateFolder(environ: Mapping[str, str]) -> str:
    """The folder for what the daemon keeps: $STATE_DIRECTORY, else wsd in the user's XDG state folder. Not created."""
    given = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return given
    home = environ.get("HOME") or expanduser("~")
    return join(environ.get("XDG_STATE_HOME") or join(home, ".local", "state"), "wsd")


def parse(
    text: str,
    optionsOf: Callable[[str], type],
    overrides: Mapping[str, object] | None = None,
    folder: str = "",
) -> Config:
    """
    The configuration that `text` (TOML) makes of the defaults.

    `optionsOf` gives a protocol's frozen dataclass of options by the protocol's name, or raises ConfigError with a
    sentence. `overrides` are values by dotted key ("tls.port") that win over the file's; `folder` is what relative
    paths in the file are relative to. Raises ConfigError.
    """
    table = _toml(text)
    refuseUnknown(table, [field.name for field in fields(Config) if field.name != "routes"] + ["route"], "")
    for key, value in (overrides or {}).items():
        _override(table, key, value)
    policies = _policies(tableOf(table.get("policies", {}), "policies"))
    values = _top(table, folder)
    tables = tableOf(table.get("route", {}), "route")
    routes = _routes(tables, _builtIn(values, tables), policies, optionsOf, folder)
    if values.get("built_in", True):
        routes = {key: replace(route, builtIn=_isBuiltIn(key, route, policies)) for key, route in routes.items()}
    config = Config(
        **values,
        policies=policies,
        tls=_tls(tableOf(table.get("tls", {}), "tls"), folder),
        log=_log(tableOf(table.get("log", {}), "log"), folder),
        routes=routes,
    )
    if config.port is None and not (config.listen or config.tls.port is not None or config.tls.listen):
        raise ConfigError(
            "port: false leaves nothing to listen on; write a port, or some listen, tls.port or tls.listen"
        )
    for key, route in config.routes.items():
        if route.clients and config.tls.client_auth == "none":
            raise ConfigError(
                f'route."{key}".clients: no client is asked for a certificate; set tls.client_auth to "optional" '
                'or "required"'
            )
    return config


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        sentence, _, place = str(error).partition(" (at ")
        place = place.removesuffix(")")
        if not place.startswith("line"):
            place = f"line {text.count(chr(10)) + 1}"
        raise ConfigError(f"{place}: this is not TOML: {sentence[:1].lower()}{sentence[1:]}") from None


def _override(table: dict[str, Any], key: str, value: object) -> None:
    *above, last = key.split(".")
    for number, name in enumerate(above):
        table = tableOf(table.setdefault(name, {}), ".".join(above[: number + 1]))
    table[last] = value


def _top(table: Mapping[str, Any], folder: str) -> dict[str, Any]:
    plain = {key: value for key, value in table.items() if key not in _TABLES}
    none = plain.get("port") is False or ("listen" in plain and "port" not in plain)
    if plain.get("port") is False:
        del plain["port"]
    values = readFields(Config, plain, "", folder)
    return {**values, "port": None} if none else values


def _policies(table: Mapping[str, Any]) -> Policies:
    refuseUnknown(table, _POLICIES, "policies.")
    return _checked(Policies(**readFields(Policies, table, "policies.")), table, "policies.")


def _checked(policies: Policies, table: Mapping[str, Any], where: str) -> Policies:
    """The policies, when they go together; `table` is what was written, to name the key a person can change."""
    if policies.low_water >= policies.high_water:
        key = "low_water" if "low_water" in table else "high_water"
        raise ConfigError(
            f"{where}{key}: low_water ({policies.low_water} bytes) must be less than high_water ({policies.high_water})"
        )
    if policies.max_unsent < policies.high_water + policies.max_message:
        key = next((key for key in ("max_unsent", "max_message") if key in table), "high_water")
        raise ConfigError(
            f"{where}{key}: max_unsent ({policies.max_unsent} bytes) must have room for max_message "
            f"({policies.max_message}) above high_water ({policies.high_water})"
        )
    return policies


# -- tls and log ------------------------------------------------------------------------------------------------------


def _tls(table: Mapping[str, Any], folder: str) -> Tls:
    refuseUnknown(table, [field.name for field in fields(Tls)], "tls.")
    plain = {key: value for key, value in table.items() if key != "certificate"}
    tls = Tls(**readFields(Tls, plain, "tls.", folder), certificate=_certificates(table.get("certificate", []), folder))
    listens = tls.port is not None or tls.listen
    if listens and not (tls.certificate or tls.self_signed):
        key = "port" if tls.port is not None else "listen"
        raise ConfigError(
            f"tls.{key}: TLS needs a certificate; add a [[tls.certificate]] (--tls-cert, --tls-key), "
            "or self_signed = true (--tls-self-signed) to develop with"
        )
    if not listens and (tls.certificate or tls.self_signed):
        key = "certificate" if tls.certificate else "self_signed"
        raise ConfigError(f"tls.{key}: nothing listens with TLS; add a tls.port (--tls-port), say 9999, or tls.listen")
    if tls.client_auth != "none" and tls.client_ca is None:
        raise ConfigError(
            f'tls.client_auth: "{tls.client_auth}" needs tls.client_ca, the file of the authorities to trust'
        )
    if tls.client_ca is not None and tls.client_auth == "none":
        raise ConfigError(
            'tls.client_ca: is not used while tls.client_auth is "none"; set that to "optional" or "required"'
        )
    if tls.client_crl is not None and tls.client_ca is None:
        raise ConfigError(
            "tls.client_crl: is not used without tls.client_ca; name the file of the authorities to trust"
        )
    return tls


def _certificates(value: object, folder: str) -> tuple[Certificate, ...]:
    if not isinstance(value, list):
        raise ConfigError(
            f"tls.certificate: {show(value)} is not a list of tables; write [[tls.certificate]], twice bracketed"
        )
    certificates = []
    for number, item in enumerate(value, 1):
        where = f"tls.certificate[{number}]"
        table = tableOf(item, where)
        refuseUnknown(table, ("cert", "key"), f"{where}.")
        paths = readFields(Certificate, table, f"{where}.", folder)
        if "cert" not in paths:
            raise ConfigError(f"{where}.cert: is missing; write the path of the certificate's PEM file")
        certificates.append(Certificate(paths["cert"], paths.get("key", paths["cert"])))
    return tuple(certificates)


def _log(table: Mapping[str, Any], folder: str) -> Log:
    refuseUnknown(table, [field.name for field in fields(Log)], "log.")
    return Log(**readFields(Log, table, "log.", folder))


# -- routes -----------------------------------------------------------------------------------------------------------


def _routes(
    tables: Mapping[str, Any],
    builtIn: Mapping[str, Mapping[str, object]],
    policies: Policies,
    optionsOf: Callable[[str], type],
    folder: str,
) -> dict[str, Route]:
    routes = {}
    for key in [*builtIn, *(key for key in tables if key not in builtIn)]:
        where = f'route."{key}"'
        _checkPath(key, where)
        table = {**builtIn.get(key, {}), **tableOf(tables.get(key, {}), where)}
        try:
            enabled = read(bool, {}, table.pop("enabled", True))
        except ValueError as error:
            raise ConfigError(f"{where}.enabled: {error}") from None
        if enabled:
            routes[key] = _route(key, table, policies, optionsOf, folder)
    return routes


def _builtIn(values: Mapping[str, Any], tables: Mapping[str, Any]) -> Mapping[str, Mapping[str, object]]:
    """
    The built-in routes. A handler in the folder replaces a route with its path.

    Without `built_in` only those that the file names remain, with their keys.
    """
    builtIn = {key: table for key, table in BUILT_IN.items() if key in tables or values.get("built_in", True)}
    handlers = values.get("handlers")
    if handlers is None:
        return builtIn
    if not isdir(handlers):
        raise ConfigError(f"handlers: {handlers} is not a folder; name the one where the *_wsh.py files are")
    kept = {key: table for key, table in builtIn.items() if key in tables or not isfile(f"{handlers}{key}_wsh.py")}
    return {
        **kept,
        "/*": {**HANDLERS, "handlers": handlers, "handlers_strict": values.get("handlers_strict", False)},
    }


def _isBuiltIn(key: str, route: Route, policies: Policies) -> bool:
    """Whether a route is the built-in one of its path, unchanged."""
    shapes = {name: type(options) for name, options in route.options.items()}
    try:
        return key in BUILT_IN and route == _route(key, dict(BUILT_IN[key]), policies, shapes.__getitem__, "")
    except (ConfigError, KeyError):
        # These policies do not allow it unchanged, or another protocol answers there.
        return False


def _checkPath(key: str, where: str) -> None:
    path = key.removesuffix("/*") or "/"
    if not key.startswith("/") or not _PATH.fullmatch(path) or (path.endswith("/") and path != "/"):
        raise ConfigError(f'{where}: is not a path; write "/name", or "/name/*" for all that lies under it as well')
    for own in _OWN:
        if path == own or path.startswith(own + "/"):
            raise ConfigError(f"{where}: {own} belongs to the daemon itself; choose another path")


def _route(key: str, table: dict[str, Any], policies: Policies, optionsOf: Callable[[str], type], folder: str) -> Route:
    where = f'route."{key}".'
    single, protocol = _protocol(table.get("protocol"), where)
    shapes = _shapes({single} if single is not None else set(protocol.values()), where, optionsOf)
    own = {field.name for shape in shapes.values() for field in fields(shape)}
    for name in _DAEMON.intersection(table):
        raise ConfigError(f"{where}{name}: holds for the whole daemon; write it in [policies]")
    refuseUnknown(table, _ROUTE | (_POLICIES - _DAEMON) | own, where)
    values = readFields(Route, {name: table[name] for name in _ROUTE & set(table) if name != "protocol"}, where)
    if protocol:
        values["subprotocols"] = _spoken(values.get("subprotocols"), protocol, where)
    if values.get("require_subprotocol") and values.get("subprotocols") == ():
        raise ConfigError(f"{where}require_subprotocol: nobody could connect, since subprotocols is empty; name some")
    return Route(
        path=key.removesuffix("/*"),
        prefix=key.endswith("/*"),
        protocol=protocol,
        single=single,
        options={name: _options(shape, table, where, folder) for name, shape in shapes.items()},
        policies=_checked(replace(policies, **readFields(Policies, table, where)), table, where),
        **values,
    )


def _protocol(value: object, where: str) -> tuple[str | None, dict[str, str]]:
    """The one protocol's name, or the table of them by subprotocol."""
    where += "protocol"
    if value is None:
        raise ConfigError(f'{where}: is missing; write protocol = "echo", or another protocol\'s name')
    if isinstance(value, str):
        return value, {}
    if not isinstance(value, dict) or not value:
        raise ConfigError(f'{where}: {show(value)} is not a protocol; write "echo", or {{"" = "echo", chat = "echo"}}')
    for subprotocol, name in value.items():
        if not isinstance(name, str):
            raise ConfigError(f'{where}."{subprotocol}": {show(name)} is not the name of a protocol; write "echo"')
        if subprotocol:
            try:
                token(subprotocol)
            except ValueError as error:
                raise ConfigError(f'{where}."{subprotocol}": {error}') from None
    return None, value


def _shapes(names: set[str], where: str, optionsOf: Callable[[str], type]) -> dict[str, type]:
    shapes = {}
    for name in sorted(names):
        try:
            shapes[name] = optionsOf(name)
        except ConfigError as error:
            raise ConfigError(f"{where}protocol: {error}") from None
    return shapes


def _spoken(given: tuple[str, ...] | None, protocol: Mapping[str, str], where: str) -> tuple[str, ...]:
    """The subprotocols of a table, in the order of `subprotocols` or else in the table's own."""
    names = tuple(name for name in protocol if name)
    if given is None:
        return names
    for name in given:
        if name not in names:
            raise ConfigError(f'{where}subprotocols: no protocol is named for "{name}"; {nearest(name, names)}')
    return given


def _options(shape: type, table: Mapping[str, Any], where: str, folder: str) -> object:
    try:
        return shape(**readFields(shape, table, where, folder))
    except ValueError as error:
        raise ConfigError(f"{where}{error}") from None
