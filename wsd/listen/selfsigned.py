"""A certificate to develop with: for localhost, 127.0.0.1 and ::1, made once and kept, so that it is trusted once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wsd.config import Certificate, ConfigError, stateFolder

_LIFE = timedelta(days=365)
_RENEW = timedelta(days=30)
"""Renewed when less than this is left."""


def ensureSelfSigned(environ: Mapping[str, str]) -> Certificate:
    """The certificate's files in the state folder, made or renewed when they have to be. Raises ConfigError."""
    folder = Path(stateFolder(environ)) / "tls"
    files = Certificate(str(folder / "localhost.crt"), str(folder / "localhost.key"))
    if _isGood(files):
        return files
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        _write(
            files.key,
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )
        _write(files.cert, _make(key).public_bytes(serialization.Encoding.PEM))
    except OSError as error:
        raise ConfigError(
            f"tls.self_signed: {folder} cannot be written: {error.strerror}; set STATE_DIRECTORY to a folder of its own"
        ) from None
    return files


def _isGood(files: Certificate) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(Path(files.cert).read_bytes())
        key = serialization.load_pem_private_key(Path(files.key).read_bytes(), None)
    except (OSError, ValueError, TypeError):
        return False
    fits = key.public_key() == certificate.public_key()
    return fits and certificate.not_valid_after_utc - datetime.now(UTC) > _RENEW


def _write(path: str, content: bytes) -> None:
    """Put a file in its place whole; only its owner may read it."""
    temporary = f"{path}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _make(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "wsd development, localhost")])
    now = datetime.now(UTC)
    names = [x509.DNSName("localhost"), *(x509.IPAddress(ip_address(text)) for text in ("127.0.0.1", "::1"))]
    subjectKey = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(subjectKey, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(subjectKey), critical=False)
    )
    return builder.sign(key, hashes.SHA256())
