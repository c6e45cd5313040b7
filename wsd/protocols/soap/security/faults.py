"""The faults of WS-Security (WSS: SOAP Message Security 1.1, 12)."""

from __future__ import annotations

from wsd.protocols.soap.faults import SOAP_FAULT, Fault
from wsd.protocols.soap.names import WSSE, WSU

_EXPIRED = "MessageExpired"
"""The one code in the namespace of the utility schema."""


class SecurityFault(Fault):
    """
    Raised for a message that is not authenticated.

    `code` is UnsupportedSecurityToken, UnsupportedAlgorithm, InvalidSecurity, InvalidSecurityToken,
    FailedAuthentication or MessageExpired: the Subcode in SOAP 1.2, the faultcode in SOAP 1.1.
    """

    def __init__(self, code: str, reason: str) -> None:
        namespace = WSU if code == _EXPIRED else WSSE
        super().__init__(reason, subcode=f"{{{namespace}}}{code}", action=SOAP_FAULT)
