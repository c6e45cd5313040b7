"""The StreamParser splits a stream into its elements, whatever they contain."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocols.xmpp.trees import ANY_SPEED, TREE, flat
from wsd.protocols.xmpp.errors import StreamError
from wsd.protocols.xmpp.framing import XmlLimits, parse
from wsd.protocols.xmpp.gateway.streamparser import StreamParser
from wsd.protocols.xmpp.stanza import CLIENT, STREAMS, Element

HEADER = (
    f"<?xml version='1.0'?><stream:stream xmlns='{CLIENT}' xmlns:stream='{STREAMS}' xmlns:p='urn:p' id='1'>".encode()
)


class Listener:
    """Remembers its calls."""

    def __init__(self) -> None:
        self.roots = 0
        self.elements: list[Element] = []
        self.ends = 0

    def begun(self, root: Element) -> None:
        self.roots += 1

    def whole(self, element: Element) -> None:
        self.elements.append(element)

    def ended(self) -> None:
        self.ends += 1


def parsed(*pieces: bytes, limits: XmlLimits | None = None) -> Listener:
    heard = Listener()
    parser = StreamParser(limits or XmlLimits(), heard)
    feed(parser, [HEADER, *pieces])
    return heard


def feed(parser: StreamParser, pieces: list[bytes]) -> None:
    for piece in pieces:
        parser.feed(piece)


def inPieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


class TestEachElement:
    @ANY_SPEED
    @given(st.lists(TREE, max_size=3), st.integers(1, 60))
    def test_is_passed_on_unchanged(self, trees: list[Element], size: int) -> None:
        data = "".join(tree.toXml() for tree in trees).encode() + b"</stream:stream>"
        heard = parsed(*inPieces(data, size))
        passed = [parse(element.toXml().encode()) for element in heard.elements]
        assert [flat(each) for each in passed] == [flat(tree) for tree in trees]
        assert (heard.roots, heard.ends) == (1, 1)

    def test_may_use_the_prefixes_of_the_stream(self) -> None:
        (element,) = parsed(b"<message p:a='1'><p:b/></message>").elements
        assert element.toXml() == f'<message xmlns="{CLIENT}" xmlns:a0="urn:p" a0:a="1"><b xmlns="urn:p"/></message>'


class TestAnotherEncoding:
    """A stream is UTF-8 (RFC 6120 11.6). By itself, expat takes zero bytes at its beginning for UTF-16."""

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
    @pytest.mark.parametrize("size", [1, 3, 100])
    def test_ends_the_stream(self, encoding: str, size: int) -> None:
        listener = Listener()
        pieces = inPieces("<stream><a/></stream>".encode(encoding), size)
        with pytest.raises(StreamError) as refused:
            feed(StreamParser(XmlLimits(), listener), pieces)
        assert refused.value.condition == "not-well-formed"
        assert listener.roots == 0


TOO_MUCH = {
    "elements": "<b/>" * 20,
    "depth": "<b>" * 20 + "</b>" * 20,
    "attributes": "<b " + " ".join(f"c{n}=''" for n in range(20)) + "/>",
    "declarations": "<b " + " ".join(f"xmlns:c{n}='d'" for n in range(20)) + "/>",
    "a namespace": f"<b xmlns='{'u' * 200}'/>",
    "namespaces": f"<b xmlns:u='{'u' * 90}'>" + "<u:b/>" * 9 + "</b>",
    "text": "x" * 2_000,
}


class TestAnElementOverTheLimits:
    LIMITS = XmlLimits(size=400, depth=10, elements=10, attributes=10, uri=100)

    @pytest.mark.parametrize("content", TOO_MUCH.values(), ids=TOO_MUCH)
    @pytest.mark.parametrize("size", [1, 5_000])
    def test_loses_its_content(self, content: str, size: int) -> None:
        data = f"<message from='a@b' id='1'><body>{content}</body>x<c/></message><iq id='2'><d/></iq>".encode()
        message, iq = parsed(*inPieces(data, size), limits=self.LIMITS).elements
        assert message.toXml() == f'<message xmlns="{CLIENT}" from="a@b" id="1"/>'
        assert iq.toXml() == f'<iq xmlns="{CLIENT}" id="2"><d/></iq>'

    def test_keeps_its_addresses_if_its_start_tag_is_too_large(self) -> None:
        attributes = " ".join(f"c{n}=''" for n in range(20))
        message, iq = parsed(
            f"<message from='a@b' {attributes}>x<b/></message><iq/>".encode(), limits=self.LIMITS
        ).elements
        assert message.toXml() == f'<message xmlns="{CLIENT}" from="a@b"/>'
        assert iq.toXml() == f'<iq xmlns="{CLIENT}"/>'

    def test_ends_the_stream_if_it_is_the_root(self) -> None:
        attributes = " ".join(f"c{n}=''" for n in range(20))
        with pytest.raises(StreamError):
            StreamParser(self.LIMITS, Listener()).feed(f"<stream {attributes}>".encode())


class TestALongStream:
    def test_is_split_as_a_short_one_is(self) -> None:
        """Several expat parsers read it, and the place where one follows another may be anywhere in a piece."""
        one = b"<message id='%d' p:a='&gt;'><body>%s</body>/></message ><r/><presence></presence>"
        data = b"".join(one % (number, b"x" * 50_000) for number in range(60)) + b"</stream:stream>"
        for size in (70_001, 1 << 16, len(data)):
            heard = parsed(*inPieces(data, size))
            assert (heard.roots, heard.ends) == (1, 1)
            assert [each.get("id") for each in heard.elements if each.name == "message"] == [*map(str, range(60))]
            assert [each.name for each in heard.elements] == ["message", "r", "presence"] * 60
            assert {each.get("urn:p a") for each in heard.elements if each.name == "message"} == {">"}

    def test_remembers_no_names(self) -> None:
        """Names of elements and attributes are forgotten, though a single parser would keep them."""
        parser = StreamParser(XmlLimits(), Ignores())
        parser.feed(HEADER)
        tracemalloc.start()
        for number in range(100):
            names = "".join(f"<n{number}x{each} a{number}x{each}=''/>" for each in range(500))
            parser.feed(f"<message><body>{names}</body></message>".encode())
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert kept < 6 << 20


class Ignores(Listener):
    def whole(self, element: Element) -> None:
        pass
