"""A route's rules for the subject of a client's certificate, in the form of RFC 4514."""

from __future__ import annotations

from contextlib import suppress

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from wsd.config.subjects import attributesOf, commonName, subject
from wsd.head import Refused
from wsd.policies.address import TlsInfo
from wsd.policies.subject import checkClient


def comesIn(client: str | None, *rules: str) -> bool:
    try:
        checkClient(TlsInfo("TLSv1.3", "", client=client), rules)
    except Refused:
        return False
    return True


class TestRules:
    """The key `clients` of a route."""

    def test_without_any_everybody_comes_in(self) -> None:
        assert comesIn(None)
        checkClient(None, ())

    @pytest.mark.parametrize(
        "rule", ["*", "CN=me", "O=Doors", "CN=me,O=Doors", "O=Doors, CN=me", "cn=me", "OU=a+CN=me"]
    )
    def test_one_fits_a_subject_with_all_of_its_attributes(self, rule: str) -> None:
        assert comesIn("CN=me,OU=a,O=Doors,C=DE", rule)

    @pytest.mark.parametrize("rule", ["CN=m", "CN=Me", "CN=me,O=Windows", "O=me", "CN=me\\,OU=a", "UID=me", "CN="])
    def test_it_fits_no_other(self, rule: str) -> None:
        assert not comesIn("CN=me,OU=a,O=Doors,C=DE", rule)

    def test_any_of_several_may_fit(self) -> None:
        assert comesIn("CN=me", "CN=you", "CN=me")

    @pytest.mark.parametrize("rule", ["*", "CN=me"])
    def test_without_a_certificate_nobody_comes_in(self, rule: str) -> None:
        assert not comesIn(None, rule)
        with pytest.raises(Refused, match="connect over TLS and send one") as caught:
            checkClient(None, (rule,))
        assert caught.value.status == 403

    def test_a_subject_without_attributes_is_still_a_certificates(self) -> None:
        assert comesIn("", "*")
        assert not comesIn("", "CN=me")

    def test_who_is_refused_is_told_who_he_is(self) -> None:
        with pytest.raises(Refused, match="the client 'CN=me' may not connect to this route") as caught:
            checkClient(TlsInfo("TLSv1.3", "", client="CN=me"), ("CN=you",))
        assert caught.value.status == 403


class TestSubjects:
    """RFC 4514."""

    def test_escapes_stand_for_themselves(self) -> None:
        assert attributesOf(r"CN=Zo\C3\AB\, of \"the\" door,1.2.840.113549.1.9.1=z@doors.example") == {
            ("CN", 'Zoë, of "the" door'),
            ("1.2.840.113549.1.9.1", "z@doors.example"),
        }

    @pytest.mark.parametrize(
        "text", ["", "CN", "CN=a,", ",CN=a", "CN=a,,O=b", "=a", "CN=a;O=b", 'CN="a"', "CN=a\\", "C N=a"]
    )
    def test_what_is_none_is_told(self, text: str) -> None:
        with pytest.raises(ValueError, match="is not a certificate subject; write it as /describe shows it"):
            subject(text)

    @given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20), min_size=1, max_size=3))
    def test_are_read_as_certificates_have_them(self, values: list[str]) -> None:
        kinds = [(NameOID.COMMON_NAME, "CN"), (NameOID.ORGANIZATION_NAME, "O"), (NameOID.USER_ID, "UID")]
        pairs = list(zip(kinds, values, strict=False))
        name = x509.Name([x509.NameAttribute(kind, value) for (kind, _), value in pairs])
        assert attributesOf(name.rfc4514_string()) == {(text, value) for (_, text), value in pairs}

    @given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20))
    def test_a_common_name_alone_is_one(self, name: str) -> None:
        assert attributesOf(commonName(name)) == {("CN", name)}

    @pytest.mark.parametrize(
        ("name", "text"),
        [("ann", "CN=ann"), (' #"+,;<>\\ ', r"CN=\ #\"\+\,\;\<\>\\\ "), ("#a", r"CN=\#a"), (" ", r"CN=\ ")],
    )
    def test_a_common_name_is_escaped_as_in_certificates(self, name: str, text: str) -> None:
        assert commonName(name) == text
        assert commonName(name) == x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]).rfc4514_string()

    @given(st.text(max_size=60))
    def test_of_any_text_are_read_or_refused(self, text: str) -> None:
        with suppress(ValueError):
            assert attributesOf(text)

    def test_long_ones_are_read_in_a_moment(self) -> None:
        with pytest.raises(ValueError, match="is not a certificate subject"):
            attributesOf("CN=" + r"\20" * 10_000 + '"')
