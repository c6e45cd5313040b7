"""
TLS on accepted connections: certificates by name (SNI), clients' certificates, ALPN, and renewal without a restart.

pyOpenSSL behind Twisted's memory BIO. Contexts are built whole and swapped, so a handshake meets the old ones or the
new ones, and an open connection keeps those it began with.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IProtocolFactory, IReactorTime, ISSLTransport
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from zope.interface import implementer

from wsd.config import Certificate, ConfigError, Tls
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


@dataclass(frozen=True)
class Pair:
    """A certificate that was read, with the names it is for and when it ends (seconds since 1970)."""

    files: Certificate
    names: tuple[str, ...]
    end: float


@dataclass(frozen=True)
class _Contexts:
    """What one reading of all files gave."""

    default: SSL.Context
    byName: Mapping[str, SSL.Context]
    pairs: tuple[Pair, ...]

    def forName(self, name: str) -> SSL.Context:
        """The context for a server name: its own, else that of `*.` its parent, else the first."""
        name = name.rstrip(".").lower()
        exact = self.byName.get(name)
        if exact is not None:
            return exact
        return self.byName.get(f"*.{name.partition('.')[2]}", self.default)


class Certificates:
    """The certificates of the daemon. Raises ConfigError when they cannot be used."""

    log = Logger(namespace="wsd")

    def __init__(self, tls: Tls, environ: Mapping[str, str]) -> None:
        self._tls = tls
        self._environ = environ
        self.selfSignedPath: str | None = None
        self._seen: object = None
        self._contexts = self._read()

    # -- reading --------------------------------------------------------------------------------------------------

    def _files(self) -> list[Certificate]:
        files = list(self._tls.certificate)
        if self._tls.self_signed:
            made = ensureSelfSigned(self._environ)
            self.selfSignedPath = made.cert
            files.append(made)
        if not files:
            raise ConfigError(
                "tls: has no certificate; add a [[tls.certificate]], or self_signed = true to develop with"
            )
        return files

    def _read(self) -> _Contexts:
        files = self._files()
        self._seen = self._state(files)
        pairs = [_readPair(pair) for pair in files]
        shared: dict[tuple[str, ...], SSL.Context] = {}
        byName: dict[str, SSL.Context] = {}
        for pair in pairs:
            key = tuple(sorted(pair.names))
            if key not in shared:
                shared[key] = self._context()
            _use(shared[key], pair.files)
            for name in pair.names:
                byName.setdefault(name, shared[key])
        return _Contexts(next(iter(shared.values())), byName, tuple(pairs))

    def _state(self, files: list[Certificate]) -> object:
        """What tells that a file has changed."""
        state = []
        for path in [path for pair in files for path in (pair.cert, pair.key)] + [self._tls.client_ca]:
            try:
                found = os.stat(path) if path is not None else None
            except OSError:
                found = None
            state.append(None if found is None else (found.st_mtime_ns, found.st_size, found.st_ino))
        return state

    def _context(self) -> SSL.Context:
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_cipher_list(_CIPHERS)
        context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        context.set_session_id(b"wsd")
        context.set_tlsext_servername_callback(self._choose)
        context.set_alpn_select_callback(_selectProtocol)
        if self._tls.client_auth != "none":
            _askClients(context, self._tls)
        return context

    def _choose(self, connection: SSL.Connection) -> None:
        name = connection.get_servername()
        if name:
            connection.set_context(self._contexts.forName(name.decode("latin-1")))

    # -- renewal --------------------------------------------------------------------------------------------------

    def reload(self) -> bool:
        """Read all files anew. What is broken changes nothing, and the log says why."""
        try:
            self._contexts = self._read()
        except ConfigError as error:
            self.log.error(
                "the certificates stay as they were: {sentence}", event="certificate.kept", sentence=str(error)
            )
            return False
        self.log.info("the certificates were read anew", event="certificate.reloaded")
        return True

    def poll(self, now: float) -> None:
        """Reload when a file has changed since it was last read, or last found broken."""
        files = list(self._tls.certificate)
        if self._tls.self_signed:
            files.append(ensureSelfSigned(self._environ))
        if self._state(files) != self._seen:
            self.reload()

    def expiry(self) -> Mapping[str, float]:
        """When each certificate ends, by its first name, in seconds since 1970."""
        ends: dict[str, float] = {}
        for pair in self._contexts.pairs:
            name = pair.names[0] if pair.names else pair.files.cert
            ends[name] = min(pair.end, ends.get(name, pair.end))
        return ends

    # -- serving --------------------------------------------------------------------------------------------------

    def wrap(self, factory: IProtocolFactory, clock: IReactorTime) -> IProtocolFactory:
        """TLS in front of what `factory` builds."""
        wrapped = TLSMemoryBIOFactory(_Creator(self), False, factory, clock)
        wrapped.noisy = False
        return wrapped

    def newConnection(self) -> SSL.Connection:
        """The beginning of a handshake."""
        return SSL.Connection(self._contexts.default, None)


@implementer(IOpenSSLServerConnectionCreator)
class _Creator:
    """Gives each connection the contexts of the moment."""

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """For one connection."""
        return self._certificates.newConnection()


def tlsOf(transport: Any) -> TlsInfo | None:
    """What the TLS handshake of a transport agreed on, None without TLS."""
    if not ISSLTransport.providedBy(transport):
        return None
    connection: Any = cast(Any, transport).getHandle()
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


def _selectProtocol(connection: SSL.Connection, offered: list[bytes]) -> bytes:
    """http/1.1 or nothing: WebSockets over HTTP/2 are not spoken. Raises SSL.Error, which is the alert 120."""
    if _ALPN in offered:
        return _ALPN
    raise SSL.Error([("", "", "no application protocol in common")])


def _readFile(path: str, what: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ConfigError(
            f"tls: the {what} {path} cannot be read: {error.strerror}; name a file that wsd may read"
        ) from None


def _readPair(files: Certificate) -> Pair:
    """Read a certificate and its key, and check that they belong together. Raises ConfigError."""
    try:
        certificate = x509.load_pem_x509_certificates(_readFile(files.cert, "certificate"))[0]
    except ValueError:
        raise ConfigError(
            f"tls: the certificate {files.cert} is not PEM; it begins with -----BEGIN CERTIFICATE-----"
        ) from None
    try:
        key: Any = serialization.load_pem_private_key(_readFile(files.key, "key"), None)
    except TypeError:
        raise ConfigError(f"tls: the key {files.key} is encrypted; store it without a passphrase") from None
    except ValueError:
        raise ConfigError(f"tls: the key {files.key} is not PEM; it begins with -----BEGIN PRIVATE KEY-----") from None
    if key.public_key() != certificate.public_key():
        raise ConfigError(
            f"tls: the key {files.key} does not fit the certificate {files.cert}; name the pair that was made together"
        )
    return Pair(files, _namesOf(certificate), certificate.not_valid_after_utc.timestamp())


def _namesOf(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(name.lower() for name in names.get_values_for_type(x509.DNSName))


def _use(context: SSL.Context, files: Certificate) -> None:
    """Put a pair into a context, the whole chain with it; a second pair of another kind of key stands beside."""
    try:
        context.use_certificate_chain_file(files.cert)
        context.use_privatekey_file(files.key)
        context.check_privatekey()
    except SSL.Error as error:
        reason = error.args[0][0][2] if error.args and error.args[0] else "unknown"
        raise ConfigError(f"tls: {files.cert} with {files.key} cannot be used: {reason}") from None


def _askClients(context: SSL.Context, tls: Tls) -> None:
    """Ask clients for a certificate of the authorities in `client_ca`."""
    if tls.client_ca is None:
        raise ConfigError("tls.client_ca: is needed with client_auth; name the PEM file of the authorities")
    content = _readFile(tls.client_ca, "client_ca")
    try:
        x509.load_pem_x509_certificates(content)
        context.load_verify_locations(tls.client_ca)
        context.set_client_ca_list([_authority(one) for one in x509.load_pem_x509_certificates(content)])
    except (ValueError, SSL.Error):
        raise ConfigError(
            f"tls.client_ca: {tls.client_ca} is not PEM; it begins with -----BEGIN CERTIFICATE-----"
        ) from None
    context.set_verify(_VERIFY[tls.client_auth], lambda connection, certificate, error, depth, ok: bool(ok))


def _authority(certificate: x509.Certificate) -> Any:
    from OpenSSL.crypto import X509

    return X509.from_cryptography(certificate).get_subject()
