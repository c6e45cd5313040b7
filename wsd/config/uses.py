"""Whether the daemon has the pages of uses: by `[uses] enabled`, otherwise by where the daemon listens."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from wsd.config.schema import Config

_INTERFACE = re.compile(r"(?:tcp|tcp6):(?:.*:)?interface=((?:[^:\\]|\\.)+)")


@dataclass(frozen=True, slots=True)
class UsesOffer:
    """The routes of the pages of uses, in the form of a file."""

    routes: Mapping[str, Mapping[str, object]]
    needed: tuple[str, ...]
    """The keys of the built-in routes that the pages need as well."""
    byDefault: bool = True
    """False if the daemon has listeners that other machines can reach, whatever the configuration says now."""


def isLocal(config: Config) -> bool:
    """Returns whether only this machine can reach the listeners, as far as the configuration says."""
    if config.trusted_proxies or config.proxy_protocol:
        return False
    return all(map(_isHere, config.host)) and all(map(_isEndpointHere, (*config.listen, *config.tls.listen)))


def _isHere(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _isEndpointHere(endpoint: str) -> bool:
    """A unix socket is for a proxy, and systemd's sockets are unknown, so neither counts as this machine."""
    match = _INTERFACE.match(endpoint)
    return match is not None and _isHere(match[1].replace("\\:", ":"))
