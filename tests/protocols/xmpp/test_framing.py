"""The framing of RFC 7395, and the limits of a message."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocols.xmpp.trees import ANY_SPEED, flat
from wsd.protocols.xmpp.errors import StreamError
from wsd.protocols.xmpp.framing import XmlLimits, parse

ATTACKS = {
    "empty": ("", "not-well-formed"),
    "leading space": (" <a xmlns='b'/>", "not-well-formed"),
    "a byte order mark": ("\ufeff<a/>", "not-well-formed"),
    "text": ("hello", "not-well-formed"),
    "two elements": ("<a/><b/>", "not-well-formed"),
    "half an element": ("<a><b>", "not-well-formed"),
    "an end alone": ("</a>", "not-well-formed"),
    "wrongly nested": ("<a><b></a></b>", "not-well-formed"),
    "text after it": ("<a/>x", "not-well-formed"),
    "declaration": ("<?xml version='1.0'?><a/>", "restricted-xml"),
    "another encoding": ("<?xml version='1.0' encoding='utf-7'?><a/>", "restricted-xml"),
    "document type": ("<!DOCTYPE a><a/>", "restricted-xml"),
    "external": ("<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>", "restricted-xml"),
    "entity": ("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "restricted-xml"),
    "billion laughs": (
        "<!DOCTYPE a [<!ENTITY b 'bbbbbbbbbb'><!ENTITY c '&b;&b;&b;&b;'><!ENTITY d '&c;&c;&c;&c;'>]><a>&d;</a>",
        "restricted-xml",
    ),
    "unknown entity": ("<a>&nbsp;</a>", "not-well-formed"),
    "processing instruction": ("<a><?b c?></a>", "restricted-xml"),
    "comment": ("<a><!-- b --></a>", "restricted-xml"),
    "comment before": ("<!-- b --><a/>", "restricted-xml"),
    "prefix without a namespace": ("<a:b/>", "not-well-formed"),
    "attribute twice": ("<a b='1' b='2'/>", "not-well-formed"),
    "attribute twice by namespace": ("<a xmlns:b='n' xmlns:c='n' b:d='1' c:d='2'/>", "not-well-formed"),
    "UTF-16": ("<\0a\0/\0>\0", "not-well-formed"),
    "control character": ("<a>\x01</a>", "not-well-formed"),
    "no character": ("<a>&#xFFFF;</a>", "not-well-formed"),
    "half a surrogate": ("<a>&#xD800;</a>", "not-well-formed"),
    "depth": ("<a>" * 51 + "</a>" * 51, "policy-violation"),
    "great depth": ("<a>" * 30_000, "policy-violation"),
    "elements": ("<a>" + "<b/>" * 4_000 + "</a>", "policy-violation"),
    "attributes": ("<a " + " ".join(f"b{n}=''" for n in range(51)) + "/>", "policy-violation"),
    "namespaces": ("<a " + " ".join(f"xmlns:b{n}='c'" for n in range(51)) + "/>", "policy-violation"),
    "size": ("<a>" + "b" * 262_144 + "</a>", "policy-violation"),
    "a long namespace": (f"<a xmlns:p='{'u' * 1_001}'/>", "policy-violation"),
    "one that many elements have": (f"<a xmlns:p='{'u' * 1_000}'>" + "<p:b/>" * 600 + "</a>", "policy-violation"),
    "one that many attributes have": (
        f"<a xmlns:p='{'u' * 1_000}'>" + "<b p:c=''/>" * 600 + "</a>",
        "policy-violation",
    ),
    "one that all of it has": (f"<a xmlns:p='{'u' * 235_000}'>" + "<p:b/>" * 3_990 + "</a>", "policy-violation"),
    "many quotation marks": ("<a b='" + '"' * 200_000 + "'/>", "policy-violation"),
    "a long name": ("<" + "a" * 262_144, "policy-violation"),
}


def test_an_error_is_its_sentence_or_its_condition() -> None:
    assert str(StreamError("not-well-formed", "there is no end")) == "there is no end"
    assert str(StreamError("reset")) == "reset"


class TestOneMessageIsOneElement:
    @pytest.mark.parametrize("name", ATTACKS)
    def test_nothing_else_is(self, name: str) -> None:
        message, condition = ATTACKS[name]
        began = time.process_time()
        with pytest.raises(StreamError) as raised:
            parse(message.encode("utf-8", "surrogatepass"))
        assert raised.value.condition == condition
        assert time.process_time() - began < 0.5

    def test_bytes_that_are_no_utf8_are_not(self) -> None:
        with pytest.raises(StreamError):
            parse(b"<a>\xff</a>")

    def test_namespaces_are_read(self) -> None:
        element = parse(b"<m xmlns='n' xmlns:p='q' xml:lang='de' p:a='1' b='2'><p:c/><d xmlns=''/>x &lt;&amp;</m>")
        assert (element.ns, element.name) == ("n", "m")
        assert element.attrs == {"xml:lang": "de", "q a": "1", "b": "2"}
        assert [(child.ns, child.name) for child in element.elements()] == [("q", "c"), ("", "d")]
        assert element.text == "x <&"

    def test_every_namespace_is_written(self) -> None:
        told = parse(b"<m xmlns='n' xmlns:p='q' p:a='1'><p:c><d xmlns='n'/></p:c></m>").toXml()
        assert told == '<m xmlns="n" xmlns:a0="q" a0:a="1"><c xmlns="q"><d xmlns="n"/></c></m>'

    def test_it_may_be_twice_as_long_where_it_is_passed_on(self) -> None:
        limits = XmlLimits(size=1_000)
        quotes = '"' * 300
        assert parse(f"<a b='{quotes}'/>".encode(), limits).get("b") == quotes
        with pytest.raises(StreamError, match="at most 2000 bytes with all its namespaces"):
            parse(f"<a b='{quotes}{quotes}'/>".encode(), limits)

    def test_a_namespace_is_there_once(self) -> None:
        first, second = parse(b"<a xmlns:p='urn:one'><p:b/><p:c/></a>").elements()
        assert first.ns is second.ns

    def test_cdata_is_text(self) -> None:
        assert parse(b"<a><![CDATA[<b>]]></a>").text == "<b>"


class TestWhateverIsSent:
    @ANY_SPEED
    @given(st.binary(max_size=200))
    def test_bytes_are_an_element_or_refused(self, data: bytes) -> None:
        try:
            parse(data)
        except StreamError:
            return
        assert data.startswith(b"<")

    @ANY_SPEED
    @given(st.lists(st.sampled_from(["<a>", "</a>", "<b/>", "x", "&amp;", "<!--", "-->", "<?", "<![CDATA[", "]]>"])))
    def test_pieces_of_xml_are_an_element_or_refused(self, pieces: list[str]) -> None:
        try:
            element = parse("".join(pieces).encode())
        except StreamError:
            return
        assert flat(parse(element.toXml().encode())) == flat(element)
