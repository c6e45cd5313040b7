"""The UsernameToken: passwords and digests, and what is wrong with others."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import Any

import pytest
from lxml import etree

from tests.auth.helpers import SECRET
from tests.protocols.soap.security.messages import DECLARED, NOW, PROFILE, at, digest, token
from wsd.auth.logins import Login, PasswordDigest
from wsd.protocols.soap.names import WSSE, WSU
from wsd.protocols.soap.security.faults import SecurityFault
from wsd.protocols.soap.security.token import readToken


def element(text: str) -> Any:
    return etree.fromstring(text.replace("<o:UsernameToken", f"<o:UsernameToken {DECLARED}", 1))


def read(text: str) -> Login:
    return readToken(element(text), NOW)


def refused(text: str) -> tuple[str, str]:
    with pytest.raises(SecurityFault) as caught:
        read(text)
    return caught.value.subcode, caught.value.reason


class TestAPassword:
    def test_is_read_as_it_is(self) -> None:
        assert read(token(password="  a &lt; 王 ")) == Login("ann", "  a < 王 ")
        assert read(token(password="")) == Login("ann", "")

    def test_may_have_a_nonce_and_a_time_which_must_be_fresh(self) -> None:
        more = "<o:Nonce>AAAA</o:Nonce><u:Created>{}</u:Created>"
        assert read(token(more=more.format(at(-299)))) == Login("ann", SECRET)
        assert refused(token(more=more.format(at(-301))))[0] == f"{{{WSU}}}MessageExpired"

    def test_unknown_elements_are_ignored(self) -> None:
        assert read(token(more='<x:Hint xmlns:x="urn:x"/>')) == Login("ann", SECRET)


class TestADigest:
    def test_is_read_with_what_it_was_made_of(self) -> None:
        login = read(digest(nonce=b"\0\xff"))
        assert login.password is None
        assert login.digest is not None
        assert (login.digest.user, login.digest.nonce, login.digest.created) == ("ann", b"\0\xff", at())
        assert login.digest.isOf(SECRET)
        assert login.digest.isOf(SECRET.encode())
        assert not login.digest.isOf("wrong")

    def test_is_that_of_the_profile(self) -> None:
        """SHA-1 of nonce + created + password, where the nonce is its bytes and not their base64 (3.1)."""
        made = hashlib.sha1(b"nonce" + b"2026-03-01T12:00:00Z" + "pässword".encode()).digest()
        assert PasswordDigest("ann", b"nonce", "2026-03-01T12:00:00Z", made).isOf("pässword")

    @pytest.mark.parametrize("created", [at(-301), at(301)])
    def test_that_is_not_fresh_has_expired(self, created: str) -> None:
        assert refused(digest(created=created))[0] == f"{{{WSU}}}MessageExpired"

    @pytest.mark.parametrize("part", ["Nonce", "Created"])
    def test_needs_a_nonce_and_a_time(self, part: str) -> None:
        root = element(digest())
        (found,) = root.findall(f"{{*}}{part}")
        root.remove(found)
        with pytest.raises(SecurityFault, match="so that it cannot be sent again"):
            readToken(root, NOW)


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("<o:UsernameToken/>", "InvalidSecurityToken", "no Username"),
        ("<o:UsernameToken><o:Username>ann</o:Username></o:UsernameToken>", "InvalidSecurityToken", "no Password"),
        (token(""), "InvalidSecurityToken", "must be printable"),
        (token("a" * 257), "InvalidSecurityToken", "not longer than 256"),
        (token("a&#9;b"), "InvalidSecurityToken", "must be printable"),
        (token("ann:x"), "InvalidSecurityToken", "without colons"),
        (token(password="ä" * 513), "InvalidSecurityToken", "longer than 1024 bytes"),
        (token().replace("#PasswordText", "#Other"), "UnsupportedSecurityToken", "has the Type"),
        (token().replace(f"{PROFILE}#PasswordText", "PasswordText"), "UnsupportedSecurityToken", "has the Type"),
        (token(more="<o:Username>bob</o:Username>"), "InvalidSecurityToken", "Username twice"),
        (token(more="<o:Password/>"), "InvalidSecurityToken", "Password twice"),
        (token(more="<w:Salt xmlns:w='urn:w'/>"), "UnsupportedSecurityToken", "key derivation"),
        (token(more="<u:Created>now</u:Created>"), "InvalidSecurity", "not a time"),
        (
            token(password="x", kind="PasswordDigest", more=f"<o:Nonce>AAAA</o:Nonce><u:Created>{at()}</u:Created>"),
            "InvalidSecurityToken",
            "the PasswordDigest is not base64",
        ),
        (
            token(password="AAAA", kind="PasswordDigest", more=f"<o:Nonce>AAAA</o:Nonce><u:Created>{at()}</u:Created>"),
            "InvalidSecurityToken",
            "SHA-1 has 20",
        ),
        (digest(nonce=b""), "InvalidSecurityToken", "1 to 256"),
        (digest(nonce=bytes(257)), "InvalidSecurityToken", "1 to 256"),
        (
            digest().replace(b64encode(b"0123456789abcdef").decode(), "äöü"),
            "InvalidSecurityToken",
            "the wsse:Nonce is not base64",
        ),
    ],
)
def test_what_is_wrong_is_named_and_the_password_is_not(text: str, code: str, words: str) -> None:
    found, reason = refused(text)
    assert found == f"{{{WSSE}}}{code}"
    assert words in reason
    assert SECRET not in reason
