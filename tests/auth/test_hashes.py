"""Hashes of passwords: the salted ones are taken, the others are refused with a sentence."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from hmac import digest

import pytest

from tests.auth.helpers import hashed
from wsd.auth.hashes import secretOf, verifierOf


def ssha(password: bytes, name: str = "sha1", label: str = "") -> str:
    salt = b"some salt"
    return "{SSHA" + label + "}" + b64encode(hashlib.new(name, password + salt).digest() + salt).decode()


def scram(password: bytes, name: str = "sha256", label: str = "256") -> str:
    """As PostgreSQL stores it."""
    salted = hashlib.pbkdf2_hmac(name, password, b"salty", 4096)
    stored = hashlib.new(name, digest(salted, b"Client Key", name)).digest()
    server = digest(salted, b"Server Key", name)
    salt, stored64, server64 = (b64encode(each).decode() for each in (b"salty", stored, server))
    return f"SCRAM-SHA-{label}$4096:{salt}${stored64}:{server64}"


GOOD = {
    "bcrypt 2y": hashed("secret"),
    "bcrypt 2b": hashed("secret").replace("$2y$", "$2b$"),
    "SSHA": ssha(b"secret"),
    "SSHA256": ssha(b"secret", "sha256", "256"),
    "SSHA512": ssha(b"secret", "sha512", "512"),
    "SCRAM-SHA-1": scram(b"secret", "sha1", "1"),
    "SCRAM-SHA-256": scram(b"secret"),
    "SCRAM-SHA-512": scram(b"secret", "sha512", "512"),
    "in the clear": "{CLEARTEXT}secret",
}


@pytest.mark.parametrize("kind", GOOD)
class TestAPassword:
    def test_knows_its_password(self, kind: str) -> None:
        assert verifierOf(GOOD[kind])(b"secret")

    @pytest.mark.parametrize("password", [b"", b"Secret", b"secret ", b"secret\0", b"\xff\xfe"])
    def test_knows_no_other(self, kind: str, password: bytes) -> None:
        assert not verifierOf(GOOD[kind])(password)


def test_the_scram_hash_of_rfc_7677() -> None:
    # RFC 7677 3: the user "user" with the password "pencil".
    known = (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
        ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )
    assert verifierOf(known)(b"pencil")
    assert not verifierOf(known)(b"pencils")


def test_a_long_password_is_cut_as_htpasswd_cuts_it() -> None:
    verify = verifierOf(hashed("x" * 72))
    assert verify(b"x" * 100)
    assert not verify(b"x" * 71)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/", "an MD5 hash"),
        ("$1$abcdefgh$irWbblnpmw.5z7wgBnprh0", "an MD5 hash"),
        ("{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "an SHA-1 hash without a salt"),
        ("rqXexS6ZhobKA", "a hash of crypt"),
        (
            "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/",
            "a hash of crypt",
        ),
        ("$5$rounds=5000$x$y", "a hash of crypt"),
        ("secret", "a password in the clear"),
        ("", "a hash of an unknown kind"),
    ],
)
def test_any_other_hash_is_refused_with_a_sentence_without_it(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        verifierOf(text)
    assert "htpasswd -B" in str(caught.value)
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "{SSHA}notbase64!",
        "{SSHA}" + b64encode(b"x" * 20).decode(),
        "SCRAM-SHA-256$0:c2FsdA==$AAAA:AAAA",
        "SCRAM-SHA-256$99999999:c2FsdA==$AAAA:AAAA",
        hashed().replace("$04$", "$31$"),
    ],
    ids=["not base64", "no salt", "no round", "too many rounds", "too costly"],
)
def test_a_broken_hash_or_one_that_would_take_too_long_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="hash"):
        verifierOf(text)


def test_only_a_password_in_the_clear_is_a_secret() -> None:
    assert {kind for kind, text in GOOD.items() if secretOf(text) is not None} == {"in the clear"}
    assert secretOf("{CLEARTEXT} a:b {x}") == b" a:b {x}"


def test_an_empty_one_is_refused() -> None:
    with pytest.raises(ValueError, match="is empty; write"):
        verifierOf("{CLEARTEXT}")
