"""
What strangers send holds the reactor for 50 milliseconds of CPU time at most, whatever it is.

Each example is one call in the daemon. A slow machine may take as many times longer as it is slower than usual.
"""

from __future__ import annotations

import base64
import hmac
import json
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from itertools import product
from tempfile import NamedTemporaryFile

import pytest
from lxml import etree
from twisted.web import http

from tests.daemon import slowness
from wsd.auth.outcome import TokenError
from wsd.auth.tokens import Keys, Verifier
from wsd.connection import Closed
from wsd.frames.deflate import Deflater
from wsd.head import Headers, Refused, parseHead
from wsd.policies.negotiation import Deflate, acceptDeflate, offeredExtensions, offeredSubprotocols
from wsd.protocols.soap.contenttype import parameters
from wsd.protocols.soap.faults import Fault
from wsd.protocols.soap.reader import EnvelopeReader
from wsd.protocols.soap.schema.validator import Validator
from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.messages import readRequest
from wsd.protocols.topics.posting import messageOf, messagesOf
from wsd.protocols.xmpp.errors import StreamError
from wsd.protocols.xmpp.framing import parse
from wsd.protocols.yjs.messages import MalformedMessage, number
from wsd.protocols.yjs.updates import updateChecks

BOUND = 0.05
"""Seconds of CPU time."""
MIB = 1 << 20
_REFUSALS = (Closed, Fault, MalformedMessage, Refused, StreamError, TokenError, TopicError)

Steps = Iterator[object]


def longest(steps: Callable[[], Steps]) -> float:
    """The CPU time of the longest step, in the fastest of three runs."""

    def run() -> float:
        most, began = 0.0, time.thread_time()
        with suppress(*_REFUSALS):
            for _ in steps():
                most, began = max(most, time.thread_time() - began), time.thread_time()
        return max(most, time.thread_time() - began)

    return min(run() for _ in range(3))


def once(call: Callable[..., object], *arguments: object) -> Callable[[], Steps]:
    """One call as the only step."""

    def steps() -> Steps:
        yield call(*arguments)

    return steps


def headOf(field: str) -> None:
    """Read a head with this field, and what it offers."""
    head = parseHead(f"GET /echo?{'a=b&' * 200} HTTP/1.1\r\nHost: localhost\r\n{field}".encode())
    http.parse_qs(head.query.encode(), True)
    with suppress(Refused):
        offeredExtensions(head.headers)
    offeredSubprotocols(head.headers)


@cache
def bomb() -> bytes:
    """32 MiB of zeros, deflated."""
    stream = zlib.compressobj(1, zlib.DEFLATED, -15)
    return stream.compress(bytes(32 * MIB)) + stream.flush(zlib.Z_SYNC_FLUSH)


def inflating() -> Steps:
    """Inflate it in steps."""
    deflater = Deflater(Deflate(False, False, 15, 15, ""), 6, 8)
    deflater.begin()
    yield deflater.inflateSome(bomb(), True, 32 * MIB)
    while deflater.pending is not None:
        yield deflater.inflateMore(32 * MIB)


def fed(document: bytes) -> Callable[[], Steps]:
    """Read an envelope as it arrives."""

    def steps() -> Steps:
        reader = EnvelopeReader()
        for start in range(0, len(document), 65536):
            reader.feed(document[start : start + 65536])
            yield None
        yield reader.close()

    return steps


FIELDS = (
    f"Sec-WebSocket-Extensions: permessage-deflate{';a' * 7000}",
    f"Sec-WebSocket-Extensions: {'a,' * 7500}a",
    f"Sec-WebSocket-Extensions: a;b={chr(34)}{chr(92) * 14000}",
    f"Sec-WebSocket-Protocol: {','.join(f'a{number}' for number in range(2500))}",
    f"Cookie: {'a=b; ' * 3000}",
    f"Forwarded: {'for=1.2.3.4,' * 1200}",
    f"Accept: {'text/html;q=0.1,' * 900}",
    f"Authorization: Bearer {'.' * 15000}",
)
DOCUMENTS = (
    "[" * MIB,
    '{"a":' * (MIB // 5),
    '{"subscribe":{"topic":' + "9" * 900_000 + "}}",
    json.dumps({str(number): number for number in range(60_000)}),
    json.dumps({"subscribe": {"id": 1, "topic": "/".join("+" * 400_000)}}),
    json.dumps({"publish": {"topic": "a", "data": list(range(99_000))}}),
    json.dumps({"publish": {"topic": "a", "data": [number + 0.1 for number in range(MIB // 10)]}}),
    json.dumps({"publish": {"topic": "a", "data": [number + 0.1 for number in range(99_000)]}}),
    f"[{'[],' * 340_000}[]]",
    f"[{'[[]],' * 200_000}[]]",
    "{" + ",".join(f'"{number:x}":[]' for number in range(49_000)) + "}",
    f'{{"publish":{{"topic":"a","text":"{chr(92) * (MIB // 2 - 30)},{"," * (MIB // 2)}"}}}}',
    f"[{chr(34) * (MIB - 2)}]",
)
ELEMENTS = (
    "<a>" * 28_000 + "</a>" * 28_000,
    "<a>" + "<b/>" * 50_000 + "</a>",
    "<a " + " ".join(f'b{number}=""' for number in range(16_000)) + "/>",
    "<a>" + "".join(f'<b xmlns="u{number}"/>' for number in range(10_000)) + "</a>",
    "<a>" + "&amp;" * 40_000 + "</a>",
    f'<a b="{"x" * 200_000}"/>',
)
UPDATES = (
    b"\x01" + number(100_000) + b"\x05\x00" + b"\x28\x01\x01t\x01k\x01\x7d\x00" * 100_000 + b"\x00",
    b"\x01\x01\x05\x00\x08\x01\x01t" + number(MIB) + b"\x7e" * MIB + b"\x00",
    b"\x01" + number(100_000) + b"\x05\x00" + b"\x07\x01\x01t\x00" * 100_000 + b"\x00",
)


TOKENS = ({"alg": "HS256"}, {"alg": "HS256", "kid": "9" * 4000}, {"alg": "HS256", "crit": ["b64"] * 700})
CLAIMS = ("[" * 5000, '{"exp":' + "9" * 4299 + "}", '{"exp":1e999}', f'{{"aud":[{",".join(["1"] * 2500)}],"exp":9e9}}')
TYPES = (
    "a/b" + ";a" * 8000,
    'a/b;a="' + chr(92) * 16_000,
    "a/b" + (";" + " " * 99) * 160,
    "a/b" + ';a="b' * 3000,
)
EXTENSIONS = (
    "permessage-deflate" + ";a" * 7000,
    "permessage-deflate;server_max_window_bits=" + "9" * 16_000,
    ",".join(["permessage-deflate;server_max_window_bits=99"] * 350),
    'permessage-deflate;a="' + (chr(92) + "a") * 7000,
    "permessage-deflate;a" + " " * 15_000 + "=",
)
SCHEMA = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:element name="r"><xs:complexType><xs:sequence>
<xs:element name="i" maxOccurs="unbounded"><xs:complexType><xs:attribute name="k" type="{}"/></xs:complexType>
</xs:element></xs:sequence></xs:complexType>
<xs:unique name="u"><xs:selector xpath="i"/><xs:field xpath="@k"/></xs:unique></xs:element></xs:schema>"""


@cache
def verifier() -> Verifier:
    with NamedTemporaryFile() as file:
        file.write(b"s" * 32)
        file.flush()
        return Verifier(Keys(file.name), "audience", "issuer")


def verify(header: object, claims: str) -> None:
    """Verify a token with these claims, whose signature is right."""
    parts = [base64.urlsafe_b64encode(part.encode()).rstrip(b"=") for part in (json.dumps(header), claims)]
    signature = hmac.digest(b"s" * 32, b".".join(parts), "sha256")
    token = b".".join((*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")))
    verifier().verify(token.decode())


def extensions(value: str) -> None:
    """Read what a client offers, and accept what can be."""
    acceptDeflate(offeredExtensions(Headers([("sec-websocket-extensions", value)])))


def validated(kind: str, value: str) -> Callable[[], Steps]:
    """Validate an element of the largest size that is not left to a thread."""
    size = 128 * 1024
    schema = etree.fromstring(SCHEMA.format(kind))
    validator = Validator(etree.XMLSchema(schema), [schema])
    items = "".join(f'<i k="{value}{number}"/>' for number in range(size // 15))
    return once(validator.check, etree.fromstring(f"<r>{items}</r>"), size)


@pytest.mark.parametrize(
    "steps",
    [
        *(pytest.param(once(headOf, field), id=f"head-{index}") for index, field in enumerate(FIELDS)),
        *(pytest.param(once(readRequest, text), id=f"json-{index}") for index, text in enumerate(DOCUMENTS)),
        pytest.param(once(messagesOf, b"[]\n" * 340_000), id="ndjson"),
        pytest.param(once(messagesOf, (b"[" + b"[]," * 85_000 + b"[]]\n") * 4), id="ndjson-of-lists"),
        pytest.param(once(messageOf, b"[" * MIB, "application/json"), id="posted"),
        *(pytest.param(once(parse, text.encode()), id=f"xmpp-{index}") for index, text in enumerate(ELEMENTS)),
        *(pytest.param(fed(text.encode()), id=f"soap-{index}") for index, text in enumerate(ELEMENTS)),
        *(pytest.param(lambda data=data: updateChecks(data), id=f"yjs-{index}") for index, data in enumerate(UPDATES)),
        pytest.param(inflating, id="deflate"),
        *(
            pytest.param(once(verify, header, claims), id=f"token-{index}")
            for index, (header, claims) in enumerate(product(TOKENS, CLAIMS))
        ),
        *(pytest.param(once(parameters, text), id=f"type-{index}") for index, text in enumerate(TYPES)),
        *(pytest.param(once(extensions, text), id=f"extensions-{index}") for index, text in enumerate(EXTENSIONS)),
        *(pytest.param(validated(kind, ""), id=f"schema-{kind}") for kind in ("xs:string", "xs:int", "xs:decimal")),
        pytest.param(validated("xs:int", "x"), id="schema-errors"),
    ],
)
def test_no_input_holds_the_reactor(steps: Callable[[], Steps]) -> None:
    assert longest(steps) <= BOUND * slowness()
