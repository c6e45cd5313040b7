"""[MC-NBFX] and [MC-NBFSE]: what WCF wrote is read, and what is written WCF reads."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence

import pytest

from tests.protocols.soap.encodings.corpus import asked, canonical, lines, needsPeer
from wsd.protocols.soap.encodings import _nbfx, nbfx
from wsd.protocols.soap.encodings.encoding import TooLarge, Unreadable
from wsd.protocols.soap.encodings.nbfs import NUMBERS, STRINGS
from wsd.protocols.soap.encodings.nbfse import MOST_WRITTEN, BinarySession
from wsd.protocols.soap.encodings.nbfx import CODECS
from wsd.protocols.soap.encodings.nbfxvalues import VALUES
from wsd.protocols.soap.encodings.nbfxwriter import STATIC, Names

pytestmark = pytest.mark.usefixtures("codec")

MOST = 10_000_000
SEED = os.environ.get("NETPEER_SEED", "1000")
COUNT = os.environ.get("NETPEER_COUNT", "100")
"""`NETPEER_SEED` and `NETPEER_COUNT` choose what the peer makes anew."""


def readDocument(data: bytes, start: int, strings: Sequence[str], most: int) -> bytes:
    return nbfx.codec.readDocument(data, start, strings, most)


def writeDocument(text: str, names: Names = STATIC) -> bytes:
    return nbfx.codec.writeDocument(text, names)


def read(document: str | bytes, strings: tuple[str, ...] = ()) -> str:
    """Returns a document, given in hex or bytes, as XML."""
    return readDocument(bytes.fromhex(document) if isinstance(document, str) else document, 0, strings, MOST).decode()


def record(number: int, data: bytes = b"") -> str:
    """Returns the text of a record, in the element a."""
    return read(b"\x40\x01a" + bytes((number | 1,)) + data).removeprefix("<a>").removesuffix("</a>")


class TestTheCorpus:
    def test_each_document_is_read_as_wcf_reads_it(self) -> None:
        for document in lines("vectors.jsonl.gz"):
            assert canonical(read(document["hex"])) == canonical(document["xml"]), document["seed"]

    def test_each_is_read_again_as_it_was_written(self) -> None:
        for document in lines("vectors.jsonl.gz"):
            assert canonical(read(writeDocument(document["xml"]))) == canonical(document["xml"]), document["seed"]

    def test_each_conversation_is_read_as_wcf_reads_it(self) -> None:
        for conversation in lines("sessions.jsonl.gz"):
            session = BinarySession(MOST_WRITTEN)
            for message in conversation["messages"]:
                data = bytes.fromhex(message["hex"])
                text = readDocument(data, session.readStrings(data), session.received, MOST)
                assert canonical(text) == canonical(message["xml"]), conversation["seed"]

    def test_each_is_written_within_the_table_of_wcf(self) -> None:
        for conversation in lines("sessions.jsonl.gz"):
            ours, theirs = BinarySession(0), BinarySession(MOST_WRITTEN)
            for message in conversation["messages"]:
                data = ours.write(message["xml"])
                text = readDocument(data, theirs.readStrings(data), theirs.received, MOST)
                assert canonical(text) == canonical(message["xml"]), conversation["seed"]


class TestTheCodecs:
    def test_the_compiled_one_is_built_and_comes_first(self) -> None:
        assert list(CODECS) == ["compiled", "python"]

    def test_it_reads_the_corpus_by_itself(self) -> None:
        for document in lines("vectors.jsonl.gz"):
            assert _nbfx.readDocument(bytes.fromhex(document["hex"]), 0, (), MOST) is not None, document["seed"]

    def test_it_writes_what_an_answer_has_by_itself(self) -> None:
        for text in ("<a/>", "<a b='&quot;&#9;'>&lt;&amp;&gt; &#13;é<c:d xmlns:c='urn:x'> </c:d></a>\n"):
            assert _nbfx.writeDocument(text, STATIC) == CODECS["python"].writeDocument(text, STATIC)

    @pytest.mark.parametrize(
        "text",
        [
            "<?xml version='1.0'?><a/>", "<a><!-- b --></a>", "<a><![CDATA[b]]></a>", "<a>b\r\nc</a>", "<a b='c\nd'/>",
            "<a>&#xe9;</a>", "<a b = 'c'/>", "<a b='c'\n/>",
        ],
    )  # fmt: skip
    def test_it_leaves_the_rest_to_python(self, text: str) -> None:
        assert writeDocument(text) == CODECS["python"].writeDocument(text, STATIC)

    @pytest.mark.parametrize(
        "text", ["", "a", "<", "<a", "<a>", "<a b", "<a b='", "<a b='c'", "<a/", "</a>", "<a/><b/>"]
    )
    def test_no_text_makes_it_read_behind_the_end(self, text: str) -> None:
        assert _nbfx.writeDocument(text, STATIC) is None

    @pytest.mark.parametrize("document", ["40016199056869", "400161a701", "4001610302616201", "40", "4001610c"])
    def test_no_document_does(self, document: str) -> None:
        assert _nbfx.readDocument(bytes.fromhex(document), 0, (), MOST) is None

    def test_a_document_begins_within_the_message(self) -> None:
        with pytest.raises(IndexError):
            _nbfx.readDocument(b"\x40\x01a\x01", 5, (), MOST)

    @pytest.mark.parametrize(
        "document",
        [
            "400161 99026869", "4003616263 04016b 98033c3e26 01", "400161 03 400162 04016b82 01 8b 02 0500faff 01",
            "400161 a4 80 82 980178 a7", "4202 0a04 01", "4002c3a9 9902c3a9",
        ],
    )  # fmt: skip
    def test_a_document_may_have_as_many_bytes_as_it_becomes(self, document: str) -> None:
        data = bytes.fromhex(document.replace(" ", ""))
        size = len(readDocument(data, 0, (), MOST))
        assert len(readDocument(data, 0, (), size)) == size
        with pytest.raises(TooLarge):
            readDocument(data, 0, (), size - 1)


@needsPeer
class TestThePeer:
    """The same with documents that it makes anew, both ways."""

    def test_it_reads_what_we_write_and_we_what_it_writes(self) -> None:
        made = asked("vectors", SEED, COUNT)
        assert len(made) == int(COUNT)
        for document in made:
            assert canonical(read(document["hex"])) == canonical(document["xml"]), document["seed"]
        back = asked("decode", lines=[writeDocument(document["xml"]).hex() for document in made])
        for document, decoded in zip(made, back, strict=True):
            assert canonical(decoded["xml"]) == canonical(document["xml"]), document["seed"]

    def test_it_reads_our_sessions(self) -> None:
        for conversation in asked("sessions", SEED, str(min(int(COUNT), 5))):
            session = BinarySession(0)
            written = [session.write(message["xml"]).hex() for message in conversation["messages"]]
            back = asked("decode-session", lines=written)
            for message, decoded in zip(conversation["messages"], back, strict=True):
                assert canonical(decoded["xml"]) == canonical(message["xml"]), conversation["seed"]

    def test_it_reads_a_session_whose_table_is_full(self) -> None:
        session = BinarySession(0)
        said = [f"<r>{''.join(f'<n{number}-{turn}/>' for number in range(200))}</r>" for turn in range(3)]
        back = asked("decode-session", lines=[session.write(text).hex() for text in said])
        assert [canonical(each["xml"]) for each in back] == [canonical(text) for text in said]

    def test_its_table_of_strings_is_ours(self) -> None:
        assert "\n".join(STRINGS[:3]) == "mustUnderstand\nEnvelope\nhttp://www.w3.org/2003/05/soap-envelope"
        assert (len(STRINGS), NUMBERS["detail"]) == (487, 972)


class TestValues:
    @pytest.mark.parametrize(
        ("number", "data", "text"),
        [
            (0x80, b"", "0"),
            (0x82, b"", "1"),
            (0x84, b"", "false"),
            (0x86, b"", "true"),
            (0x88, b"\x80", "-128"),
            (0x8A, b"\0\x80", "-32768"),
            (0x8C, struct.pack("<i", -(2**31)), "-2147483648"),
            (0x8E, struct.pack("<q", 2**63 - 1), "9223372036854775807"),
            (0xB2, struct.pack("<Q", 2**64 - 1), "18446744073709551615"),
            (0xB4, b"\1", "true"),
            (0x98, b"\3a<b", "a&lt;b"),
            (0x9A, b"\1\0a", "a"),
            (0x9C, b"\1\0\0\0a", "a"),
            (0x9E, b"\2ab", "YWI="),
            (0xA0, b"\1\0a", "YQ=="),
            (0xA2, b"\1\0\0\0a", "YQ=="),
            (0xA8, b"", ""),
            (0xAA, b"\x14", "http://www.w3.org/2005/08/addressing/anonymous"),
            (0xB6, b"\4" + "\U0001f600".encode("utf-16-le"), "\U0001f600"),
            (0xBC, b"\0\2", "a:Envelope"),
            (0xAE, struct.pack("<q", 0), "PT0S"),
            (0xAE, struct.pack("<q", -(2**63)), "-P10675199DT2H48M5.4775808S"),
            (0x96, struct.pack("<Q", 638_400_000_001_234_567), "2024-01-04T21:20:00.1234567"),
            (0x96, struct.pack("<Q", 638_400_000_000_000_000 | 1 << 62), "2024-01-04T21:20:00Z"),
            (0x96, struct.pack("<Q", 638_400_000_000_000_000 | 2 << 62), "2024-01-04T21:20:00+00:00"),
            (0x94, struct.pack("<xxBBIQ", 2, 0x80, 0, 100), "-1.00"),
            (0x94, struct.pack("<xxBBIQ", 2, 0x80, 0, 0), "0.00"),
            (0xB0, bytes(range(16)), "03020100-0504-0706-0809-0a0b0c0d0e0f"),
            (0xAC, bytes(range(16)), "urn:uuid:03020100-0504-0706-0809-0a0b0c0d0e0f"),
        ],
    )
    def test_each_record_has_its_text(self, number: int, data: bytes, text: str) -> None:
        assert record(number, data) == text

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (1e16, "10000000000000000"), (1e17, "1E+17"), (0.0001, "0.0001"), (0.00001, "1E-05"), (-0.0, "-0"),
            (float("inf"), "INF"), (float("-inf"), "-INF"), (float("nan"), "NaN"), (5e-324, "5E-324"), (1.5, "1.5"),
        ],
    )  # fmt: skip
    def test_a_double_is_as_dotnet_writes_it(self, value: float, text: str) -> None:
        assert VALUES[0x92][1](struct.pack("<d", value)) == text

    @pytest.mark.parametrize(
        ("bits", "text"),
        [
            (0x3DCCCCCD, "0.1"), (0x4CBEBC20, "100000000"),
            (0x4E800000, "1.0737418E+09"), (0x7F7FFFFF, "3.4028235E+38"),
            (0x6C800000, "1.2379401E+27"), (0x0000F9A9, "8.9561E-41"), (0x00000001, "1E-45"), (0xFF800000, "-INF"),
        ],
    )  # fmt: skip
    def test_and_so_is_a_float(self, bits: int, text: str) -> None:
        assert VALUES[0x90][1](struct.pack("<I", bits)) == text

    def test_a_list_has_spaces_between_its_items(self) -> None:
        assert read(b"\x40\x01a\xa4\x80\x82\x98\1x\xa7") == "<a>0 1 x</a>"

    def test_an_array_is_as_many_elements(self) -> None:
        array = b"\x03\x40\x01i\x04\x01k\x82\x01\x8b\x02" + struct.pack("<hh", 5, -6)
        assert read(b"\x40\x01a" + array + b"\x01") == '<a><i k="1">5</i><i k="1">-6</i></a>'

    def test_comments_are_skipped(self) -> None:
        assert read(b"\x02\x01x\x40\x01a\x02\x02--\x83\x02\x01x") == "<a>1</a>"


class TestWhatIsNoDocument:
    @pytest.mark.parametrize(
        ("document", "sentence"),
        [
            ("", "the message ends inside a record (at byte 0)"),
            ("40", "ends inside a record"),
            ("400161", "ends inside a record"),
            ("400261", "ends inside a record"),
            ("4001619903 6161", "ends inside a record"),
            ("4001619f ff", "ends inside a record"),
            ("40808080808001", "a number has more than 31 bits (at byte 1)"),
            ("40ffffffff08", "a number has more than 31 bits (at byte 1)"),
            ("40016178", "there is no record 78 in this place (at byte 3)"),
            ("400161be", "there is no record BE in this place (at byte 3)"),
            ("01", "there is no record 01 in this place (at byte 0)"),
            ("98016101", "there is no record 98 in this place"),
            ("4001610140016201", "there is no record 40 in this place (at byte 4)"),
            ("4001610104016180", "there is no record 04 in this place"),
            ("400161040162 8301", "there is no record 83 in this place"),
            ("400161 a5", "there is no record A5 in this place"),
            ("400161 a4a4", "there is no record A4 in this place"),
            ("400161 a483", "there is no record 83 in this place"),
            ("400161 03 400162 01 99 01 61", "there is no record 99 in this place"),
            ("400161 03 400162 8301", "there is no record 83 in this place"),
            ("400161 03 400162 01 8b ffffffff07", "ends inside a record"),
            ("42ce0701", "there is no string 974 in the table (at byte 1)"),
            ("420101", "there is no string 1 in the table (at byte 1)"),
            ("40026120 01", "a name has a character that no name of XML has (at byte 1)"),
            ("4003613e3c01", "a name has a character"),
            ("4000 01", "a name has a character"),
            ("421401", "a name has a character"),
            ("41013c016101", "a name has a character"),
            ("400161 990100", "XML cannot have the character U+0000"),
            ("400161 9903efbfbe", "XML cannot have the character U+FFFE"),
            ("400161 9903eda080", "not valid utf-8"),
            ("400161 9901ff", "not valid utf-8"),
            ("400161 b702 00d8", "not valid utf-16-le"),
            ("400161 b701 61", "not valid utf-16-le"),
            ("400161 0201ff", "not valid utf-8"),
            ("400161 b502", "a Bool is 0 or 1"),
            ("400161 97 ffffffffffffff3f", "before the year 10000"),
            ("400161 95 00001d00" + "00" * 12, "a scale of at most 28"),
            ("400161 bd1a02", "the prefix of a QName is one letter"),
        ],
    )
    def test_is_refused_with_its_place(self, document: str, sentence: str) -> None:
        with pytest.raises(Unreadable) as caught:
            read(document.replace(" ", ""))
        assert sentence in caught.value.reason
        assert "(at byte " in caught.value.reason


class TestWriting:
    @pytest.mark.parametrize(
        ("text", "document"),
        [
            ("<q/>", "40017101"),
            ("<q>0</q>", "40017181"),
            ("<q>1</q>", "40017183"),
            ("<q>false</q>", "40017185"),
            ("<q>true</q>", "40017187"),
            ("<q qr=''/>", "400171 04027172 a8 01"),
            ("<q>!<qr/>!</q>", "400171 980121 40027172 01 990121"),
            ("<s:Envelope xmlns:s='http://www.w3.org/2003/05/soap-envelope'/>", "5602 0b017304 01"),
            ("<Body xmlns='urn:x'/>", "420e 080575726e3a78 01"),
            ("<ab:q xmlns:ab='qu'/>", "41026162 0171 09026162 027175 01"),
            ("<q>http://www.w3.org/2005/08/addressing/anonymous</q>", "400171 ab14"),
            (
                "<q>urn:uuid:03020100-0504-0706-0809-0a0b0c0d0e0f</q>",
                "400171 ad000102030405060708090a0b0c0d0e0f",
            ),
        ],
    )
    def test_the_smallest_record_is_chosen(self, text: str, document: str) -> None:
        assert writeDocument(text).hex() == document.replace(" ", "")

    def test_base64_is_written_as_its_bytes(self) -> None:
        assert writeDocument(f"<q>{'AAAA' * 32}</q>") == b"\x40\x01q\x9f\x60" + bytes(96)
        assert writeDocument(f"<q>{'A' * 127}</q>")[3] == 0x99
        assert writeDocument(f"<q>{'A' * 125}B==</q>")[3] == 0x99, "the bits behind the last byte must be 0"

    @pytest.mark.parametrize(("size", "number"), [(255, 0x99), (256, 0x9B), (65_535, 0x9B), (65_536, 0x9D)])
    def test_the_length_has_one_two_or_four_bytes(self, size: int, number: int) -> None:
        document = writeDocument(f"<q>{'!' * size}</q>")
        assert document[3] == number
        assert read(document) == f"<q>{'!' * size}</q>"
