"""TLS for a client: which certificates it trusts, and its own certificate."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from zope.interface import implementer

from wsd.client.failures import ExitStatus, Unanswered

_BEGIN = b"-----BEGIN CERTIFICATE-----"
_ALPN = [b"http/1.1"]
"""A server that also speaks HTTP/2 at its port must not choose it: the handshake is one of HTTP/1.1."""


@dataclass(frozen=True, slots=True)
class TrustedCertificates:
    """Paths of PEM files: `ca` replaces the system's authorities; `cert` and `key` are the client's own."""

    ca: str | None = None
    insecure: bool = False
    cert: str | None = None
    key: str | None = None


SYSTEM_TRUST = TrustedCertificates()
"""The system's authorities are trusted, and the client has no certificate."""


def addTrust(parser: ArgumentParser) -> None:
    """Add the options that say which certificates are trusted."""
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument("--ca", metavar="FILE", help="trust only the certificates in this PEM file")
    trust.add_argument("--insecure", action="store_true", help="do not verify the server's certificate")


def addCertificate(parser: ArgumentParser) -> None:
    """Add the options for a certificate of the client's own."""
    parser.add_argument("--cert", metavar="FILE", help="the client's certificate: a PEM file with the whole chain")
    parser.add_argument("--key", metavar="FILE", help="its private key: a PEM file (default: the file of --cert)")


def trustOf(arguments: Namespace) -> TrustedCertificates:
    """Returns what these options say."""
    cert, key = getattr(arguments, "cert", None), getattr(arguments, "key", None)
    if key is not None and cert is None:
        raise Unanswered("--key: needs the certificate that it belongs to; add --cert", ExitStatus.USAGE)
    return TrustedCertificates(arguments.ca, arguments.insecure, cert, key)


def tlsOptions(host: str, trust: TrustedCertificates) -> Any:
    """Returns Twisted's options for a TLS connection to this host. Raises `Unanswered` if a file cannot be used."""
    # Imported late: a connection without TLS does not load these libraries.
    from twisted.internet import ssl

    own = _ownCertificate(trust) if trust.cert is not None else {}
    if trust.insecure:
        return _Unchecked(host, ssl.CertificateOptions(verify=False, acceptableProtocols=_ALPN, **own))
    root = None if trust.ca is None else ssl.trustRootFromCertificates(list(_authorities(trust.ca)))
    return ssl.optionsForClientTLS(host, root, acceptableProtocols=_ALPN, extraCertificateOptions=own)


@implementer(IOpenSSLClientConnectionCreator)
class _Unchecked:
    """Creates connections that name the host to the server (SNI), and check nothing."""

    def __init__(self, host: str, options: Any) -> None:
        self._host = None if isIPAddress(host) or isIPv6Address(host) else host.encode("ascii")
        self._options = options

    def clientConnectionForTLS(self, tlsProtocol: object) -> Any:
        """A new connection."""
        from OpenSSL.SSL import Connection

        connection = Connection(self._options.getContext(), None)
        if self._host is not None:
            connection.set_tlsext_host_name(self._host)
        return connection


def _read(option: str, path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise Unanswered(f"{option}: {path} cannot be read: {error.strerror}", ExitStatus.USAGE) from None


def _certificates(option: str, path: str) -> list[Any]:
    from OpenSSL.crypto import Error
    from twisted.internet import ssl

    try:
        found = [ssl.Certificate.loadPEM(_BEGIN + piece) for piece in _read(option, path).split(_BEGIN)[1:]]
    except (Error, ValueError):
        found = []
    if not found:
        raise Unanswered(f"{option}: {path} contains no readable certificate; use a PEM file", ExitStatus.USAGE)
    return found


def _authorities(path: str) -> Iterator[Any]:
    yield from _certificates("--ca", path)


def _ownCertificate(trust: TrustedCertificates) -> dict[str, Any]:
    """The arguments of CertificateOptions for the client's certificate, the chain above it, and its key."""
    from OpenSSL.crypto import FILETYPE_PEM, Error, load_privatekey

    assert trust.cert is not None
    first, *rest = _certificates("--cert", trust.cert)
    option, path = ("--cert", trust.cert) if trust.key is None else ("--key", trust.key)
    try:
        key = load_privatekey(FILETYPE_PEM, _read(option, path), b"")
    except (Error, ValueError, TypeError):
        raise Unanswered(
            f"{option}: {path} contains no private key that is readable without a passphrase; use a PEM file",
            ExitStatus.USAGE,
        ) from None
    if key.to_cryptography_key().public_key() != first.original.to_cryptography().public_key():  # type: ignore[union-attr]
        raise Unanswered(f"{option}: {path} does not match the certificate", ExitStatus.USAGE)
    return {"privateKey": key, "certificate": first.original, "extraCertChain": [each.original for each in rest]}
