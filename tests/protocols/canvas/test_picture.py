"""A picture: whole frames, and parts composed as putImageData composes them."""

from __future__ import annotations

import pytest

from wsd.protocols.canvas.picture import USUAL, Picture, Region, Size


def pixels(text: str) -> bytes:
    """A picture of one character a pixel."""
    return b"".join(4 * each.encode() for each in text.replace(" ", ""))


def shown(picture: Picture) -> str:
    """The same the other way round, `.` for what is transparent black, rows apart."""
    width = picture.size.width
    text = picture.pixels[::4].decode().replace("\0", ".")
    assert picture.pixels == pixels(text).replace(b"....", bytes(4))
    return " ".join(text[start : start + width] for start in range(0, len(text), width))


def drawn(size: Size, text: str) -> Picture:
    picture = Picture(size)
    picture.replace(size, pixels(text))
    return picture


class TestAWholeFrame:
    def test_replaces_everything_the_size_too(self) -> None:
        picture = drawn(Size(2, 2), "ab cd")
        picture.replace(Size(3, 1), pixels("xyz"))
        assert (picture.size, shown(picture)) == (Size(3, 1), "xyz")

    def test_is_not_copied(self) -> None:
        content = bytes(USUAL.bytes)
        picture = Picture(USUAL)
        picture.replace(USUAL, content)
        assert picture.pixels is content


class TestAPart:
    @pytest.mark.parametrize(
        ("x", "y", "result"),
        [
            (0, 0, "12.. 34.. .... ...."),
            (2, 2, ".... .... ..12 ..34"),
            (1, 2, ".... .... .12. .34."),
            (-1, 0, "2... 4... .... ...."),
            (3, 1, ".... ...1 ...3 ...."),
            (0, -1, "34.. .... .... ...."),
            (2, 3, ".... .... .... ..12"),
            (-1, -1, "4... .... .... ...."),
            (3, 3, ".... .... .... ...1"),
            (-2, 0, ".... .... .... ...."),
            (4, 0, ".... .... .... ...."),
            (0, -2, ".... .... .... ...."),
            (0, 4, ".... .... .... ...."),
            (-(1 << 31) + 1, (1 << 31) - 1, ".... .... .... ...."),
        ],
    )
    def test_is_put_where_it_lies_and_left_out_where_the_picture_is_not(self, x: int, y: int, result: str) -> None:
        picture = Picture(Size(4, 4))
        picture.put(Region(x, y, Size(2, 2)), pixels("12 34"))
        assert shown(picture) == result

    def test_may_be_larger_than_the_picture(self) -> None:
        picture = Picture(Size(2, 2))
        picture.put(Region(-1, -1, Size(4, 4)), pixels("abcd efgh ijkl mnop"))
        assert shown(picture) == "fg jk"

    def test_may_be_as_wide_as_the_picture(self) -> None:
        picture = drawn(Size(2, 3), "ab cd ef")
        picture.put(Region(0, 1, Size(2, 1)), pixels("xy"))
        assert shown(picture) == "ab xy ef"

    def test_leaves_earlier_pixels_as_they_were_given(self) -> None:
        picture = drawn(Size(2, 1), "ab")
        before = picture.pixels
        picture.put(Region(0, 0, Size(1, 1)), pixels("x"))
        between = picture.pixels
        picture.put(Region(1, 0, Size(1, 1)), pixels("y"))
        assert (before, between, picture.pixels) == (pixels("ab"), pixels("xb"), pixels("xy"))


def test_a_picture_begins_as_transparent_black() -> None:
    assert Picture(Size(2, 1)).pixels == bytes(8)


def test_512000_bytes_are_400_by_320() -> None:
    assert (USUAL, USUAL.bytes, str(USUAL)) == (Size(400, 320), 512_000, "400 x 320")
