"""The Security header of a message: finds it, removes it, and reads the login in it."""

from __future__ import annotations

from typing import Any

from wsd.auth.logins import Login
from wsd.protocols.soap.envelope import isForUs
from wsd.protocols.soap.names import WSSE, WSU, Version, localName, namespaceOf
from wsd.protocols.soap.security.faults import SecurityFault
from wsd.protocols.soap.security.timestamps import SECURITY, checkTimestamp
from wsd.protocols.soap.security.token import readToken

_TIMESTAMP = f"{{{WSU}}}Timestamp"
_TOKEN = f"{{{WSSE}}}UsernameToken"
_CRYPTOGRAPHIC = {
    "http://www.w3.org/2000/09/xmldsig#": "signatures are",
    "http://www.w3.org/2001/04/xmlenc#": "encryption is",
    "http://docs.oasis-open.org/wss/oasis-wss-wssecurity-secext-1.1.xsd": "WS-Security 1.1's signature confirmation is",
}
"""What is not supported, by the namespace of its elements."""


def takeLogin(root: Any, version: Version, now: float) -> Login:
    """Removes the Security header for this node from a message, and returns the login in it. Raises `SecurityFault`."""
    blocks = [each for each in root.iterfind(f"{version.header}/{SECURITY}") if isForUs(each, version)]
    if not blocks:
        raise SecurityFault("InvalidSecurity", "the message has no wsse:Security with a UsernameToken; send one")
    if len(blocks) > 1:
        raise SecurityFault("InvalidSecurity", "the message has several wsse:Security headers for the same role")
    (block,) = blocks
    block.getparent().remove(block)
    return _loginIn(block, now)


def _loginIn(block: Any, now: float) -> Login:
    found: dict[str, Any] = {}
    for each in block:
        if each.tag not in (_TIMESTAMP, _TOKEN):
            raise _unsupported(each.tag)
        if each.tag in found:
            raise SecurityFault("InvalidSecurity", f"the wsse:Security has {localName(each.tag)} twice")
        found[each.tag] = each
    if _TIMESTAMP in found:
        checkTimestamp(found[_TIMESTAMP], now)
    if _TOKEN not in found:
        raise SecurityFault("InvalidSecurity", "the wsse:Security has no UsernameToken; send one")
    return readToken(found[_TOKEN], now)


def _unsupported(tag: str) -> SecurityFault:
    local = localName(tag)[:80]
    what = _CRYPTOGRAPHIC.get(namespaceOf(tag))
    if what is not None:
        reason = f"{what} not supported ({local}); send a UsernameToken over TLS"
        return SecurityFault("UnsupportedAlgorithm", reason)
    return SecurityFault("UnsupportedSecurityToken", f"{local} is not supported; send a UsernameToken over TLS")
