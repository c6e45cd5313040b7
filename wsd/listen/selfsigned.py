"""
Certificates for development: for localhost, 127.0.0.1 and ::1, issued by an authority that only this user has.

The authority is made once and kept, so that the user has to trust it only once. Trusting it is harmless: by its name
constraints (RFC 5280 4.2.1.10) it can only issue certificates for this machine. A single self-signed certificate is
not enough: browsers do not accept a leaf as an authority, and some do not accept an authority as a leaf.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wsd.config import Certificate, ConfigError, stateFolder

_NAME = "localhost"
_AUTHORITY = "authority"
_ADDRESSES = ("127.0.0.1", "::1")

_LIFE = timedelta(days=397)
"""The life of a certificate; browsers accept at most 398 days."""
_RENEW = timedelta(days=30)
"""A certificate is renewed when it expires sooner than this."""
_AUTHORITY_LIFE = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class SelfSigned:
    """The certificate to serve, and the path of the authority's certificate, which clients may trust."""

    pair: Certificate
    authority: str


@dataclass(frozen=True, slots=True)
class _Issued:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def ensureSelfSigned(environ: Mapping[str, str], clock: Callable[[], float] = time.time) -> SelfSigned:
    """
    Make or renew the files in the state folder, if needed. Returns their paths. Raises ConfigError.

    `clock` returns the seconds since 1970.
    """
    folder = Path(stateFolder(environ)) / "tls"
    now = datetime.fromtimestamp(clock(), UTC)
    try:
        if _leafIn(folder, _authorityIn(folder, now), now) is None:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(folder / "lock", "w", encoding="utf-8") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                _renew(folder, now)
    except OSError as error:
        raise ConfigError(
            f"tls.self_signed: {folder} cannot be written: {error.strerror}; set STATE_DIRECTORY to a writable folder"
        ) from None
    pair = Certificate(str(folder / f"{_NAME}.crt"), str(folder / f"{_NAME}.key"))
    return SelfSigned(pair, str(folder / f"{_AUTHORITY}.crt"))


def _renew(folder: Path, now: datetime) -> None:
    """Make the authority and the certificate, if they are missing or about to expire."""
    authority = _authorityIn(folder, now)
    if authority is None:
        authority = _makeAuthority(now)
        _write(folder / _AUTHORITY, authority)
    if _leafIn(folder, authority, now) is None:
        _write(folder / _NAME, _makeLeaf(authority, now))


# -- files --------------------------------------------------------------------------------------------------------


def _authorityIn(folder: Path, now: datetime) -> _Issued | None:
    """The authority, if it outlives a certificate that it issues now."""
    found = _read(folder / _AUTHORITY)
    return found if found is not None and found.certificate.not_valid_after_utc - now > _LIFE else None


def _leafIn(folder: Path, authority: _Issued | None, now: datetime) -> _Issued | None:
    """The certificate, if the authority has issued it and it need not be renewed."""
    found = _read(folder / _NAME)
    if found is None or authority is None or found.certificate.not_valid_after_utc - now < _RENEW:
        return None
    try:
        found.certificate.verify_directly_issued_by(authority.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return None
    return found


def _read(stem: Path) -> _Issued | None:
    """A certificate and its key; None if they are missing or damaged."""
    try:
        certificate = x509.load_pem_x509_certificate(stem.with_suffix(".crt").read_bytes())
        key = serialization.load_pem_private_key(stem.with_suffix(".key").read_bytes(), None)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        return None
    return _Issued(certificate, key)


def _write(stem: Path, made: _Issued) -> None:
    key = made.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _replace(stem.with_suffix(".key"), key)
    _replace(stem.with_suffix(".crt"), made.certificate.public_bytes(serialization.Encoding.PEM))


def _replace(path: Path, content: bytes) -> None:
    """Replace a file in one step; only its owner may read it."""
    temporary = path.with_suffix(f"{path.suffix}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


# -- certificates -------------------------------------------------------------------------------------------------


def _makeAuthority(now: datetime) -> _Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _named(f"wsd development authority {os.urandom(4).hex()}")
    own: list[x509.GeneralName] = [x509.DNSName(_NAME)]
    own += [x509.IPAddress(ip_network(address)) for address in _ADDRESSES]
    builder = (
        _begin(name, name, key, key, now, _AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signing=True), critical=True)
        .add_extension(x509.NameConstraints(permitted_subtrees=own, excluded_subtrees=None), critical=True)
    )
    return _Issued(builder.sign(key, hashes.SHA256()), key)


def _makeLeaf(authority: _Issued, now: datetime) -> _Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [x509.DNSName(_NAME)]
    names += [x509.IPAddress(ip_address(address)) for address in _ADDRESSES]
    builder = (
        _begin(_named(_NAME), authority.certificate.subject, key, authority.key, now, _LIFE)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signing=False), critical=True)
    )
    return _Issued(builder.sign(authority.key, hashes.SHA256()), key)


def _named(commonName: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, commonName)])


def _usage(signing: bool) -> x509.KeyUsage:
    """The key usage of an authority, which signs, or of a server's certificate."""
    return x509.KeyUsage(
        digital_signature=not signing,
        key_cert_sign=signing,
        crl_sign=signing,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _begin(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuerKey: ec.EllipticCurvePrivateKey,
    now: datetime,
    life: timedelta,
) -> x509.CertificateBuilder:
    """The common part of both certificates: for servers only, with both key identifiers (RFC 5280 4.2.1.1, 4.2.1.2)."""
    issuerId = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuerKey.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + life - timedelta(hours=1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(issuerId, critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
