"""Certificate revocation lists (CRLs, RFC 5280 5) for client certificates, in PEM files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import inf

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from wsd.config import ConfigError
from wsd.listen.keypairs import readFile

_LIST = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)


def readCrls(path: str, authorities: Iterable[x509.Certificate]) -> float:
    """
    Check that a file has a list of each authority, since OpenSSL refuses all clients of an authority without one.

    Returns the time at which the first list expires, in seconds since 1970. Raises ConfigError.
    """
    content = readFile(path, "client_crl")
    if b"CERTIFICATE-----" in content:
        # OpenSSL would trust that certificate.
        raise ConfigError(f"tls.client_crl: {path} contains a certificate; certificates belong in client_ca")
    found = _LIST.findall(content)
    if not found:
        raise ConfigError(f"tls.client_crl: {path} is not PEM; a revocation list begins with -----BEGIN X509 CRL-----")
    try:
        lists = [x509.load_pem_x509_crl(each) for each in found]
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"tls.client_crl: {path} is damaged; replace it with a complete copy") from None
    for authority in authorities:
        if not any(_isOf(each, authority) for each in lists):
            raise ConfigError(
                f"tls.client_crl: {path} has no revocation list for {authority.subject.rfc4514_string()}, an authority "
                "in client_ca; add the lists of all authorities"
            )
    return min(inf if each.next_update_utc is None else each.next_update_utc.timestamp() for each in lists)


def _isOf(revoked: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    """Whether this authority has signed the list."""
    if revoked.issuer != authority.subject:
        return False
    try:
        return revoked.is_signature_valid(authority.public_key())  # type: ignore[arg-type]
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return False
