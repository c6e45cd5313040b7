"""
The daemon's certificates, chosen by server name (SNI) and renewed without a restart, and checks of clients' ones.

A reload builds all contexts anew and then swaps them. A handshake uses either the old or the new ones, and an open
connection keeps the context of its handshake.
"""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptography import x509
from twisted.internet.interfaces import IAddress, IProtocolFactory
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from wsd.config import Certificate, ConfigError, Tls, stateFolder
from wsd.config.stores import whyNotCreated
from wsd.listen.clienthello import ClientHello
from wsd.listen.crl import readCrls
from wsd.listen.handshake import ALPN, ChooseContext
from wsd.listen.keypairs import KeyPair, readFile, readKeyPair
from wsd.listen.records import reasonOf
from wsd.listen.secure import SecureTransport
from wsd.listen.selfsigned import ensureSelfSigned
from wsd.metrics import TlsHandshakes
from wsd.policies.address import TlsInfo

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: only ciphers with forward secrecy and authenticated encryption, as in TLS 1.3."""

_VERIFY = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}

_KEY_AGE = 12 * 3600
"""Seconds after which the keys of session tickets are renewed, so that a stolen key does not reveal much."""

_log = Logger(namespace="wsd")


@dataclass(frozen=True, slots=True)
class _Contexts:
    """The contexts that were built together from all files."""

    default: ssl.SSLContext
    byName: Mapping[str, ssl.SSLContext]
    pairs: tuple[KeyPair, ...]
    crlExpiry: float | None
    """The time at which the first revocation list expires, in seconds since 1970."""
    end: float
    """The time at which no more sessions may be resumed, in seconds since 1970."""

    def forName(self, name: str) -> ssl.SSLContext:
        """The context for a server name: its own, else a wildcard's (RFC 6125 6.4.3), else the first."""
        name = name.rstrip(".").lower()
        exact = self.byName.get(name)
        if exact is not None:
            return exact
        return self.byName.get(f"*.{name.partition('.')[2]}", self.default)


class Certificates:
    """
    The certificates of the daemon. Raises ConfigError if they cannot be used.

    `clock` returns the seconds since 1970.
    """

    def __init__(self, tls: Tls, environ: Mapping[str, str], clock: Callable[[], float] = time.time) -> None:
        self._tls = tls
        self._environ = environ
        self._clock = clock
        self.selfSignedPath: str | None = None
        """With `self_signed`, the file of the authority's certificate, which clients may trust."""
        self._seen: object = None
        self._loggedExpiry: float | None = None
        self.handshakes = TlsHandshakes()
        """The handshakes that have ended."""
        self._contexts = self._read(tls)

    # -- reading --------------------------------------------------------------------------------------------------

    def _files(self, tls: Tls) -> list[Certificate]:
        """The files of all pairs. The certificate of `self_signed` is made or renewed, if needed."""
        files = list(tls.certificate)
        if tls.self_signed:
            made = ensureSelfSigned(self._environ, self._clock)
            self.selfSignedPath = made.authority
            files.append(made.pair)
        if not files:
            raise ConfigError(
                "tls: has no certificate; add a [[tls.certificate]], or self_signed = true for development"
            )
        return files

    def _read(self, tls: Tls) -> _Contexts:
        """
        Build all contexts: one for each set of names, with one key pair of each kind of key.

        OpenSSL chooses among these by the client's signature algorithms. For a name, the first pair with it counts.
        """
        files = self._files(tls)
        self._seen = _stateOf(files, tls)
        pairs = tuple(readKeyPair(pair) for pair in files)
        crlExpiry = _checkCrls(tls)
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
        self._warnOfExpiredCrl(crlExpiry)
        now = self._clock()
        end = now + _KEY_AGE if crlExpiry is None or crlExpiry <= now else min(now + _KEY_AGE, crlExpiry)
        return _Contexts(next(iter(shared.values())), byName, pairs, crlExpiry, end)

    def _warn(self, pairs: Iterable[KeyPair]) -> None:
        now = self._clock()
        for pair in pairs:
            if not pair.begin <= now <= pair.end:
                _log.warn(
                    "the certificate {path} for {name} {fault}: clients will refuse it; renew it",
                    event="certificate.expired",
                    path=pair.files.cert,
                    name=pair.name,
                    fault="has expired" if now > pair.end else "is not valid yet",
                )

    def _warnOfExpiredCrl(self, end: float | None) -> None:
        """Log an expired list, once for each expiry."""
        if end is not None and end < self._clock() and end != self._loggedExpiry:
            self._loggedExpiry = end
            _log.error(
                "a revocation list in client_crl has expired, so client certificates are refused; renew the list",
                event="certificate.crl",
            )

    def _context(self, tls: Tls) -> ssl.SSLContext:
        """Build a context. One session ticket (RFC 8446 4.6.1) is enough: a client reopens one WebSocket at a time."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.num_tickets = 1
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_CIPHERS)
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.set_alpn_protocols([ALPN])
        if tls.client_auth != "none":
            _askClients(context, tls)
        return context

    def _choose(self, hello: ClientHello) -> ssl.SSLContext:
        return self._contexts.default if hello.name is None else self._contexts.forName(hello.name)

    # -- renewal --------------------------------------------------------------------------------------------------

    def prepare(self, tls: Tls) -> Callable[[], None]:
        """Read all files again, for this [tls]. Returns what puts them in use. Raises ConfigError."""
        before = self._seen
        try:
            contexts, seen = self._read(tls), self._seen
        finally:
            self._seen = before

        def commit() -> None:
            self._contexts, self._tls, self._seen = contexts, tls, seen
            _log.info("the certificates were reloaded", event="certificate.reloaded")

        return commit

    def reload(self) -> bool:
        """Read all files again. Returns False, and logs why, if they cannot be used: the old ones stay in use."""
        try:
            self._contexts = self._read(self._tls)
        except ConfigError as error:
            _logKept(error)
            return False
        _log.info("the certificates were reloaded", event="certificate.reloaded")
        return True

    def poll(self) -> None:
        """Reload if a file has changed since the last attempt. From time to time, make new contexts with new keys."""
        try:
            changed = _stateOf(self._files(self._tls), self._tls) != self._seen
        except ConfigError as error:
            _logKept(error)
            return
        if changed:
            self.reload()
        elif self._clock() >= self._contexts.end:
            self._contexts = self._read(self._tls)
        self._warnOfExpiredCrl(self._contexts.crlExpiry)

    def expiry(self) -> Mapping[str, float]:
        """The time at which each certificate expires, by its first name, in seconds since 1970."""
        ends: dict[str, float] = {}
        for pair in self._contexts.pairs:
            ends[pair.name] = min(pair.end, ends.get(pair.name, pair.end))
        return ends

    def crlExpiry(self) -> float | None:
        """The time at which the first revocation list expires, in seconds since 1970; None without any."""
        return self._contexts.crlExpiry

    # -- serving --------------------------------------------------------------------------------------------------

    def wrap(self, factory: IProtocolFactory) -> IProtocolFactory:
        """A factory that puts TLS in front of the protocols of `factory`."""
        return SecureFactory(self._choose, factory, self.handshakes)


class SecureFactory(Factory):
    """Puts TLS in front of the protocols that `inner` builds."""

    noisy = False

    def __init__(self, choose: ChooseContext, inner: IProtocolFactory, counted: TlsHandshakes) -> None:
        self._choose = choose
        self._counted = counted
        self.inner = inner

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Build the inner protocol, and TLS below it."""
        inner = self.inner.buildProtocol(addr)  # type: ignore[arg-type]
        return None if inner is None else SecureTransport(self._choose, inner, self._counted)

    def doStart(self) -> None:
        """Start the inner factory."""
        self.inner.doStart()

    def doStop(self) -> None:
        """Stop the inner factory."""
        self.inner.doStop()


def tlsOf(transport: Any) -> TlsInfo | None:
    """What the TLS handshake of a transport agreed on; None without TLS."""
    return transport.info if isinstance(transport, SecureTransport) and transport.connected else None


def check(tls: Tls, environ: Mapping[str, str]) -> list[str]:
    """Read the files of [tls], but make no certificate. Returns warnings of what has expired. Raises ConfigError."""
    folder = Path(stateFolder(environ)) / "tls"
    reason = whyNotCreated(folder) if tls.self_signed else None
    if reason is not None:
        raise ConfigError(
            f"tls.self_signed: {folder} cannot be created: {reason}; set STATE_DIRECTORY to another folder"
        )
    if not tls.certificate:
        if tls.client_auth != "none":
            _askClients(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), tls)
        ends = {"a list in client_crl": _checkCrls(tls)}
    else:
        certificates = Certificates(replace(tls, self_signed=False), environ)
        ends = {f"the certificate for {name}": end for name, end in certificates.expiry().items()}
        ends["a list in client_crl"] = certificates.crlExpiry()
    now = time.time()
    return [f"tls: {name} has expired; replace it" for name, end in ends.items() if end is not None and end < now]


def _logKept(error: ConfigError) -> None:
    _log.error("the old certificates stay in use: {sentence}", event="certificate.kept", sentence=str(error))


def _stateOf(files: Iterable[Certificate], tls: Tls) -> object:
    """A value that changes when a file or its permissions change."""
    state = []
    for path in [path for pair in files for path in (pair.cert, pair.key)] + [tls.client_ca, tls.client_crl]:
        try:
            found = os.stat(path) if path is not None else None
        except OSError:
            found = None
        state.append(None if found is None else (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns))
    return state


def _use(context: ssl.SSLContext, pair: KeyPair) -> None:
    """Load a key pair and its chain into a context, which may have pairs of other kinds. Raises ConfigError."""
    try:
        context.load_cert_chain(pair.files.cert, pair.files.key, password="")
    except (ssl.SSLError, OSError) as error:
        reason = reasonOf(error) if isinstance(error, ssl.SSLError) else str(error)
        raise ConfigError(f"tls: {pair.files.cert} with {pair.files.key} cannot be used: {reason}") from None


def _askClients(context: ssl.SSLContext, tls: Tls) -> None:
    """Ask clients for a certificate of an authority in `client_ca`. Raises ConfigError."""
    if tls.client_ca is None:
        raise ConfigError("tls.client_ca: is required with client_auth; name the PEM file with the authorities")
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


def _checkCrls(tls: Tls) -> float | None:
    """The time at which the first list in `client_crl` expires, in seconds since 1970; None without any."""
    if tls.client_crl is None or tls.client_ca is None or tls.client_auth == "none":
        return None
    return readCrls(tls.client_crl, _authoritiesIn(tls.client_ca))


def _authoritiesIn(path: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(readFile(path, "client_ca"))
    except ValueError:
        sentence = f"tls.client_ca: {path} is not PEM; a certificate begins with -----BEGIN CERTIFICATE-----"
        raise ConfigError(sentence) from None
