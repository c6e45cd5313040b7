"""The Security header: which one is for this node, what may be in it, and how faults name what may not."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import etree

from tests.auth.helpers import SECRET
from tests.protocols.soap.security.messages import DECLARED, NOW, at, message, security, timestamp, token
from wsd.auth.logins import Login
from wsd.protocols.soap.names import SOAP12, WSSE, WSU
from wsd.protocols.soap.security.faults import SecurityFault
from wsd.protocols.soap.security.header import takeLogin

RIGHT = Login("ann", SECRET)


def taken(header: str) -> tuple[Any, Login]:
    """The rest of a message with this header, and the login in it."""
    root = etree.fromstring(message(header))
    return root, takeLogin(root, SOAP12, NOW)


def refused(header: str) -> tuple[str, str]:
    """The fault about a message with this header: the tag of its code, and its reason."""
    with pytest.raises(SecurityFault) as caught:
        taken(header)
    return caught.value.subcode, caught.value.reason


def test_it_is_removed_with_the_password() -> None:
    root, login = taken(security())
    assert login == RIGHT
    assert WSSE not in etree.tostring(root).decode()
    assert SECRET not in etree.tostring(root).decode()
    assert root.findtext(".//{*}MessageID") == "urn:uuid:1"


def test_one_for_another_role_is_left_alone() -> None:
    other = f'<o:Security {DECLARED} s:role="urn:other"/>'
    root, login = taken(other + security())
    assert login == RIGHT
    assert [each.get(SOAP12.role) for each in root.iter(f"{{{WSSE}}}Security")] == ["urn:other"]
    assert refused(other)[1] == "the message has no wsse:Security with a UsernameToken; send one"


@pytest.mark.parametrize("role", [SOAP12.next, SOAP12.ultimate])
def test_one_for_our_role_is_taken(role: str) -> None:
    assert taken(security().replace("<o:Security", f'<o:Security s:role="{role}"'))[1] == RIGHT


@pytest.mark.parametrize(
    ("header", "code", "words"),
    [
        ("", "InvalidSecurity", "no wsse:Security"),
        (security(timestamp()), "InvalidSecurity", "no UsernameToken"),
        (security(timestamp(), token()) * 2, "InvalidSecurity", "several wsse:Security"),
        (security(token(), token()), "InvalidSecurity", "UsernameToken twice"),
        (security(timestamp(), timestamp(), token()), "InvalidSecurity", "Timestamp twice"),
        (
            security(token(), '<d:Signature xmlns:d="http://www.w3.org/2000/09/xmldsig#"/>'),
            "UnsupportedAlgorithm",
            "signatures are not supported (Signature)",
        ),
        (
            security('<e:EncryptedKey xmlns:e="http://www.w3.org/2001/04/xmlenc#"/>', token()),
            "UnsupportedAlgorithm",
            "encryption is not supported (EncryptedKey)",
        ),
        (
            security('<e:ReferenceList xmlns:e="http://www.w3.org/2001/04/xmlenc#"/>', token()),
            "UnsupportedAlgorithm",
            "encryption is not supported (ReferenceList)",
        ),
        (
            security(
                "<x:SignatureConfirmation xmlns:x='http://docs.oasis-open.org/wss/oasis-wss-wssecurity-secext-1.1.xsd'/>"
            ),
            "UnsupportedAlgorithm",
            "signature confirmation is not supported",
        ),
        (security("<o:BinarySecurityToken/>"), "UnsupportedSecurityToken", "BinarySecurityToken is not supported"),
        (
            security('<a:Assertion xmlns:a="urn:oasis:names:tc:SAML:2.0:assertion"/>'),
            "UnsupportedSecurityToken",
            "Assertion is not supported",
        ),
    ],
)
def test_what_is_wrong_is_named(header: str, code: str, words: str) -> None:
    found, reason = refused(header)
    assert found == f"{{{WSSE}}}{code}"
    assert words in reason


class TestTheTimestamp:
    @pytest.mark.parametrize(
        ("created", "expires"),
        [
            (at(), at(300)),
            (at(299), at(600)),
            (at(-900), at(-299)),
            (at(-86_400), at(86_400)),
            (at().replace("Z", "+00:00"), at(300)),
            ("2026-03-01T13:00:00.1234567+01:00", "2026-03-01T12:05:00Z"),
        ],
        ids=["now", "our clock is late", "our clock is early", "a long time", "an offset", "seven digits"],
    )
    def test_may_differ_by_five_minutes(self, created: str, expires: str) -> None:
        assert taken(security(timestamp(created, expires), token()))[1] == RIGHT

    @pytest.mark.parametrize(
        ("parts", "code", "words"),
        [
            (timestamp(at(-900), at(-301)), "MessageExpired", "expired 301 seconds ago"),
            (timestamp(at(301), at(601)), "MessageExpired", "301 seconds in the future"),
            (timestamp(at(10), at(10)), "InvalidSecurity", "not after its Created"),
            (timestamp("yesterday"), "InvalidSecurity", "'yesterday' is not a time"),
            (timestamp("2026-03-01T12:00:00"), "InvalidSecurity", "is not a time"),
            (timestamp("10000-01-01T00:00:00Z"), "InvalidSecurity", "is not a time"),
            (timestamp(""), "InvalidSecurity", "is not a time"),
            (timestamp().replace("u:Expires", "u:Created"), "InvalidSecurity", "two elements"),
            (f"<u:Timestamp><u:Created>{at(-601)}</u:Created></u:Timestamp>", "MessageExpired", "expired 301"),
        ],
    )
    def test_is_refused_otherwise(self, parts: str, code: str, words: str) -> None:
        found, reason = refused(security(parts, token()))
        assert found == f"{{{WSU if code == 'MessageExpired' else WSSE}}}{code}"
        assert words in reason

    def test_may_leave_out_either_time(self) -> None:
        for kept in (f"<u:Created>{at()}</u:Created>", f"<u:Expires>{at()}</u:Expires>", ""):
            assert taken(security(f"<u:Timestamp>{kept}</u:Timestamp>", token()))[1] == RIGHT
