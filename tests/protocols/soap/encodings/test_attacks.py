"""Messages that would become far more than they are: each is refused within the bounds of an envelope."""

from __future__ import annotations

import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.protocols.soap.encodings.test_encodings import MOST, MTOM, CodedClient, encodingOf, postBytes
from tests.protocols.soap.talk import DEMO, add, daemonOf, envelope, fault, text
from tests.wire import Daemon
from wsd.connection import Closed
from wsd.protocols.soap.encodings.choice import encodingOfRequest, encodingOfSocket
from wsd.protocols.soap.encodings.nbfse import BinarySession
from wsd.protocols.soap.encodings.nbfxwriter import multiByte
from wsd.protocols.soap.faults import Fault

ARRAY = b"\x40\x01a\x03\x40\x01i\x01"
LONG = "n" * 60_000


def gzipped(data: bytes, level: int = 9) -> bytes:
    stream = zlib.compressobj(level, wbits=31)
    return stream.compress(data) + stream.flush()


def table(*strings: bytes) -> bytes:
    """Returns the table of strings of a message in a session."""
    data = b"".join(multiByte(len(each)) + each for each in strings)
    return multiByte(len(data)) + data


def endingIn(record: int, most: bytes, last: bytes) -> bytes:
    """Returns an element whose text nearly fills a message, and ends with what it must not have."""
    characters = most[: -len(last) - 64] + last
    return b"\x40\x01a" + bytes((record,)) + struct.pack("<I", len(characters)) + characters


ATTACKS: dict[str, tuple[str, bytes, str]] = {
    "a name of 60 kB, 50,000 times": (
        "application/soap+msbinsession1", table(LONG.encode()) + b"\x40\x01a" + b"\x42\x01\x01" * 50_000,
        "at most 1048576",
    ),
    "a value of 60 kB, 50,000 times": (
        "application/soap+msbinsession1", table(LONG.encode()) + b"\x40\x01a" + b"\xaa\x01" * 50_000, "at most 1048576",
    ),
    "a list of values of 60 kB": (
        "application/soap+msbinsession1", table(LONG.encode()) + b"\x40\x01a\xa4" + b"\xaa\x01" * 50_000,
        "at most 1048576",
    ),
    "a namespace of 60 kB, 5,000 times": (
        "application/soap+msbinsession1",
        table(LONG.encode()) + b"\x40\x01a" + b"\x40\x01b\x0a\x01\x01" * 5_000, "at most 1048576",
    ),
    "an array of a million": (
        "application/soap+msbin1", ARRAY + b"\xb5" + multiByte(10**6) + bytes(10**6), "at most 50000",
    ),
    "an array of 50,000 with a long name": (
        "application/soap+msbin1",
        b"\x40\x01a\x03\x40" + multiByte(1000) + b"i" * 1000 + b"\x01\xb5" + multiByte(40_000) + bytes(40_000),
        "at most 1048576",
    ),
    "an array of 20,000 with attributes": (
        "application/soap+msbin1",
        b"\x40\x01a\x03\x40\x01i\x04\x01b\x80\x01\xb5" + multiByte(20_000) + bytes(20_000), "10000 attributes",
    ),
    "an array of 9,000 floats": (
        "application/soap+msbin1",
        ARRAY + b"\x91" + multiByte(9_000) + b"".join(struct.pack("<f", 1 / n) for n in range(1, 9_001)) + b"\x01", "",
    ),
    "an array longer than the message": (
        "application/soap+msbin1", ARRAY + b"\x91" + multiByte(2**31 - 1), "ends inside",
    ),
    "a text longer than the message": ("application/soap+msbin1", b"\x40\x01a\x9d\xff\xff\xff\x7fx", "ends inside"),
    "bytes longer than the message": ("application/soap+msbin1", b"\x40\x01a\xa3\xff\xff\xff\xffx", "ends inside"),
    "a number of six bytes": ("application/soap+msbin1", b"\x40\x80\x80\x80\x80\x80\x01a", "more than 31 bits"),
    "no record, after 40,000 elements": (
        "application/soap+msbin1", b"\x40\x01a" + b"\x40\x01b\x01" * 40_000 + b"\xbe", "there is no record BE",
    ),
    "a string that is not in the table": (
        "application/soap+msbinsession1", b"\0\x42\x01\x01", "there is no string 1 in the table",
    ),
    "a character that XML does not have, after 1 MB": (
        "application/soap+msbin1", endingIn(0x9D, b"x" * MOST, b"\0"), "XML cannot have the character U+0000",
    ),
    "a surrogate of UTF-8, after 1 MB": (
        "application/soap+msbin1", endingIn(0x9D, b"x" * MOST, b"\xed\xa0\x80"), "not valid utf-8",
    ),
    "bytes that are no UTF-8, after 1 MB": (
        "application/soap+msbin1", endingIn(0x9D, b"x" * MOST, b"\xff"), "not valid utf-8",
    ),
    "a lone surrogate, after 1 MB": (
        "application/soap+msbin1", endingIn(0xBB, b"x\0" * (MOST // 2), b"\x00\xd8"), "not valid utf-16-le",
    ),
    "260,000 elements": (
        "application/soap+msbin1", b"\x40\x01a" + b"\x40\x01b\x01" * 260_000, "at most 50000 elements",
    ),
    "50,000 attributes": (
        "application/soap+msbin1", b"\x40\x01a" + b"".join(b"\x04\x04a%03x\x80" % (n % 4096) for n in range(50_000)),
        "",
    ),
    "a depth of 300,000": ("application/soap+msbin1", b"\x40\x01a" * 300_000, "at most 256 levels"),
    "a million texts": ("application/soap+msbin1", b"\x40\x01a" + b"\xa8" * 1_000_000, "at most 100000 texts"),
    "a million items of lists": (
        "application/soap+msbin1", b"\x40\x01a\xa4" + b"\xa8" * 1_000_000, "at most 100000 texts",
    ),
    "a million comments": ("application/soap+msbin1", b"\x40\x01a" + b"\x02\x00" * 500_000, "at most 100000 texts"),
    "16 MiB of base64": ("application/soap+msbin1", b"\x40\x01a\xa3" + struct.pack("<I", 1_000_000) + bytes(1_000_000),
        "at most 1048576"),
    "a gzip bomb of 200 MB": ("application/soap+msbin1+gzip", gzipped(bytes(200_000_000), 1), "at most 1048576"),
    "a deflate bomb": (
        "application/soap+msbin1+deflate", zlib.compress(bytes(50_000_000), 1)[2:-4], "at most 1048576",
    ),
    "two members of gzip": ("application/soap+msbin1+gzip", gzipped(b"\x40\x01a\x01") * 2, "there is more behind"),
    "half a gzip": ("application/soap+msbin1+gzip", gzipped(bytes(1000))[:-12], "the gzip stream ends early"),
    "no gzip": ("application/soap+msbin1+gzip", b"\x40\x01a\x01", "is not compressed with gzip"),
    "a table of strings that is too large": (
        "application/soap+msbinsession1 ", table(b"x" * 3000) + b"\x40\x01a\x01", "more strings than are taken",
    ),
    "a table longer than the message": ("application/soap+msbinsession1", b"\x7f\x01a", "longer than the message"),
    "a string longer than its table": (
        "application/soap+msbinsession1", b"\x02\x7fa\x40\x01a\x01", "longer than the table",
    ),
    "a table that is no UTF-8": ("application/soap+msbinsession1", b"\x02\x01\xff\x40\x01a\x01", "not valid UTF-8"),
}  # fmt: skip


def mtom(*parts: bytes, end: bytes = b"\r\n--b--\r\n") -> bytes:
    """Returns a body in MTOM. The first part is the root."""
    return b"".join(b"\r\n--b\r\n" + part for part in parts)[2:] + end


def part(name: str, content: bytes) -> bytes:
    return f"Content-ID: <{name}>\r\n\r\n".encode() + content


def include(*names: str) -> bytes:
    """Returns an envelope with references to parts."""
    references = "".join(
        f'<t><i:Include href="cid:{each}" xmlns:i="http://www.w3.org/2004/08/xop/include"/></t>' for each in names
    )
    return envelope(f"<r>{references}</r>").encode()


PARTS = {
    "a part that is missing": (mtom(part("0", include("1"))), "there is no part 'cid:1'"),
    "a part that is used twice": (mtom(part("0", include("1", "1")), part("1", b"x")), "or it is used twice"),
    "a part that is not used": (mtom(part("0", include()), part("1", b"x")), "1 of the parts are not used"),
    "two parts of one name": (
        mtom(part("0", include("1")), part("1", b"x"), part("1", b"y")), "a Content-ID of its own",
    ),
    "a part without a name": (mtom(part("0", include()), b"\r\nx"), "a Content-ID of its own"),
    "parts without an end": (mtom(part("0", include("1")), part("1", b"x"), end=b""), "has no end"),
    "no part at all": (b"hello", "the boundary of the parts is nowhere"),
    "nothing but an end": (b"--b--\r\n", "has no part"),
    "headers without an end": (b"--b\r\n" + b"a: b\r\n" * 100_000, "headers end with an empty line"),
    "what is no header": (mtom(b"hello\r\n\r\nx"), "is no header"),
    "an Include beside a text": (
        mtom(part("0", include("1").replace(b"<t>", b"<t>x")), part("1", b"y")), "all that its element has",
    ),
    "an Include that is the root": (
        mtom(part("0", b'<Include xmlns="http://www.w3.org/2004/08/xop/include" href="cid:1"/>'), part("1", b"y")),
        "all that its element has",
    ),
    "an Include of another place": (
        mtom(part("0", include("1").replace(b"cid:1", b"http://x/")), part("1", b"y")), "is a cid:, not 'http://x/'",
    ),
    "2,000 parts": (mtom(*(part(str(n), include()) for n in range(2000))), "at most 1000 parts"),
    "parts that become too large": (
        mtom(part("0", include("1")), part("1", bytes(900_000))), "at most 1048576 bytes",
    ),
    "a root whose charset has a NUL": (
        mtom(b"Content-ID: <0>\r\nContent-Type: application/xop+xml; charset=\"utf\0-8\"\r\n\r\n<a/>"),
        "the charset 'utf\\x00-8' of the root part is not supported",
    ),
    "a root in a charset of Python alone": (
        mtom(b"Content-ID: <0>\r\nContent-Type: application/xop+xml; charset=unicode_escape\r\n\r\n<a/>"),
        "the charset 'unicode_escape' of the root part is not supported",
    ),
    "a root that is no UTF-8": (mtom(part("0", b"\xff")), "the root part is not valid utf-8"),
}  # fmt: skip


def cost(work: Callable[[], Any]) -> tuple[float, int]:
    """Returns the time in seconds and the peak of memory in bytes that a piece of work takes."""
    began = time.thread_time()
    work()
    took = time.thread_time() - began
    tracemalloc.start()
    try:
        work()
        return took, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def refusalOf(reader: Any, message: bytes) -> str:
    """Returns the sentence with which a message is refused, "" if it is not."""
    reader.feed(message)
    try:
        reader.close()
    except Fault as fault:
        return fault.reason
    except Closed as closed:
        return closed.sentence
    return ""


@pytest.mark.usefixtures("codec")
class TestTheBounds:
    @pytest.mark.parametrize("name", ATTACKS)
    def test_each_attack_is_refused_in_little_time_and_memory(self, name: str) -> None:
        kind, message, sentence = ATTACKS[name]
        strings = 2048 if kind.endswith(" ") else MOST
        told: list[str] = []

        def work() -> None:
            reader = encodingOfSocket(kind.strip(), None, strings).reader(MOST)
            told.append(refusalOf(reader, message))

        seconds, memory = cost(work)
        assert sentence in told[0]
        assert seconds < 1
        assert memory < 32 * MOST

    @pytest.mark.parametrize("name", PARTS)
    def test_and_so_are_parts_that_do_not_fit_together(self, name: str) -> None:
        message, sentence = PARTS[name]
        told: list[str] = []
        kind = MTOM.format("application/soap+xml")
        seconds, memory = cost(lambda: told.append(refusalOf(encodingOfRequest(kind).reader(MOST), message)))
        assert sentence in told[0]
        assert seconds < 1
        assert memory < 32 * MOST


class TestWhatHappens:
    @pytest.fixture
    def daemon(self) -> Daemon:
        return daemonOf()

    @pytest.mark.parametrize("name", ["msbin1", "msbin1+gzip", "MTOM", "UTF-16LE"])
    def test_without_a_session_it_is_the_senders_fault_and_the_connection_stays(
        self, daemon: Daemon, name: str
    ) -> None:
        client = CodedClient(daemon, name)
        (answer,) = client.client.messages(client.client.say(b"\x40"))
        assert fault(client.read(answer))[0] == "s:Sender"
        assert text(client.ask(envelope(add(1, 2))), "//d:sum") == "3"

    @pytest.mark.parametrize("name", ["a session", "a session with gzip"])
    def test_in_a_session_it_ends_with_1007_and_the_place(self, daemon: Daemon, name: str) -> None:
        client = CodedClient(daemon, name)
        client.ask(envelope(add(1, 2)))
        client.client.say(b"\x00\x40\x01a\xbe")
        assert client.client.closeCode == 1007
        received = client.client.protocol.close_rcvd
        assert received is not None
        assert "(at byte " in received.reason

    @pytest.mark.parametrize("name", ["msbin1+gzip", "a session with gzip"])
    def test_what_becomes_too_large_ends_with_1009(self, daemon: Daemon, name: str) -> None:
        client = CodedClient(daemon, name)
        client.client.say(gzipped(bytes(2 * MOST)))
        assert client.client.closeCode == 1009

    def test_over_http_it_is_a_fault(self, daemon: Daemon) -> None:
        answer = postBytes(daemon, "application/soap+msbin1", b"\x40\x01a\xbe")
        assert answer.status == 500
        assert fault(encodingOf(answer)) == ("s:Sender", "there is no record BE in this place (at byte 3)")

    def test_a_route_may_take_more_strings(self) -> None:
        client = CodedClient(daemonOf(session_strings=8192), "a session")
        client.client.say(table(b"x" * 3000) + b"\x40\x01a\x01")
        assert client.client.closeCode is None

    def test_we_write_no_more_strings_than_wcf_takes(self) -> None:
        session = BinarySession(0)
        size = sum(len(session.write(f"<{'n' * 50}{number}/>")) - len(f"{'n' * 50}{number}") for number in range(100))
        assert session.numberOf("x" * 2000) is None
        assert size > 0

    def test_names_in_a_session_are_written_once(self, daemon: Daemon) -> None:
        client = CodedClient(daemon, "a session")
        said = envelope(f'<Echo xmlns="{DEMO}"><text>x</text></Echo>')
        sizes = []
        for _ in range(2):
            (answer,) = client.client.messages(client.client.say(client.encoding.write(said)))
            sizes.append(len(answer))
            client.read(answer)
        assert sizes[1] < sizes[0] / 2
