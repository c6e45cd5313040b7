"""
Binds every listener before the daemon detaches from its terminal, so that a port in use is reported there.

tcp, unix and systemd listeners get our own port and transport; any other endpoint string gets Twisted's.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import MutableMapping, Sequence

from wsd.config import Config
from wsd.listen.endpoints import CannotListen, SystemdEndpoint, TcpEndpoint, UnixEndpoint, readEndpoint
from wsd.listen.handed import HandedSockets
from wsd.listen.listener import Listener
from wsd.listen.systemd import NotListening, adopt
from wsd.policies.address import isLoopback

BACKLOG = 4096
"""Connections that the kernel queues until they are accepted; it caps this at net.core.somaxconn."""

_TRIES = 20
"""Attempts to find a port that is free on every host."""


def bind(
    config: Config, environ: MutableMapping[str, str], handed: HandedSockets | None = None
) -> tuple[list[Listener], list[str]]:
    """
    Bind every listener of the configuration. Returns them, and notices for the log (this machine has no ::1).

    A socket of `handed`, by default of those that systemd passes, is used instead of a new one with the same address.
    Sockets of .socket units that no endpoint string names replace host and port. Raises `CannotListen`, after closing
    the sockets that were bound or passed before.
    """
    listeners: list[Listener] = []
    notices: list[str] = []
    handed = HandedSockets.of(environ) if handed is None else handed
    passed = list(handed.passed)
    found = {each.socket for each in handed.bound}
    try:
        for secure, strings in ((False, config.listen), (True, config.tls.listen)):
            listeners.extend(_bindEndpoint(string, secure, passed, handed) for string in strings)
        left = [(number, *each) for number, each in enumerate(passed) if each[1] >= 0]
        if config.tls.port is not None:
            listeners[:0] = _bindHosts(config.host, config.tls.port, True, notices, handed)
        if left:
            listeners[:0] = [_passedListener("systemd", each, False) for each in left]
        elif config.port is not None:
            listeners[:0] = _bindHosts(config.host, config.port, False, notices, handed)
    except CannotListen:
        for listener in listeners:
            if listener.socket in found:
                listener.close()
            else:
                listener.discard()
        for _, descriptor in passed:
            if descriptor >= 0:
                os.close(descriptor)
        raise
    return listeners, notices


def _bindHosts(
    hosts: Sequence[str], port: int, secure: bool, notices: list[str], handed: HandedSockets
) -> list[Listener]:
    """One listener for each host, all on one port. Port 0 finds one that is free on every host."""
    for _ in range(_TRIES):
        bound: list[Listener] = []
        chosen = port
        try:
            for host in hosts:
                listener = bindHost(host, chosen, secure, notices, handed)
                if listener is not None:
                    bound.append(listener)
                    assert listener.socket is not None
                    chosen = listener.socket.getsockname()[1]
        except CannotListen:
            for listener in bound:
                listener.close()
            if port or not bound:
                raise
        else:
            return bound
    raise CannotListen(f"there is no free port on all of {', '.join(hosts)}; name one with --port")


def bindHost(host: str, port: int, secure: bool, notices: list[str], handed: HandedSockets) -> Listener | None:
    """
    Bind a port of a host, or take the socket of `handed` with this address. Raises `CannotListen`.

    Returns None, and adds a notice, if the host is ::1 and this machine has no IPv6.
    """
    plain = host.strip("[]")
    family = socket.AF_INET6 if ":" in plain else socket.AF_INET
    found = handed.takeTcp(family, plain, port, secure)
    if found is not None:
        return _tcpListener(found, plain, secure)
    try:
        bound = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        _without(plain, notices, error)
        return None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        address = socket.getaddrinfo(plain, port, family, socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][4]
        if port in handed.shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
        bound.listen(BACKLOG)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
    except UnicodeError:
        # A host name is encoded before it is looked up (RFC 3490), and this one cannot be.
        bound.close()
        raise CannotListen(_notHere(plain)) from None
    except OSError as error:
        bound.close()
        if plain == "::1" and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            _without(plain, notices, error)
            return None
        raise CannotListen(_sentence(plain, port, error)) from None
    bound.setblocking(False)
    return _tcpListener(bound, plain, secure)


def _tcpListener(bound: socket.socket, plain: str, secure: bool) -> Listener:
    name = f"[{plain}]" if bound.family == socket.AF_INET6 else plain
    scheme = "wss" if secure else "ws"
    address = bound.getsockname()
    return Listener(f"{scheme}://{name}:{address[1]}/", secure, bound, wide=not isLoopback(address[0]))


def _without(host: str, notices: list[str], error: OSError) -> None:
    if host != "::1":
        raise CannotListen(f"cannot listen on {host}: {error.strerror}; use an address of this machine with --host")
    notices.append(f"this machine has no ::1 ({error.strerror}): not listening there")


def _notHere(host: str) -> str:
    return f"host {host!r} is not an address of this machine; use one such as 127.0.0.1 or 0.0.0.0"


def _sentence(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use by another program; stop it, or choose another port"
    if error.errno == errno.EACCES:
        return f"port {port} on {host} needs privileges; choose a port from 1024 up, or use socket activation"
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return _notHere(host)
    return f"cannot listen on {host} port {port}: {error.strerror}"


# -- endpoint strings ---------------------------------------------------------------------------------------------


def _bindEndpoint(string: str, secure: bool, passed: list[tuple[str, int]], handed: HandedSockets) -> Listener:
    endpoint = readEndpoint(string)
    if endpoint is None:
        return Listener(string, secure, endpoint=string, wide=True)
    if isinstance(endpoint, TcpEndpoint):
        listener = _bindTcp(endpoint, secure, handed)
    elif isinstance(endpoint, UnixEndpoint):
        listener = _bindUnix(string, endpoint, secure, handed)
    else:
        listener = _bindInherited(string, endpoint, secure, passed)
    listener.proxied = endpoint.proxied
    return listener


def _bindTcp(endpoint: TcpEndpoint, secure: bool, handed: HandedSockets) -> Listener:
    listener = bindHost(endpoint.host, endpoint.port, secure, [], handed)
    assert listener is not None
    return listener


def _bindUnix(string: str, endpoint: UnixEndpoint, secure: bool, handed: HandedSockets) -> Listener:
    path = endpoint.path
    found = handed.takeUnix(path)
    if found is not None:
        return _unixListener(found, path, secure, endpoint.mode)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _removeStale(path)
        bound.bind(path)
        os.chmod(path, endpoint.mode)
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise CannotListen(
                f"listen {string!r}: another program is listening at {path}; stop it, or choose another path"
            ) from None
        raise CannotListen(f"listen {string!r}: {error.strerror}; choose a path in a writable folder") from None
    bound.setblocking(False)
    return _unixListener(bound, path, secure, endpoint.mode)


def _unixListener(bound: socket.socket, path: str, secure: bool, mode: int) -> Listener:
    return Listener(f"{'wss' if secure else 'ws'}+unix:{path}", secure, bound, path=path, mode=mode)


def _removeStale(path: str) -> None:
    """Remove a stale socket, at which nobody listens. Any other file stays."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)


def _bindInherited(string: str, endpoint: SystemdEndpoint, secure: bool, passed: list[tuple[str, int]]) -> Listener:
    """One socket that systemd passed, by index or by name. If several have the name, the next unused one."""
    wanted = next(
        (
            entry
            for number, entry in enumerate(passed)
            if entry[1] >= 0 and (str(number) == endpoint.index or entry[0] == endpoint.name)
        ),
        None,
    )
    if wanted is None:
        have = ", ".join(f"{number} ({name})" for number, (name, _) in enumerate(passed)) or "none"
        raise CannotListen(
            f"listen {string!r}: systemd passed no such socket, or it is already in use; it passed {have}"
        )
    number = passed.index(wanted)
    passed[number] = (wanted[0], -1)
    return _passedListener(f"listen {string!r}", (number, *wanted), secure)


def _passedListener(who: str, each: tuple[int, str, int], secure: bool) -> Listener:
    """A listener on a socket of a .socket unit, given with its number, its name and its descriptor."""
    number, name, descriptor = each
    try:
        adopted = adopt(descriptor)
    except NotListening as fault:
        raise CannotListen(f"{who}: {fault}") from None
    address = adopted.getsockname()
    scheme = "wss" if secure else "ws"
    if adopted.family == socket.AF_UNIX:
        return Listener(f"{scheme}+unix:{address}", secure, adopted, inherited=True, unitSocket=(number, name))
    host = f"[{address[0]}]" if adopted.family == socket.AF_INET6 else address[0]
    url, wide = f"{scheme}://{host}:{address[1]}/", not isLoopback(address[0])
    return Listener(url, secure, adopted, wide=wide, inherited=True, unitSocket=(number, name))
