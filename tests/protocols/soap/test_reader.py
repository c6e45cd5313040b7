"""Reading an envelope, whole or in pieces: its limits, and the content that is refused."""

from __future__ import annotations

import pytest

from wsd.protocols.soap.faults import Fault
from wsd.protocols.soap.reader import EnvelopeReader

LONG = 20_000_000


def read(document: str, most: int, pieces: int = 1) -> object:
    reader = EnvelopeReader(most)
    size = -(-len(document) // pieces)
    for start in range(0, len(document), size):
        reader.feed(document[start : start + size].encode())
    return reader.close().root


class TestLongTexts:
    """A text may be as long as a message of the route, although libxml2 has a limit of 10 MB."""

    @pytest.mark.parametrize("pieces", [1, 9])
    def test_one_is_read_whole(self, pieces: int) -> None:
        root = read(f"<a>{'x' * 11_000_000}</a>", LONG, pieces)
        assert len(root.text) == 11_000_000  # type: ignore[attr-defined]

    def test_levels_stay_bounded(self) -> None:
        padding = "x" * 100_000
        assert read("<x>" * 255 + padding + "</x>" * 255, LONG) is not None
        with pytest.raises(Fault, match="at most 256 levels"):
            read("<x>" * 257 + padding + "</x>" * 257, LONG)


class TestWhatComesBeforeTheElement:
    @pytest.mark.parametrize("before", [" ", "<!-- -->", "<!--{}-->"])
    def test_may_be_long_and_has_a_limit(self, before: str) -> None:
        for size in (60_000, 1_000_000):
            prolog = before.replace("{}", "x" * size) if "{}" in before else before * (size // len(before))
            if size < 65536:
                assert read(f"{prolog}<a/>", LONG) is not None
            else:
                with pytest.raises(Fault, match="must begin within its first 65536 bytes"):
                    read(f"{prolog}<a/>", LONG)


class TestPieces:
    @pytest.mark.parametrize("pieces", [1, 2, 3, 50])
    @pytest.mark.parametrize(
        ("document", "told"),
        [
            ("<a><?x y?></a>", "processing instructions"),
            ("<a/><?x y?>", "processing instructions"),
            ("<!DOCTYPE a><a/>", "DTD"),
            ("<a><b></a>", "not well-formed"),
            ("<a/><a/>", "not well-formed"),
            ("  ", "it has no element"),
        ],
    )
    def test_what_is_refused_whole_is_refused_in_pieces(self, document: str, told: str, pieces: int) -> None:
        with pytest.raises(Fault, match=told):
            read(document, 1000, pieces)

    def test_after_a_fault_the_next_is_read(self) -> None:
        reader = EnvelopeReader()
        for bad in ([b"<a><b></a>"], [b"<a>", b"<b></a>"], [b"x"], []):
            for piece in bad:
                reader.feed(piece)
            with pytest.raises(Fault):
                reader.close()
            reader.feed(b"<a/>")
            assert reader.close().root.tag == "a"
