"""mtls: a verified client certificate, whose subject or subject alternative name (RFC 5280 4.2.1.6) is the user."""

from __future__ import annotations

from functools import lru_cache

from cryptography import x509
from cryptography.x509.oid import NameOID

from wsd.auth.outcome import AuthenticatedUser, AuthRequest, Rejection, isName
from wsd.config.subjects import attributesOf
from wsd.policies.address import TlsInfo

_KINDS: dict[str, type[x509.DNSName] | type[x509.RFC822Name] | type[x509.UniformResourceIdentifier]] = {
    "dns": x509.DNSName,
    "email": x509.RFC822Name,
    "uri": x509.UniformResourceIdentifier,
}


class CertificateMethod:
    """The clients of a TLS listener that asks for certificates."""

    name = "mtls"
    challenge = None
    missing = "connect over TLS with a client certificate"

    def __init__(self, part: str) -> None:
        """`part` is what names the user: "subject", "cn", or a kind of subject alternative name."""
        self._part = part

    async def authenticate(self, request: AuthRequest) -> AuthenticatedUser | Rejection | None:
        """The user that the certificate names."""
        if request.tls is None or request.tls.client is None:
            return None
        user = userOf(request.tls, self._part)
        if user is None or not isName(user):
            return Rejection(f"the client certificate has no {self._part} that could name the user")
        return AuthenticatedUser(user, self.name)


@lru_cache(1024)
def userOf(tls: TlsInfo, part: str) -> str | None:
    """The part of a certificate that names its user, the first one of several; None if it has none."""
    if part == "subject":
        return tls.client
    if tls.clientPem is None:
        return _commonName(tls.client) if part == "cn" and tls.client is not None else None
    certificate = x509.load_pem_x509_certificate(tls.clientPem)
    if part == "cn":
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(names[0].value) if names else None
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    values = found.get_values_for_type(_KINDS[part])
    return str(values[0]) if values else None


def _commonName(subject: str) -> str | None:
    """The CN of a subject, of whose certificate a proxy has not passed on more."""
    return next((value for kind, value in attributesOf(subject) if kind == "CN"), None)
