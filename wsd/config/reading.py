"""Reads a configuration file (TOML 1.0) into a `Config`, over the defaults and the built-in routes."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from wsd.config.auth import Auth, checkAuth
from wsd.config.environment import Environment, apply
from wsd.config.errors import ConfigError
from wsd.config.policies import checkPolicies
from wsd.config.reach import hasPlainBeyond, isLocal, mayHaveCertificates
from wsd.config.routes import BUILT_IN, RouteReader
from wsd.config.schema import AccessLog, Certificate, Config, Control, Log, Policies, Route, Tls, Uses
from wsd.config.sources import ValueSource, sourcesOf
from wsd.config.tables import Table
from wsd.config.traces import Traces
from wsd.config.uses import UsesOffer
from wsd.config.values import show
from wsd.config.variables import VariableError

_TABLES = ("policies", "auth", "tls", "log", "access", "traces", "control", "uses", "route")


def defaultText() -> str:
    """The default file: every key with its default and a comment."""
    return files("wsd.config").joinpath("default.toml").read_text("utf-8")


def parse(
    text: str,
    optionsOf: Callable[[str], type],
    overrides: Mapping[str, object] | None = None,
    folder: str = "",
    offer: UsesOffer | None = None,
    environ: Mapping[str, str] = MappingProxyType({}),
    sources: dict[str, ValueSource] | None = None,
) -> Config:
    """
    Read the TOML in `text` over the defaults.

    `optionsOf` returns a protocol's frozen dataclass of options by the protocol's name, or raises ConfigError.
    `overrides` are values by dotted key ("tls.port") that win over the file's. Relative paths in the file are relative
    to `folder`. `offer` has the routes of the pages of uses; without it there are none. `environ` has variables that
    win over the file, and not over `overrides`. `sources` gets where each value came from, by key. Raises ConfigError.
    """
    table = Table(readToml(text), folder=folder)
    table.refuseUnknown([field.name for field in fields(Config) if field.name != "routes"] + ["route"])
    builtIn = {**BUILT_IN, **(offer.routes if offer is not None else {})}
    settings = Environment(environ, table, optionsOf, builtIn).settings()
    found = sourcesOf(table, settings, overrides or {}, builtIn)
    apply(settings, table)
    for key, value in (overrides or {}).items():
        table.override(key, value)
    if sources is not None:
        sources.update(found)
    try:
        return _read(table, optionsOf, folder, offer)
    except ConfigError as error:
        source = found.get(error.key)
        if source is None or source.kind != "variable":
            raise
        raise VariableError(error.sentence, source.name) from None


def _read(table: Table, optionsOf: Callable[[str], type], folder: str, offer: UsesOffer | None) -> Config:
    """The configuration in a table."""
    policies = _policies(table.table("policies"))
    values = _top(table)
    auth = _auth(table.table("auth"))
    tls = _tls(table.table("tls"))
    uses = Uses(**table.table("uses").readOnly(Uses))
    granted = offer if offer is not None and _hasUses(uses, values, tls, offer) else None
    config = Config(
        **values,
        policies=policies,
        auth=auth,
        routes=RouteReader(policies, optionsOf, folder, auth).readAll(table.table("route"), values, granted),
        tls=tls,
        log=_log(table.table("log")),
        access=_access(table.table("access")),
        traces=Traces(**table.table("traces").readOnly(Traces)),
        control=Control(**table.table("control").readOnly(Control)),
        uses=uses,
    )
    _check(config)
    return config


def readToml(text: str) -> dict[str, Any]:
    """The values in TOML. Raises ConfigError with the place of a mistake."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        sentence, _, place = str(error).partition(" (at ")
        place = place.removesuffix(")")
        if not place.startswith("line"):
            place = f"line {text.count(chr(10)) + 1}"
        raise ConfigError(f"{place}: this is not TOML: {sentence[:1].lower()}{sentence[1:]}") from None


def _top(table: Table) -> dict[str, Any]:
    """The values of the daemon's own keys. The port is None if it is false, or if there is only a `listen`."""
    plain = table.without(*_TABLES)
    if plain.get("port") is False:
        return {**plain.without("port").readFields(Config), "port": None}
    values = plain.readFields(Config)
    return {**values, "port": None} if "listen" in plain and "port" not in plain else values


def _policies(table: Table) -> Policies:
    policies = Policies(**table.readOnly(Policies))
    checkPolicies(policies, table)
    return policies


def _auth(table: Table) -> Auth:
    auth = Auth(**table.readOnly(Auth))
    checkAuth(auth, table)
    return auth


def _log(table: Table) -> Log:
    log = Log(**table.readOnly(Log))
    if log.file is not None and log.format == "journal":
        raise table.error("file", 'has no effect with log.format = "journal"; remove one of the two')
    return log


def _access(table: Table) -> AccessLog:
    access = AccessLog(**table.readOnly(AccessLog))
    if access.file is not None and access.format == "journal":
        raise table.error("file", 'has no effect with access.format = "journal"; remove one of the two')
    if access.file is None and access.format in ("text", "json"):
        raise table.error("format", "is that of access.file; set that too, or log.format")
    return access


def _hasUses(uses: Uses, values: Mapping[str, Any], tls: Tls, offer: UsesOffer) -> bool:
    if uses.enabled is not None:
        return uses.enabled
    daemon = Config(**values, tls=tls)
    return offer.byDefault and daemon.built_in and isLocal(daemon)


def _check(config: Config) -> None:
    """Raises ConfigError if keys of different tables contradict each other."""
    if config.port is None and not (config.listen or config.tls.port is not None or config.tls.listen):
        raise ConfigError("false leaves no listener; set port, listen, tls.port or tls.listen", "port")
    for key, route in config.routes.items():
        if route.clients and not mayHaveCertificates(config):
            raise ConfigError(
                'clients are not asked for a certificate; set tls.client_auth to "optional" or "required"',
                f'route."{key}".clients',
            )
        _checkAuth(config, f'route."{key}"', route)


def _checkAuth(config: Config, table: str, route: Route) -> None:
    """Raises ConfigError if the listeners do not suit the methods of a route."""
    methods = route.auth.methods
    place = "auth.methods" if route.auth == config.auth else f"{table}.auth.methods"
    if "mtls" in methods and not mayHaveCertificates(config):
        sentence = '"mtls" needs client certificates; set tls.client_auth to "optional" or "required"'
        raise ConfigError(sentence, place)
    if "basic" in methods and not route.auth.basic_without_tls and hasPlainBeyond(config):
        raise ConfigError(
            "other machines could send passwords over listeners without TLS; listen with TLS only (port = false), or "
            "set basic_without_tls = true",
            place,
        )


# -- tls --------------------------------------------------------------------------------------------------------------


def _tls(table: Table) -> Tls:
    table.refuseUnknown(field.name for field in fields(Tls))
    tls = Tls(**table.without("certificate").readFields(Tls), certificate=_certificates(table))
    listens = tls.port is not None or tls.listen
    if listens and not (tls.certificate or tls.self_signed):
        raise table.error(
            "port" if tls.port is not None else "listen",
            "TLS needs a certificate; add a [[tls.certificate]] (--tls-cert, --tls-key), "
            "or self_signed = true (--tls-self-signed) for development",
        )
    if not listens and (tls.certificate or tls.self_signed):
        raise table.error(
            "certificate" if tls.certificate else "self_signed",
            "there is no TLS listener; set tls.port (--tls-port), for example 9999, or tls.listen",
        )
    if tls.client_auth != "none" and tls.client_ca is None:
        sentence = f'"{tls.client_auth}" needs tls.client_ca, the file with the trusted authorities'
        raise table.error("client_auth", sentence)
    if tls.client_ca is not None and tls.client_auth == "none":
        sentence = 'has no effect while tls.client_auth is "none"; set it to "optional" or "required"'
        raise table.error("client_ca", sentence)
    if tls.client_crl is not None and tls.client_ca is None:
        sentence = "has no effect without tls.client_ca, the file with the trusted authorities"
        raise table.error("client_crl", sentence)
    return tls


def _certificates(tls: Table) -> tuple[Certificate, ...]:
    value = tls.get("certificate", [])
    if not isinstance(value, list):
        sentence = f"{show(value)} is not a list of tables; write [[tls.certificate]] with double brackets"
        raise tls.error("certificate", sentence)
    certificates = []
    for number, item in enumerate(value, 1):
        table = Table(item, f"tls.certificate[{number}]", tls.folder)
        paths = table.readOnly(Certificate)
        if "cert" not in paths:
            raise table.error("cert", "is missing; write the path of the certificate's PEM file")
        certificates.append(Certificate(paths["cert"], paths.get("key", paths["cert"])))
    return tuple(certificates)
