"""Certificates for tests: an authority, and what it vouches for, in PEM files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wsd.config import Certificate

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_DAY = timedelta(days=1)


@cache
def _rsa() -> rsa.RSAPrivateKey:
    """One for all: making it takes longer than the test."""
    return rsa.generate_private_key(65537, 2048)


def makeKey(kind: str) -> Key:
    """Of the kind "ecdsa" or "rsa"."""
    return _rsa() if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())


def keyBytes(key: Key, passphrase: bytes | None = None) -> bytes:
    """A private key in PEM, encrypted if there is a passphrase."""
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def certificateBytes(*certificates: x509.Certificate) -> bytes:
    """Certificates in PEM."""
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)


class Authority:
    """Vouches for servers and clients; `path` is its certificate, `parent` who vouches for it."""

    def __init__(self, folder: Path, name: str = "authority", parent: Authority | None = None) -> None:
        self.folder = folder
        self.parent = parent
        self.key = makeKey("ecdsa")
        self.name = _name(name)
        issuer = parent or self
        builder = _builder(self.name, issuer, self.key, -_DAY, 30 * _DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
        self.certificate = builder.sign(issuer.key, hashes.SHA256())
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(certificateBytes(self.certificate))

    def server(
        self,
        stem: str,
        *names: str,
        kind: str = "ecdsa",
        begin: timedelta = -_DAY,
        end: timedelta = 30 * _DAY,
    ) -> Certificate:
        """A server's pair of files for DNS names and addresses; the chain up to below the root is in the first."""
        key = makeKey(kind)
        builder = _builder(_name(stem), self, key, begin, end)
        if names:
            subjects = [_subject(name) for name in names]
            builder = builder.add_extension(x509.SubjectAlternativeName(subjects), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        return self._write(stem, builder.sign(self.key, hashes.SHA256()), key)

    def client(self, stem: str, attributes: Sequence[tuple[x509.ObjectIdentifier, str]] = ()) -> Certificate:
        """A client's pair of files; its subject is the common name `stem` and these attributes before it."""
        key = makeKey("ecdsa")
        parts = [x509.NameAttribute(identifier, value) for identifier, value in attributes]
        subject = x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, stem)])
        builder = _builder(subject, self, key, -_DAY, 30 * _DAY)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        return self._write(stem, builder.sign(self.key, hashes.SHA256()), key)

    def revoke(self, *certificates: Certificate, days: int = 30) -> str:
        """The path of this authority's list of revoked certificates, which ends in so many days."""
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name)
        builder = builder.last_update(now - 60 * _DAY).next_update(now + days * _DAY)
        for files in certificates:
            serial = x509.load_pem_x509_certificate(Path(files.cert).read_bytes()).serial_number
            revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - _DAY).build()
            builder = builder.add_revoked_certificate(revoked)
        path = self.path.with_suffix(".crl")
        path.write_bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return str(path)

    def _write(self, stem: str, certificate: x509.Certificate, key: Key) -> Certificate:
        chain, issuer = [certificate], self
        while issuer.parent is not None:
            chain.append(issuer.certificate)
            issuer = issuer.parent
        files = Certificate(str(self.folder / f"{stem}.crt"), str(self.folder / f"{stem}.key"))
        Path(files.cert).write_bytes(certificateBytes(*chain))
        Path(files.key).write_bytes(keyBytes(key))
        return files


def _name(commonName: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, commonName)])


def _subject(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name, issuer: Authority, key: Key, begin: timedelta, end: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begin)
        .not_valid_after(now + end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(identifier, critical=False)
    )
