"""Checks everything that a configuration names, without starting it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from wsd.config import Config, ConfigError
from wsd.connection import Factory
from wsd.listen.checking import check as checkListeners
from wsd.listen.endpoints import CannotListen
from wsd.service.factories import FactoryBuilder
from wsd.service.parts import makeParts
from wsd.traces.tracing import settingsOf


class Findings:
    """What a check has found: sentences in the order of the configuration, each once."""

    def __init__(self) -> None:
        self.warnings: dict[str, None] = {}
        self.faults: dict[str, None] = {}
        """What keeps the daemon or a route from serving."""

    def warn(self, sentence: str) -> None:
        """Add a warning."""
        self.warnings[sentence] = None

    def warnEach(self, sentences: Iterable[str], table: str) -> None:
        """Add the warnings of a route."""
        for sentence in sentences:
            self.warn(f"{table}: {sentence}")

    @contextmanager
    def within(self, table: str = "") -> Iterator[None]:
        """Add the error that ends the block, with the name of its table, as a fault."""
        try:
            yield
        except (ConfigError, CannotListen, ValueError) as error:
            found = error if isinstance(error, ConfigError) else ConfigError(str(error))
            self.faults[str(found.within(table) if table else found)] = None


def check(config: Config, reactor: Any, environ: Mapping[str, str]) -> Findings:
    """
    Build every factory, and let it check its stores and files; read the certificates; check listeners and log.

    Nothing is written, and nothing is bound: a daemon with this configuration may be running.
    """
    findings = Findings()
    with findings.within():
        _checkRoutes(config, reactor, findings)
    with findings.within():
        for warning in checkListeners(config):
            findings.warn(warning)
    if config.tls.port is not None or config.tls.listen:
        # A daemon without TLS does not load its libraries.
        from wsd.listen.tls import check as checkTls

        with findings.within():
            for warning in checkTls(config.tls, environ):
                findings.warn(warning)
    with findings.within():
        settingsOf(config.traces)
    for table, file in (("log", config.log.file), ("access", config.access.file)):
        with findings.within(table):
            _checkLog(table, file, findings)
    _checkTogether(config, findings)
    return findings


def _checkRoutes(config: Config, reactor: Any, findings: Findings) -> None:
    builder = FactoryBuilder(makeParts(config, reactor))
    factories: list[Factory] = []
    for route in config.routes.values():
        with findings.within(route.table):
            for options in route.options.values():
                findings.warnEach(_checkOptions(options), route.table)
            factories += builder.route(route).distinct()
    for number, factory in enumerate(factories):
        factory.meet(factories[:number])
    for factory in factories:
        with findings.within(factory.route.table):
            findings.warnEach(factory.check(), factory.route.table)


def _checkOptions(options: object) -> Iterable[str]:
    """What the options of a protocol find themselves, before its factory is built of them."""
    check = getattr(options, "check", None)
    return () if check is None else check()


def _checkLog(table: str, file: str | None, findings: Findings) -> None:
    if file is None:
        return
    folder = os.path.dirname(os.path.abspath(file))
    if os.path.isdir(file):
        raise ConfigError(f"{file} is a folder; name a file", "file")
    if os.path.exists(file):
        if not os.access(file, os.W_OK):
            raise ConfigError(f"{file} cannot be written by this user; run this as the user of the daemon", "file")
    elif not os.path.isdir(folder):
        findings.warn(f"{table}.file: the folder {folder} does not exist yet")
    elif not os.access(folder, os.W_OK | os.X_OK):
        findings.warn(f"{table}.file: this user cannot create {file}")


def _checkTogether(config: Config, findings: Findings) -> None:
    """Warn of keys that are valid one by one, and together let nobody in."""
    if config.proxy_protocol and not config.trusted_proxies:
        findings.warn("proxy_protocol: every connection is dropped, since trusted_proxies is empty; name the proxies")
    most = int(config.policies.memory_max // config.workers * config.policies.memory_per_connection)
    sizes = {"policies": config.policies.max_message}
    sizes |= {route.table: route.policies.max_message for route in config.routes.values()}
    for table, size in sizes.items():
        if size > most and (table == "policies" or size != sizes["policies"]):
            findings.warn(
                f"{table}.max_message: {size} bytes are more than one connection may hold, {most} (policies.memory_max "
                "times memory_per_connection, divided by workers); lower the first, or raise the others"
            )
