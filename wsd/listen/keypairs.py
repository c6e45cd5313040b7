"""Reads pairs of a certificate and a private key from PEM files, and checks that they belong together."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from wsd.config import Certificate, ConfigError


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key, the DNS names in lower case, and the validity in seconds since 1970."""

    files: Certificate
    key: PrivateKeyTypes
    names: tuple[str, ...]
    begin: float
    end: float

    @property
    def name(self) -> str:
        """The first DNS name, else the file, for the log."""
        return self.names[0] if self.names else self.files.cert

    @property
    def kind(self) -> str:
        """The class of the key, which tells RSA from ECDSA."""
        return type(self.key).__name__


def readFile(path: str, what: str) -> bytes:
    """The content of a file. Raises ConfigError."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ConfigError(
            f"tls: the {what} {path} cannot be read: {error.strerror}; use a file that wsd can read"
        ) from None


def readKeyPair(files: Certificate) -> KeyPair:
    """Read a certificate and its key, and check that they belong together. Raises ConfigError."""
    content = readFile(files.cert, "certificate")
    try:
        certificate = x509.load_pem_x509_certificates(content)[0]
        names, public = _namesOf(certificate), certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(
            f"tls: the certificate {files.cert} is not PEM; it begins with -----BEGIN CERTIFICATE-----"
            if b"-----BEGIN CERTIFICATE-----" not in content
            else f"tls: the certificate {files.cert} is damaged; replace it with a complete copy"
        ) from None
    key = _readKey(files.key)
    if key.public_key() != public:
        raise ConfigError(f"tls: the key {files.key} does not match the certificate {files.cert}; use a matching pair")
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return KeyPair(files, key, names, begin.timestamp(), end.timestamp())


def _readKey(path: str) -> PrivateKeyTypes:
    content = readFile(path, "key")
    try:
        return serialization.load_pem_private_key(content, None)
    except TypeError:
        raise ConfigError(f"tls: the key {path} is encrypted; save it without a passphrase") from None
    except UnsupportedAlgorithm:
        raise ConfigError(f"tls: the key {path} has an unsupported type; use ECDSA or RSA") from None
    except ValueError:
        raise ConfigError(
            f"tls: the key {path} is not PEM; it begins with -----BEGIN PRIVATE KEY-----"
            if b"PRIVATE KEY-----" not in content
            else f"tls: the key {path} is damaged; replace it with a complete copy"
        ) from None


def _namesOf(certificate: x509.Certificate) -> tuple[str, ...]:
    """The DNS names. Addresses are left out, since clients do not send them as server names (RFC 6066 3)."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(name.lower() for name in names.get_values_for_type(x509.DNSName))
