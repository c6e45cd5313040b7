"""Elements that are written can be read again as the same tree."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocols.xmpp.trees import NAME, TEXT, TREE, flat
from wsd.protocols.xmpp.errors import StanzaError, StreamError, errorOf
from wsd.protocols.xmpp.framing import parse
from wsd.protocols.xmpp.sasl import SaslFailure
from wsd.protocols.xmpp.stanza import CLIENT, XML, Element

_PREFIX = st.sampled_from(["p", "q", "stream", "a0", "ns1"])
_URI = st.sampled_from(["urn:p", "urn:q", "http://etherx.jabber.org/streams", CLIENT, "a&b"])


@st.composite
def _documents(draw: st.DrawFn, depth: int = 3, bound: frozenset[str] = frozenset({"xml"})) -> str:
    """An element with prefixes of its own and of those around it, declared anywhere."""
    declared = draw(st.dictionaries(_PREFIX, _URI, max_size=2))
    within = sorted(bound | set(declared))
    head = [f"xmlns:{prefix}={quoteattr(uri)}" for prefix, uri in declared.items()]
    if draw(st.booleans()):
        head.append(f"xmlns={quoteattr(draw(_URI | st.just('')))}")
    # No two of them have one name, whatever their prefixes stand for.
    for number in range(draw(st.integers(0, 3))):
        prefix = draw(st.sampled_from(["", *(f"{each}:" for each in within)]))
        head.append(f"{prefix}n{number}={quoteattr(draw(TEXT))}")
    if draw(st.booleans()):
        head.append(f"xml:{draw(st.sampled_from(['space', 'lang', 'base', 'id']))}={quoteattr(draw(TEXT))}")
    name = draw(st.sampled_from(["", *(f"{each}:" for each in within)])) + draw(NAME)
    inner = draw(st.lists(_documents(depth - 1, frozenset(within)), max_size=2)) if depth else []
    text = draw(st.sampled_from(["", "x", "&#13;&amp;", "<![CDATA[<]]>"]))
    return f"<{name} {' '.join(head)}>{text}{''.join(inner)}</{name}>"


class TestAWrittenElement:
    @given(TREE)
    def test_is_read_as_the_same_tree(self, tree: Element) -> None:
        assert flat(parse(tree.toXml().encode())) == flat(tree)

    @given(_documents())
    def test_is_what_was_parsed(self, document: str) -> None:
        tree = parse(document.encode())
        assert flat(parse(tree.toXml().encode())) == flat(tree)

    @pytest.mark.parametrize("name", ["space", "lang", "base", "id", "other"])
    def test_has_the_attributes_of_xml_under_their_own_prefix(self, name: str) -> None:
        tree = parse(f"<m xmlns='{CLIENT}' xml:{name}='a'><body xml:{name}='b'/></m>".encode())
        assert tree.toXml() == f'<m xmlns="{CLIENT}" xml:{name}="a"><body xml:{name}="b"/></m>'

    def test_has_elements_of_xml_under_their_own_prefix(self) -> None:
        assert Element(XML, "a", {}, Element("", "b")).toXml() == '<xml:a><b xmlns=""/></xml:a>'
        assert Element("n", "a", {}, Element(XML, "b", {}, Element("n", "c"))).toXml() == (
            '<a xmlns="n"><xml:b><c/></xml:b></a>'
        )

    def test_declares_a_namespace_once_for_all_attributes_of_an_element(self) -> None:
        tree = parse(b"<m xmlns='n' xmlns:p='q' xmlns:r='s' p:a='1' r:b='2' p:c='3'/>")
        assert tree.toXml() == '<m xmlns="n" xmlns:a0="q" a0:a="1" xmlns:a1="s" a1:b="2" a0:c="3"/>'


class TestTheSentenceOfAnError:
    """It may quote characters that XML forbids, such as those of a name in a login."""

    @given(st.text(max_size=20))
    def test_can_be_read(self, text: str) -> None:
        sentence = f"see: {text}"
        for error in (
            StreamError("bad-format", sentence).element(),
            SaslFailure("aborted", sentence).element(),
            errorOf(Element(CLIENT, "iq"), StanzaError("bad-request", sentence)),
        ):
            parse(error.toXml().encode("utf-8", "strict"))
