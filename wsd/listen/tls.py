"""
TLS on accepted connections: certificates by name (SNI), clients' certificates, ALPN, and renewal without a restart.

pyOpenSSL behind Twisted's memory BIO. Contexts are built whole and swapped, so a handshake meets the old ones or the
new ones, and an open connection keeps those it began with.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IProtocolFactory, IReactorTime
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from zope.interface import implementer

from wsd.config import Certificate, ConfigError, Tls
from wsd.listen.pairs import Pair, readFile, readPair
from wsd.listen.selfsigned import ensureSelfSigned
from wsd.policies.address import TlsInfo

_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secrecy and authenticated encryption only; TLS 1.3 has nothing else."""

_ALPN = b"http/1.1"

_VERIFY = {
    "none": SSL.VERIFY_NONE,
    "optional": SSL.VERIFY_PEER,
    "required": SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT,
}

_log = Logger(namespace="wsd")


@dataclass(frozen=True, slots=True)
class _Contexts:
    """What one reading of all files gave."""

    default: SSL.Context
    byName: Mapping[str, SSL.Context]
    pairs: tuple[Pair, ...]

    def forName(self, name: str) -> SSL.Context:
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
        shared: dict[tuple[str, ...], SSL.Context] = {}
        used: set[tuple[tuple[str, ...], str]] = set()
        byName: dict[str, SSL.Context] = {}
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
        return _Contexts(next(iter(shared.values())), byName, pairs)

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

    def _context(self, tls: Tls) -> SSL.Context:
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_cipher_list(_CIPHERS)
        context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        # Sessions are resumed by tickets, which cost no memory here. Without an id a client that has shown its
        # certificate could not resume one.
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_session_id(b"wsd")
        context.set_tlsext_servername_callback(self._choose)
        context.set_alpn_select_callback(_selectProtocol)
        if tls.client_auth != "none":
            _askClients(context, tls)
        return context

    def _choose(self, connection: SSL.Connection) -> None:
        name = connection.get_servername()
        if name:
            connection.set_context(self._contexts.forName(name.decode("latin-1")))

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

    def expiry(self) -> Mapping[str, float]:
        """When each certificate ends, by its first name, in seconds since 1970."""
        ends: dict[str, float] = {}
        for pair in self._contexts.pairs:
            ends[pair.name] = min(pair.end, ends.get(pair.name, pair.end))
        return ends

    # -- serving --------------------------------------------------------------------------------------------------

    def wrap(self, factory: IProtocolFactory, clock: IReactorTime) -> IProtocolFactory:
        """TLS in front of what `factory` builds."""
        return TLSMemoryBIOFactory(_Creator(self), False, factory, clock)

    def newConnection(self) -> SSL.Connection:
        """The beginning of a handshake."""
        return _Connection(self._contexts.default, None)


class _Connection(SSL.Connection):
    """A connection of OpenSSL's that tells the log why a handshake failed; its app data is its transport."""

    def do_handshake(self) -> None:
        """Go on with the handshake. Raises SSL.Error."""
        try:
            super().do_handshake()
        except SSL.WantReadError:
            raise
        except SSL.Error as error:
            _log.info(
                "no TLS with {peer}: {reason}",
                event="tls.refused",
                peer=getattr(self.get_app_data().getPeer(), "host", "unix"),
                reason=_reasonOf(error),
            )
            raise


@implementer(IOpenSSLServerConnectionCreator)
class _Creator:
    """Gives each connection the contexts of the moment."""

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """For one connection."""
        connection = self._certificates.newConnection()
        connection.set_app_data(tlsProtocol)
        return connection


def tlsOf(transport: Any) -> TlsInfo | None:
    """What the TLS handshake of a transport agreed on, None without TLS."""
    connection = transport.getHandle() if hasattr(transport, "getHandle") else None
    if not isinstance(connection, SSL.Connection):
        return None
    certificate = connection.get_peer_certificate(as_cryptography=True)
    alpn = connection.get_alpn_proto_negotiated()
    sni = connection.get_servername()
    return TlsInfo(
        connection.get_protocol_version_name(),
        connection.get_cipher_name() or "",
        sni.decode("latin-1") if sni else None,
        alpn.decode("latin-1") if alpn else None,
        certificate.subject.rfc4514_string() if certificate is not None else None,
        certificate.public_bytes(serialization.Encoding.PEM) if certificate is not None else None,
    )


def _tellKept(error: ConfigError) -> None:
    _log.error("the certificates stay as they were: {sentence}", event="certificate.kept", sentence=str(error))


def _stateOf(files: Iterable[Certificate], tls: Tls) -> object:
    """What tells that a file, or who may read it, has changed."""
    state = []
    for path in [path for pair in files for path in (pair.cert, pair.key)] + [tls.client_ca]:
        try:
            found = os.stat(path) if path is not None else None
        except OSError:
            found = None
        state.append(None if found is None else (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns))
    return state


def _selectProtocol(connection: SSL.Connection, offered: list[bytes]) -> bytes:
    """http/1.1 or nothing: WebSockets over HTTP/2 are not spoken. Raises SSL.Error, which is alert 120 (RFC 7301)."""
    if _ALPN in offered:
        return _ALPN
    raise SSL.Error([("", "", "no application protocol in common, only http/1.1 is spoken")])


def _reasonOf(error: SSL.Error) -> str:
    """OpenSSL's words for the last of its errors."""
    errors = error.args[0] if error.args else None
    return str(errors[-1][2]) if errors else "the connection was lost"


def _use(context: SSL.Context, pair: Pair) -> None:
    """Put a pair into a context, the whole chain with it; a second pair of another kind of key stands beside."""
    try:
        context.use_certificate_chain_file(pair.files.cert)
        context.use_privatekey(pair.key)  # type: ignore[arg-type]
        context.check_privatekey()
    except (SSL.Error, TypeError) as error:
        reason = _reasonOf(error) if isinstance(error, SSL.Error) else str(error)
        raise ConfigError(f"tls: {pair.files.cert} with {pair.files.key} cannot be used: {reason}") from None


def _askClients(context: SSL.Context, tls: Tls) -> None:
    """Ask clients for a certificate of the authorities in `client_ca`."""
    if tls.client_ca is None:
        raise ConfigError("tls.client_ca: is needed with client_auth; name the PEM file of the authorities")
    content = readFile(tls.client_ca, "client_ca")
    try:
        x509.load_pem_x509_certificates(content)
        context.load_verify_locations(tls.client_ca)
        context.load_client_ca(os.fsencode(tls.client_ca))
    except (ValueError, SSL.Error):
        raise ConfigError(
            f"tls.client_ca: {tls.client_ca} is not PEM; it begins with -----BEGIN CERTIFICATE-----"
        ) from None
    context.set_verify(_VERIFY[tls.client_auth])
