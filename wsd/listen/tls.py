"""
TLS on accepted connections: certificates by name (SNI), clients' certificates, ALPN, and renewal without a restart.

Contexts are built whole and swapped, so a handshake meets the old ones or the new ones, and an open connection keeps
those it began with.
"""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from twisted.internet.interfaces import IAddress, IProtocolFactory
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from wsd.config import Certificate, ConfigError, Tls
from wsd.listen.handshake import ALPN, ChooseContext
from wsd.listen.hello import Hello
from wsd.listen.pairs import Pair, readFile, readPair
from wsd.listen.records import reasonOf
from wsd.listen.revoked import readRevoked
from wsd.listen.secure import SecureTransport
from wsd.listen.selfsigned import ensureSelfSigned
from wsd.policies.address import TlsInfo

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secrecy and authenticated encryption only; TLS 1.3 has nothing else."""

_VERIFY = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}

_log = Logger(namespace="wsd")


@dataclass(frozen=True, slots=True)
class _Contexts:
    """What one reading of all files gave."""

    default: ssl.SSLContext
    byName: Mapping[str, ssl.SSLContext]
    pairs: tuple[Pair, ...]
    revokedEnd: float | None
    """When the first revocation list expires, in seconds since 1970."""

    def forName(self, name: str) -> ssl.SSLContext:
        """The context for a server name: its own, else that of `*.` its parent (RFC 6125 6.4.3), else the first."""
        name = name.rstrip(".").lower()
        exact = self.byName.get(name)
        if exact is not None:
            return exact
        return self.byName.get(f"*.{name.partition('.')[2]}", self.default)


class Certificates:
    """
    The certificates of the daemon. Raises ConfigError when they cannot be used.

    `clock` tells the seconds since 1970, in which certificates begin and end.
    """

    def __init__(self, tls: Tls, environ: Mapping[str, str], clock: Callable[[], float] = time.time) -> None:
        self._tls = tls
        self._environ = environ
        self._clock = clock
        self.selfSignedPath: str | None = None
        """What to trust, with `self_signed`: the authority's certificate."""
        self._seen: object = None
        self._toldEnd: float | None = None
        self._contexts = self._read(tls)

    # -- reading --------------------------------------------------------------------------------------------------

    def _files(self, tls: Tls) -> list[Certificate]:
        """The pairs' files; a developer's certificate is made, or renewed, when it is time."""
        files = list(tls.certificate)
        if tls.self_signed:
            made = ensureSelfSigned(self._environ, self._clock)
            self.selfSignedPath = made.authority
            files.append(made.pair)
        if not files:
            raise ConfigError(
                "tls: has no certificate; add a [[tls.certificate]], or self_signed = true to develop with"
            )
        return files

    def _read(self, tls: Tls) -> _Contexts:
        """
        All contexts anew: one for each set of names, in which pairs of several kinds of key stand side by side.

        The client's signature algorithms choose among those. Of two pairs for the same name, the first holds.
        """
        files = self._files(tls)
        self._seen = _stateOf(files, tls)
        pairs = tuple(readPair(pair) for pair in files)
        revokedEnd = _checkRevoked(tls)
        shared: dict[tuple[str, ...], ssl.SSLContext] = {}
        used: set[tuple[tuple[str, ...], str]] = set()
        byName: dict[str, ssl.SSLContext] = {}
        for pair in pairs:
            names = tuple(sorted(pair.names))
            if names not in shared:
                shared[names] = self._context(tls)
            if (names, pair.kind) not in used:
                used.add((names, pair.kind))
                _use(shared[names], pair)
            for name in names:
                byName.setdefault(name, shared[names])
        self._warn(pairs)
        self._warnRevoked(revokedEnd)
        return _Contexts(next(iter(shared.values())), byName, pairs, revokedEnd)

    def _warn(self, pairs: Iterable[Pair]) -> None:
        now = self._clock()
        for pair in pairs:
            if not pair.begin <= now <= pair.end:
                _log.warn(
                    "the certificate {path} for {name} {fault}: clients will refuse it; put a renewed one in its place",
                    event="certificate.expired",
                    path=pair.files.cert,
                    name=pair.name,
                    fault="has expired" if now > pair.end else "is not valid yet",
                )

    def _warnRevoked(self, end: float | None) -> None:
        """Log an expired list, once for each expiry."""
        if end is not None and end < self._clock() and end != self._toldEnd:
            self._toldEnd = end
            _log.error(
                "a list in client_crl has expired, so client certificates are refused; replace the list with a new one",
                event="certificate.crl",
            )

    def _context(self, tls: Tls) -> ssl.SSLContext:
        """Its sessions are resumed by tickets, under keys of its own: one each, for a WebSocket is reopened alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.num_tickets = 1
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_CIPHERS)
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.set_alpn_protocols([ALPN])
        if tls.client_auth != "none":
            _askClients(context, tls)
        return context

    def _choose(self, hello: Hello) -> ssl.SSLContext:
        return self._contexts.default if hello.name is None else self._contexts.forName(hello.name)

    # -- renewal --------------------------------------------------------------------------------------------------

    def reload(self, tls: Tls | None = None) -> bool:
        """Read all files anew, or those of a new [tls]. What is broken changes nothing, and the log says why."""
        wanted, seen = tls or self._tls, self._seen
        try:
            self._contexts = self._read(wanted)
        except ConfigError as error:
            if wanted != self._tls:
                self._seen = seen
            _tellKept(error)
            return False
        self._tls = wanted
        _log.info("the certificates were read anew", event="certificate.reloaded")
        return True

    def poll(self) -> None:
        """Reload when a file has changed since it was last read or last found broken."""
        try:
            changed = _stateOf(self._files(self._tls), self._tls) != self._seen
        except ConfigError as error:
            _tellKept(error)
            return
        if changed:
            self.reload()
        self._warnRevoked(self._contexts.revokedEnd)

    def expiry(self) -> Mapping[str, float]:
        """When each certificate ends, by its first name, in seconds since 1970."""
        ends: dict[str, float] = {}
        for pair in self._contexts.pairs:
            ends[pair.name] = min(pair.end, ends.get(pair.name, pair.end))
        return ends

    def revokedEnd(self) -> float | None:
        """When the first revocation list expires, in seconds since 1970; None without any."""
        return self._contexts.revokedEnd

    # -- serving --------------------------------------------------------------------------------------------------

    def wrap(self, factory: IProtocolFactory) -> IProtocolFactory:
        """TLS in front of what `factory` builds."""
        return SecureFactory(self._choose, factory)


class SecureFactory(Factory):
    """Builds TLS in front of what `inner` builds."""

    noisy = False

    def __init__(self, choose: ChooseContext, inner: IProtocolFactory) -> None:
        self._choose = choose
        self.inner = inner

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """For a connection that was accepted."""
        inner = self.inner.buildProtocol(addr)  # type: ignore[arg-type]
        return None if inner is None else SecureTransport(self._choose, inner)

    def doStart(self) -> None:
        """Start what stands behind."""
        self.inner.doStart()

    def doStop(self) -> None:
        """Stop it."""
        self.inner.doStop()


def tlsOf(transport: Any) -> TlsInfo | None:
    """What the TLS handshake of a transport agreed on, None without TLS."""
    return transport.info if isinstance(transport, SecureTransport) and transport.connected else None


def _tellKept(error: ConfigError) -> None:
    _log.error("the certificates stay as they were: {sentence}", event="certificate.kept", sentence=str(error))


def _stateOf(files: Iterable[Certificate], tls: Tls) -> object:
    """What tells that a file, or who may read it, has changed."""
    state = []
    for path in [path for pair in files for path in (pair.cert, pair.key)] + [tls.client_ca, tls.client_crl]:
        try:
            found = os.stat(path) if path is not None else None
        except OSError:
            found = None
        state.append(None if found is None else (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns))
    return state


def _use(context: ssl.SSLContext, pair: Pair) -> None:
    """Put a pair into a context, the whole chain with it; a second pair of another kind of key stands beside."""
    try:
        context.load_cert_chain(pair.files.cert, pair.files.key, password="")
    except (ssl.SSLError, OSError) as error:
        reason = reasonOf(error) if isinstance(error, ssl.SSLError) else str(error)
        raise ConfigError(f"tls: {pair.files.cert} with {pair.files.key} cannot be used: {reason}") from None


def _askClients(context: ssl.SSLContext, tls: Tls) -> None:
    """Ask clients for a certificate of the authorities in `client_ca`."""
    if tls.client_ca is None:
        raise ConfigError("tls.client_ca: is needed with client_auth; name the PEM file of the authorities")
    _authoritiesIn(tls.client_ca)
    try:
        context.load_verify_locations(tls.client_ca)
    except ssl.SSLError as error:
        raise ConfigError(f"tls.client_ca: {tls.client_ca} cannot be used: {reasonOf(error)}") from None
    context.verify_mode = _VERIFY[tls.client_auth]
    if tls.client_crl is not None:
        try:
            context.load_verify_locations(tls.client_crl)
        except (ssl.SSLError, OSError):
            raise ConfigError(f"tls.client_crl: {tls.client_crl} changed while it was read") from None
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN


def _checkRevoked(tls: Tls) -> float | None:
    """When the first list of `client_crl` expires; None without any. Raises ConfigError."""
    if tls.client_crl is None or tls.client_ca is None or tls.client_auth == "none":
        return None
    return readRevoked(tls.client_crl, _authoritiesIn(tls.client_ca))


def _authoritiesIn(path: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(readFile(path, "client_ca"))
    except ValueError:
        sentence = f"tls.client_ca: {path} is not PEM; a certificate begins with -----BEGIN CERTIFICATE-----"
        raise ConfigError(sentence) from None
