"""Translates the flags of standalone.py into the daemon's configuration."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from wsd.config import ConfigError
from wsd.config.routes import HANDLERS
from wsd.standalone.flags import LEVELS

OPTIONS: Mapping[str, str] = {
    "port": "--port",
    "host": "--server-host",
    "hosts": "--validation-host",
    "tls.port": "--port",
    "tls.certificate": "--certificate",
    "tls.client_auth": "--tls-client-auth",
    "tls.client_ca": "--tls-client-ca",
    'route."/*".handlers': "--websock-handlers",
    'route."/*".handlers_scan': "--scan-dir",
    'route."/*".handlers_map': "--websock-handlers-map-file",
    'route."/*".handlers_encoding': "--handler-encoding",
    'route."/*".document_root': "--document-root",
    'route."/*".cgi_paths': "--cgi-paths",
    'route."/*".basic_auth': "--basic-auth-credential",
}
"""The flags that set keys of the configuration, for error messages."""


def overridesOf(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The flags as values of the configuration, by dotted key. Raises ConfigError."""
    host = flags.get("server_host", "")
    overrides: dict[str, Any] = {
        "port": flags["port"],
        "log.level": LEVELS[flags["log_level"]],
        "built_in": False,
        "route": {"/*": _route(flags)},
        **_tls(flags),
    }
    if host:
        overrides["host"] = _addresses(host)
    names = [name for name in (flags.get("validation_host"), "" if _isAddress(host) else host) if name]
    if names:
        overrides["hosts"] = list(dict.fromkeys(["localhost", "127.0.0.1", "[::1]", *names]))
    return overrides


def _route(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The single route: its handlers, and the documents beside them."""
    route = {
        **HANDLERS,
        # At this level, the libraries that can do it make the bytes that clients' tests expect.
        "deflate_level": 7,
        "handlers": _path(flags["websock_handlers"]),
        "handlers_outside": flags.get("allow_handlers_outside_root_dir", False),
        "document_root": os.getcwd(),
    }
    if flags.get("scan_dir"):
        route["handlers_scan"] = _path(flags["scan_dir"])
    if flags.get("websock_handlers_map_file"):
        route["handlers_map"] = _path(flags["websock_handlers_map_file"])
    if flags.get("handler_encoding"):
        route["handlers_encoding"] = flags["handler_encoding"]
    if flags.get("cgi_paths"):
        route["cgi_paths"] = flags["cgi_paths"].split(",")
    if flags.get("basic_auth"):
        route["basic_auth"] = flags["basic_auth_credential"]
    return route


def _tls(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of TLS. With --tls, nothing else is spoken at the port."""
    asks, optional = flags.get("tls_client_auth", False), flags.get("tls_client_cert_optional", False)
    if not flags.get("tls"):
        if asks or optional:
            raise ConfigError("--tls-client-auth: needs --tls")
        return {}
    for name in ("private_key", "certificate"):
        if not flags.get(name):
            raise ConfigError(
                f"--tls: needs --private-key and --certificate, PEM files; --{name.replace('_', '-')} is missing"
            )
    if optional and not asks:
        raise ConfigError("--tls-client-cert-optional: needs --tls-client-auth")
    tls: dict[str, Any] = {
        "port": False,
        "tls.port": flags["port"],
        "tls.certificate": [{"cert": _path(flags["certificate"]), "key": _path(flags["private_key"])}],
    }
    if asks:
        tls["tls.client_auth"] = "optional" if optional else "required"
        if flags.get("tls_client_ca"):
            tls["tls.client_ca"] = _path(flags["tls_client_ca"])
    return tls


def _path(path: str) -> str:
    return os.path.abspath(path)


def _isAddress(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _addresses(host: str) -> list[str]:
    """The addresses of a host name."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigError(f"--server-host: {host} is not an address of this machine: {error.strerror}") from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
