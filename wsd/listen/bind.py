"""
Listeners: bound before the daemon leaves its terminal, so that a taken port is said there, and adopted when it starts.

`bind` takes the configuration's hosts, ports and endpoint strings. tcp, unix and systemd listeners get the house's own
port and transport; any other endpoint string keeps Twisted's.
"""

from __future__ import annotations

import errno
import os
import re
import resource
import socket
import stat
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort, IProtocolFactory

from wsd.config import Config
from wsd.listen.port import Shortage, TCPPort, UNIXPort
from wsd.listen.systemd import NotListening, adopt, inherited
from wsd.policies.address import isLoopback

_BACKLOG = 4096
"""Connections the kernel keeps until they are accepted; it caps this at net.core.somaxconn itself."""

_TRIES = 20
"""How often a free port is looked for that is free on every host."""


_OTHERS = 64
"""The least number of descriptors reserved for other things than connections."""


class Unusable(Exception):
    """A listener cannot be had: one sentence that names it and what would be right."""


@dataclass
class Listener:
    """A bound socket, or an endpoint of Twisted's, and how it is announced."""

    url: str
    secure: bool
    socket: socket.socket | None = None
    endpoint: str | None = None
    wide: bool = False
    """Reachable from other machines."""
    inherited: bool = False
    proxied: bool | None = None
    """The value of `proxy` in its endpoint string: whether connections begin with a PROXY header. None without it."""
    ports: list[IListeningPort] = field(default_factory=list)

    def adopt(
        self, reactor: Any, factory: IProtocolFactory, ring: Any = None, shortage: Shortage | None = None
    ) -> Deferred[Any]:
        """
        Accept connections for `factory`, which live on `ring` (on the reactor without one); fires when it does.

        `shortage` turns connections away if no descriptor is left.
        """
        return maybeDeferred(self._adopt, reactor, factory, reactor if ring is None else ring, shortage)

    def _adopt(self, reactor: Any, factory: IProtocolFactory, ring: Any, shortage: Shortage | None) -> Any:
        if self.socket is None:
            assert self.endpoint is not None
            return serverFromString(reactor, self.endpoint).listen(factory).addCallback(self._heard)
        descriptor = self.socket.fileno()
        port: TCPPort | UNIXPort
        if self.socket.family == socket.AF_UNIX:
            unixPort = UNIXPort._fromListeningDescriptor(reactor, descriptor, factory)
            unixPort.ownsPath = not self.inherited
            port = unixPort
        else:
            port = TCPPort._fromListeningDescriptor(reactor, descriptor, self.socket.family, factory)
        port.transport = _onRing(port.transport, ring)
        port.shortage = shortage
        if self.secure:
            # A TLS client would not understand it.
            port.answer = b""
        port.startListening()
        self.socket.close()
        self.socket = None
        self.ports.append(port)
        return None

    def _heard(self, port: IListeningPort) -> None:
        self.ports.append(port)

    def stop(self) -> list[Deferred[Any]]:
        """Accept no more."""
        ports, self.ports = self.ports, []
        return [maybeDeferred(port.stopListening) for port in ports]

    def close(self) -> None:
        """Give up a socket that was bound and never adopted."""
        if self.socket is not None:
            self.socket.close()


def _onRing(transport: Any, ring: Any) -> Any:
    """What builds this transport on the ring; its port itself stays on the reactor, which a port passes last."""
    return lambda *arguments: transport(*arguments[:-1], ring)


def bind(config: Config, environ: MutableMapping[str, str]) -> tuple[list[Listener], list[str]]:
    """
    Every listener of the configuration, bound, and notices for the log (a ::1 that this machine does not have).

    Sockets that systemd passed and no endpoint string names take the place of host and port. Raises `Unusable`; what
    was bound before is closed again.
    """
    listeners: list[Listener] = []
    notices: list[str] = []
    passed = inherited(environ)
    try:
        for secure, strings in ((False, config.listen), (True, config.tls.listen)):
            listeners.extend(_bindEndpoint(string, secure, passed) for string in strings)
        left = [descriptor for _, descriptor in passed if descriptor >= 0]
        if config.tls.port is not None:
            listeners[:0] = _bindHosts(config.host, config.tls.port, True, notices)
        if left:
            listeners[:0] = [_inheritedListener("systemd", descriptor, False) for descriptor in left]
        elif config.port is not None:
            listeners[:0] = _bindHosts(config.host, config.port, False, notices)
    except Unusable:
        for listener in listeners:
            listener.close()
        raise
    return listeners, notices


def raiseDescriptorLimit() -> int:
    """Raise the soft limit of open files to the hard one, and return it: a connection is a descriptor."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def roomIn(descriptors: int) -> int:
    """
    The connections that there is room for: a tenth of the descriptors is reserved for files, threads, other servers,
    and clients that are turned away.
    """
    return max(1, descriptors - max(_OTHERS, descriptors // 10))


def descriptorsFor(connections: int) -> int:
    """The number of descriptors that so many connections need."""
    return connections + max(_OTHERS, (connections - 1) // 9)


def _bindHosts(hosts: Sequence[str], port: int, secure: bool, notices: list[str]) -> list[Listener]:
    """One listener a host, all on one port: with port 0 on one that is free on each of them."""
    for _ in range(_TRIES):
        bound: list[Listener] = []
        chosen = port
        try:
            for host in hosts:
                listener = _bindHost(host, chosen, secure, notices)
                if listener is not None:
                    bound.append(listener)
                    assert listener.socket is not None
                    chosen = listener.socket.getsockname()[1]
        except Unusable:
            for listener in bound:
                listener.close()
            if port or not bound:
                raise
        else:
            return bound
    raise Unusable(f"no port is free on all of {', '.join(hosts)}; name one with --port")


def _bindHost(host: str, port: int, secure: bool, notices: list[str]) -> Listener | None:
    plain = host.strip("[]")
    family = socket.AF_INET6 if ":" in plain else socket.AF_INET
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
        bound.bind(address)
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        if plain == "::1" and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            _without(plain, notices, error)
            return None
        raise Unusable(_sentence(plain, port, error)) from None
    bound.setblocking(False)
    name = f"[{plain}]" if family == socket.AF_INET6 else plain
    scheme = "wss" if secure else "ws"
    address = bound.getsockname()
    return Listener(f"{scheme}://{name}:{address[1]}/", secure, bound, wide=not isLoopback(address[0]))


def _without(host: str, notices: list[str], error: OSError) -> None:
    if host != "::1":
        raise Unusable(f"cannot listen on {host}: {error.strerror}; use an address of this machine with --host")
    notices.append(f"this machine has no ::1 ({error.strerror}): not listening there")


def _sentence(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken by another program; stop that one, or choose another port"
    if error.errno == errno.EACCES:
        return f"port {port} on {host} is for the administrator; choose one from 1024 on, or use socket activation"
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"host {host!r} is no address of this machine; write one that is, such as 127.0.0.1 or 0.0.0.0"
    return f"cannot listen on {host} port {port}: {error.strerror}"


# -- endpoint strings ---------------------------------------------------------------------------------------------


def _bindEndpoint(string: str, secure: bool, passed: list[tuple[str, int]]) -> Listener:
    kind, _, rest = string.partition(":")
    if kind in ("tcp", "tcp4", "tcp6"):
        listener = _bindTCP(string, kind, rest, secure)
    elif kind == "unix":
        listener = _bindUNIX(string, rest, secure)
    elif kind == "systemd":
        listener = _bindInherited(string, rest, secure, passed)
    else:
        _readOther(string)
        return Listener(string, secure, endpoint=string, wide=True)
    listener.proxied = _proxied(string, rest)
    return listener


def check(config: Config) -> list[str]:
    """
    Check what can be known of the listeners without binding them: endpoint strings, and addresses of this machine.

    Returns warnings of folders that do not exist yet: systemd creates those of a unit when it starts it. Raises
    `Unusable`. Ports are not checked, since the daemon with this configuration may be running.
    """
    warnings: list[str] = []
    for string in (*config.listen, *config.tls.listen):
        kind, _, rest = string.partition(":")
        if kind in ("tcp", "tcp4", "tcp6", "unix", "systemd"):
            _proxied(string, rest)
        if kind in ("tcp", "tcp4", "tcp6"):
            _checkHost(_readTCP(string, kind, rest)[0])
        elif kind == "unix":
            folder = os.path.dirname(_readUNIX(string, rest)[0]) or "."
            if not os.path.isdir(folder):
                warnings.append(f"listen {string!r}: there is no folder {folder} yet")
        elif kind == "systemd":
            _readInherited(string, rest)
        else:
            _readOther(string)
    if config.port is not None or config.tls.port is not None:
        for host in config.host:
            _checkHost(host)
    return warnings


def _checkHost(host: str) -> None:
    listener = _bindHost(host, 0, False, [])
    if listener is not None:
        listener.close()


def _readOther(string: str) -> None:
    try:
        serverFromString(_NoReactor(), string)
    except Exception as error:
        raise Unusable(
            f"listen {string!r} is no endpoint: {error}; write one such as tcp:9998 or unix:/run/wsd.sock"
        ) from None


class _NoReactor:
    """An endpoint string is only read here; what it names is made when the daemon starts."""


def _fields(string: str, rest: str) -> tuple[list[str], dict[str, str]]:
    """The positional and the named parts of an endpoint string; `\\:` and `\\=` stand for themselves."""
    positional: list[str] = []
    named: dict[str, str] = {}
    for part in re.findall(r"(?:[^:\\]|\\.)+", rest):
        pieces = re.findall(r"(?:[^=\\]|\\.)+|(?<==)$", part)
        pieces = [re.sub(r"\\(.)", r"\1", piece) for piece in pieces]
        if re.match(r"[a-zA-Z]+=", part) and len(pieces) >= 1:
            named[pieces[0]] = "=".join(pieces[1:])
        else:
            positional.append("=".join(pieces))
    if len(positional) > 1:
        raise Unusable(f"listen {string!r} has {len(positional)} values without a name; only the first may have none")
    return positional, named


def _known(string: str, named: Mapping[str, str], known: Sequence[str]) -> None:
    for name in named:
        if name not in known:
            raise Unusable(f"listen {string!r} has the part {name!r}; it may have {', '.join(known)}")


def _proxied(string: str, rest: str) -> bool | None:
    """Whether connections begin with a PROXY header; None if `proxy_protocol` decides."""
    value = _fields(string, rest)[1].get("proxy")
    if value not in (None, "true", "false"):
        raise Unusable(f"listen {string!r} has proxy={value}; write proxy=true or proxy=false")
    return None if value is None else value == "true"


def _bindTCP(string: str, kind: str, rest: str, secure: bool) -> Listener:
    host, port = _readTCP(string, kind, rest)
    listener = _bindHost(host, port, secure, [])
    assert listener is not None
    return listener


def _readTCP(string: str, kind: str, rest: str) -> tuple[str, int]:
    """Host and port."""
    positional, named = _fields(string, rest)
    _known(string, named, ("port", "interface", "backlog", "proxy"))
    port = (positional or [named.get("port", "")])[0]
    if not port.isdigit() or int(port) > 65535:
        raise Unusable(f"listen {string!r} has no port; write tcp:PORT or tcp:PORT:interface=ADDRESS")
    return named.get("interface", "::" if kind == "tcp6" else "0.0.0.0"), int(port)


def _readUNIX(string: str, rest: str) -> tuple[str, str]:
    """Path and mode."""
    positional, named = _fields(string, rest)
    _known(string, named, ("address", "mode", "backlog", "lockfile", "proxy"))
    path = (positional or [named.get("address", "")])[0]
    mode = named.get("mode", "666")
    if not path or not re.fullmatch("[0-7]{3,4}", mode):
        raise Unusable(f"listen {string!r} is not unix:PATH or unix:PATH:mode=660")
    return path, mode


def _bindUNIX(string: str, rest: str, secure: bool) -> Listener:
    path, mode = _readUNIX(string, rest)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _removeStale(path)
        bound.bind(path)
        os.chmod(path, int(mode, 8))
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise Unusable(
                f"listen {string!r}: another program answers at {path}; stop it, or choose another path"
            ) from None
        raise Unusable(
            f"listen {string!r}: {error.strerror}; choose a path in a folder this user may write to"
        ) from None
    bound.setblocking(False)
    return Listener(f"{'wss' if secure else 'ws'}+unix:{path}", secure, bound)


def _removeStale(path: str) -> None:
    """Remove a socket that a daemon left behind: one at which nobody answers. Any other file stays."""
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


def _readInherited(string: str, rest: str) -> dict[str, str]:
    """Its index or its name."""
    positional, named = _fields(string, rest)
    _known(string, named, ("domain", "index", "name", "proxy"))
    if positional or ("index" in named) == ("name" in named):
        raise Unusable(f"listen {string!r} is not systemd:index=N or systemd:name=NAME")
    return named


def _bindInherited(string: str, rest: str, secure: bool, passed: list[tuple[str, int]]) -> Listener:
    """One socket that systemd passed, by index or by name; a name that several have gives the next one unused."""
    named = _readInherited(string, rest)
    wanted = next(
        (
            entry
            for number, entry in enumerate(passed)
            if entry[1] >= 0 and (str(number) == named.get("index") or entry[0] == named.get("name"))
        ),
        None,
    )
    if wanted is None:
        have = ", ".join(f"{number} ({name})" for number, (name, _) in enumerate(passed)) or "none"
        raise Unusable(f"listen {string!r}: systemd passed no such socket that is left; it passed {have}")
    passed[passed.index(wanted)] = (wanted[0], -1)
    return _inheritedListener(f"listen {string!r}", wanted[1], secure)


def _inheritedListener(who: str, descriptor: int, secure: bool) -> Listener:
    try:
        adopted = adopt(descriptor)
    except NotListening as fault:
        raise Unusable(f"{who}: {fault}") from None
    address = adopted.getsockname()
    scheme = "wss" if secure else "ws"
    if adopted.family == socket.AF_UNIX:
        return Listener(f"{scheme}+unix:{address}", secure, adopted, inherited=True)
    host = f"[{address[0]}]" if adopted.family == socket.AF_INET6 else address[0]
    return Listener(
        f"{scheme}://{host}:{address[1]}/", secure, adopted, wide=not isLoopback(address[0]), inherited=True
    )
