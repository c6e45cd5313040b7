"""Parsers: the names that libxml2 keeps from documents are freed after a while."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from lxml import etree

from wsd.protocols.soap.parsers import Dictionary, parseAny, parser, parseShort
from wsd.protocols.soap.reader import EnvelopeReader

ROOT = Path(__file__).parents[3]

READS = """
import sys
from wsd.protocols.soap.parsers import parseAny
from wsd.protocols.soap.reader import EnvelopeReader

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

def names(number):
    return "".join(f"<a{number:x}_{each:x}/>" for each in range(count))

def blanks(number):
    # libxml2 keeps runs of fewer than 60 blanks, too.
    return "".join(
        f"<a>{number * count + each:040b}</a>".translate({48: " ", 49: "\\t"}) for each in range(count)
    )

count, make, pieces = int(sys.argv[1]), {"names": names, "blanks": blanks}[sys.argv[2]], int(sys.argv[3])
before, reader = resident(), EnvelopeReader(isCounted=False)
for number in range(18_000_000 // (count * 10)):
    said = f'<r xmlns="urn:{number}">{make(number)}</r>'
    if pieces:
        for start in range(0, len(said), len(said) // pieces):
            reader.feed(said[start : start + len(said) // pieces].encode())
        assert len(reader.close().root) == count
    else:
        assert len(parseAny(said)) == count
print((resident() - before) >> 20)
"""

LEAVES = """
import sys
from lxml import etree
from wsd.protocols.soap.faults import Fault
from wsd.protocols.soap.reader import EnvelopeReader
from wsd.protocols.soap.schema.validator import Validator

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

def left():
    EnvelopeReader().feed(b"<r>" + b"<a/>" * 20_000)

def refused():
    reader = EnvelopeReader()
    for _ in range(3):
        reader.feed(b"<r>" + b"<a b='1'/>" * 8_000)
    try:
        reader.close()
    except Fault:
        pass

def wrong():
    assert validator.check(order, 200_000)

schema = etree.fromstring(
    '<schema xmlns="http://www.w3.org/2001/XMLSchema"><element name="r"><complexType><sequence>'
    '<element name="a" type="int" maxOccurs="unbounded"/></sequence></complexType></element></schema>'
)
validator = Validator(etree.XMLSchema(schema), [schema])
order = etree.fromstring("<r>" + "<a>1</a>" * 20_000 + "<a>x</a></r>")
before, act = resident(), {"left": left, "refused": refused, "wrong": wrong}[sys.argv[1]]
for _ in range(50):
    act()
print((resident() - before) >> 20)
"""


def grown(count: int, kind: str, pieces: int) -> int:
    """Returns the MiB that a process keeps after at least 18 MB of documents, each with `count` new names."""
    return told(READS, str(count), kind, str(pieces))


def told(program: str, *arguments: str) -> int:
    """Runs a program, and returns the number that it prints."""
    ended = subprocess.run([sys.executable, "-c", program, *arguments], cwd=ROOT, stdout=subprocess.PIPE, timeout=60)
    assert ended.returncode == 0
    return int(ended.stdout)


class TestWhatIsForgotten:
    def test_names_of_short_envelopes(self) -> None:
        assert grown(2_000, "names", 1) < 25

    def test_names_of_envelopes_that_come_in_pieces(self) -> None:
        assert grown(40_000, "names", 7) < 25

    def test_runs_of_blanks(self) -> None:
        assert grown(2_000, "blanks", 1) < 25

    def test_names_in_answers(self) -> None:
        assert grown(2_000, "names", 0) < 25
        assert grown(40_000, "names", 0) < 25

    @pytest.mark.parametrize("how", ["left", "refused", "wrong"])
    def test_documents_that_are_not_read_to_their_end(self, how: str) -> None:
        assert told(LEAVES, how) < 25


class TestDictionary:
    def test_a_parser_may_be_fed_while_others_parse(self) -> None:
        first, second = Dictionary(), Dictionary()
        with first:
            slow = parser()
            slow.feed(b"<a><b/>")
        with second:
            assert parseShort(b"<x><y/></x>")[0].tag == "y"
        etree.fromstring(b"<z/>")
        with first:
            slow.feed(b"<c/></a>")
            root = slow.close()
        del first, slow
        assert [each.tag for each in root] == ["b", "c"]

    def test_elements_outlive_the_dictionary_that_they_were_read_with(self) -> None:
        kept = [parseShort(f"<r{number}><n{number}/></r{number}>".encode())[0] for number in range(100)]
        for _ in range(40):
            parseShort(b"<r>" + b" " * 65_000 + b"</r>")
        assert [each.tag for each in kept] == [f"n{number}" for number in range(100)]
        other = etree.fromstring(b"<other/>")
        other.extend(kept)
        assert etree.tostring(other[99]) == b"<n99/>"

    def test_what_others_parse_is_left_as_it_was(self) -> None:
        with Dictionary():
            inner = etree.fromstring(b"<inner/>")
        assert etree.fromstring(b"<outer/>").tag == "outer"
        assert inner.tag == "inner"
        assert parseAny("<r>" + "x" * 100_000 + "</r>").text == "x" * 100_000


class TestReader:
    def test_readers_take_turns(self) -> None:
        readers = [EnvelopeReader() for _ in range(3)]
        for part in (b"<a><b", b">1</b", b"></a>"):
            for reader in readers:
                reader.feed(part)
        assert [reader.close().root[0].text for reader in readers] == ["1", "1", "1"]

    def test_it_tells_how_long_the_last_message_was(self) -> None:
        reader = EnvelopeReader()
        for parts in ([b"<a/>"], [b"<a>", b"</a>"]):
            for part in parts:
                reader.feed(part)
            assert reader.close().size == sum(map(len, parts))
