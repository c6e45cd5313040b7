"""Who can reach the listeners, as far as the configuration says."""

from __future__ import annotations

import re
from ipaddress import ip_address

from wsd.config.schema import Config

_INTERFACE = re.compile(r"(?:tcp|tcp6):(?:.*:)?interface=((?:[^:\\]|\\.)+)")
_PROXIED = re.compile(r":proxy=true(?::|\Z)")
_TCP = ("tcp:", "tcp6:")


def isLocal(config: Config) -> bool:
    """Returns whether only this machine can reach the listeners."""
    if config.trusted_proxies or config.proxy_protocol:
        return False
    return all(map(_isHere, config.host)) and all(map(_isEndpointHere, (*config.listen, *config.tls.listen)))


def hasPlainBeyond(config: Config) -> bool:
    """Returns whether other machines can reach a TCP listener without TLS. A proxy may add the TLS."""
    if config.trusted_proxies:
        return False
    isWide = config.port is not None and not all(map(_isHere, config.host))
    return isWide or any(text.startswith(_TCP) and not _isEndpointHere(text) for text in config.listen)


def mayHaveCertificates(config: Config) -> bool:
    """Returns whether clients may have certificates: this daemon asks for them, or a proxy tells in PROXY headers."""
    if config.tls.client_auth != "none":
        return True
    told = config.proxy_protocol or any(_PROXIED.search(text) for text in (*config.listen, *config.tls.listen))
    return told and bool(config.trusted_proxies)


def _isHere(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _isEndpointHere(endpoint: str) -> bool:
    """A unix socket is for a proxy, and systemd's sockets are unknown, so neither counts as this machine."""
    match = _INTERFACE.match(endpoint)
    return match is not None and _isHere(match[1].replace("\\:", ":"))
