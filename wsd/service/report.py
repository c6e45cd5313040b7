"""The lines that the daemon logs about its start, its listeners and its reloads."""

from __future__ import annotations

import re
from collections.abc import Iterable

from twisted.logger import Logger

from wsd import __version__
from wsd.config import Config
from wsd.frames import Plane
from wsd.frames.libraries import chosen
from wsd.listen.descriptors import descriptorsFor
from wsd.listen.listener import Listener
from wsd.policies.address import isLoopback
from wsd.service.listening import Listening

_log = Logger(namespace="wsd")

_HERE = ("localhost", "127.0.0.1", "[::1]")
"""The names of this machine for itself."""


def logStart(plane: Plane, descriptors: int, listenerNotices: Iterable[str], lockNotices: Iterable[str]) -> None:
    """Log the first line, and a warning for each notice."""
    _log.info(
        "wsd {version} starts: plane {plane}, deflate {deflate}, {descriptors} descriptors",
        event="daemon.starts",
        version=__version__,
        plane=plane.name,
        deflate=chosen().name,
        descriptors=descriptors,
    )
    for notice in listenerNotices:
        _log.warn("{notice}", event="listener.skipped", notice=notice)
    for notice in lockNotices:
        _log.warn("{notice}", event="state.unwritable", notice=notice)


def warnOfFewDescriptors(wanted: int, most: int, descriptors: int) -> None:
    """Warn if there are too few descriptors for the configured number of connections."""
    if most < wanted:
        _log.warn(
            "max_connections is {wanted}, but {descriptors} file descriptors are enough for only {most}: allow "
            "{needed} (LimitNOFILE= of the unit, or ulimit -n), or lower max_connections",
            event="daemon.descriptors",
            wanted=wanted,
            descriptors=descriptors,
            most=most,
            needed=descriptorsFor(wanted),
        )


def logListening(listening: Listening) -> None:
    """Log a line for each listener, and the path of the self-signed authority to trust."""
    certificates = listening.certificates
    if certificates is not None and certificates.selfSignedPath is not None:
        _log.info(
            "for wss in development, trust {path}", event="certificate.selfsigned", path=certificates.selfSignedPath
        )
    logListeners(listening.listeners)


def logListeners(listeners: Iterable[Listener]) -> None:
    """Log a line for each listener, and a warning for each that other machines can reach."""
    for listener in listeners:
        _log.info("listening {url}", event="listener.listening", url=listener.url)
        if listener.wide:
            _log.warn("{url} accepts connections from other machines", event="listener.wide", url=listener.url)


def pagesOf(config: Config, listeners: Iterable[Listener]) -> list[str]:
    """The URLs under which a browser on this machine gets the home page: at most one without TLS and one with it."""
    pages: dict[str, str] = {}
    for listener in listeners:
        place = re.fullmatch(r"(wss?)://(.+):(\d+)/", listener.url)
        proxied = config.proxy_protocol if listener.proxied is None else listener.proxied
        if place is not None and not proxied and (name := _nameOf(place[2], config.hosts)):
            scheme = "https" if listener.secure else "http"
            pages.setdefault(scheme, f"{scheme}://{name}:{place[3]}/")
    return [pages[scheme] for scheme in sorted(pages)]


def _nameOf(host: str, hosts: Iterable[str]) -> str | None:
    """The name by which this machine reaches a listener on `host`; None if requests may not name it."""
    address = host.strip("[]")
    # A listener that other machines can reach also accepts any address as its name.
    anyAddress = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(address)
    if anyAddress is None and not isLoopback(address):
        return host
    return next((name for name in _HERE if name in hosts or "*" in hosts), anyAddress)


def warnOfBuiltIn(config: Config, paths: Iterable[str], listeners: Iterable[Listener]) -> None:
    """Warn of built-in routes that other machines can reach, although nobody configured them."""
    wide = " ".join(listener.url for listener in listeners if listener.wide)
    for path in paths:
        if wide and config.routes[path].builtIn:
            _log.warn(
                "{route} is a built-in route that other machines can reach at {urls}; set built_in = false and "
                "list the routes that you want",
                event="route.exposed",
                route=path,
                urls=wide,
            )
