"""Text that arrives in pieces: its first invalid byte is found at once, and a missing end at the end."""

from __future__ import annotations

import pytest

from wsd.frames.text import TextCheck, isText

WHOLE = "aé€𝄞".encode()


@pytest.mark.parametrize("payload", [b"", b"plain", WHOLE])
def test_valid_text_is_text(payload: bytes) -> None:
    assert isText(payload)


@pytest.mark.parametrize("payload", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80"])
def test_anything_else_is_not(payload: bytes) -> None:
    assert not isText(payload)


@pytest.mark.parametrize("cut", range(len(WHOLE) + 1))
def test_valid_text_may_be_cut_anywhere(cut: int) -> None:
    check = TextCheck()
    assert check.add(WHOLE[:cut])
    assert check.isTruncated == (not isText(WHOLE[:cut]))
    assert check.add(WHOLE[cut:])
    assert not check.isTruncated


@pytest.mark.parametrize(
    ("before", "byte"),
    [(b"ok", b"\xff"), (b"\xc3", b"a"), (b"\xe2\x82", b"\x00"), (b"\xed", b"\xa0"), (b"\xf4", b"\x90")],
    ids=["never used", "no continuation", "no second one", "a surrogate", "above U+10FFFF"],
)
def test_the_first_invalid_byte_is_found_at_once(before: bytes, byte: bytes) -> None:
    check = TextCheck()
    assert check.add(before)
    assert not check.add(byte)
