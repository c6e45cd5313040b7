"""
Properties of what follows the handshake: neither chunking nor the plane changes anything, and no bytes at all raise out
of the protocol.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs

from tests.every import Every, EveryFactory, Streaming
from wsd.config import Policies, Route
from wsd.connection import Connection, Factory, Request
from wsd.frames import PLANES, Plane
from wsd.head import parseHead
from wsd.metrics import Metrics
from wsd.policies.address import Peer
from wsd.policies.negotiation import offeredExtensions
from wsd.policies.timer import Timer

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\nSec-WebSocket-Extensions: permessage-deflate"
LIMIT = 4096


class Stream(StringTransport):
    """A transport in memory that may abort."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class Noting(Every):
    """Sends back what comes, and takes no text for a command that may fail."""

    def received(self, payload: bytes, isBinary: bool) -> None:
        self.said.append(("received", payload, isBinary))
        self.send(payload if isBinary else payload.decode())


class NotingFactory(EveryFactory):
    connection = Noting


class Answering(Every):
    """Returns what comes, as `Noting` sends it back."""

    received = Connection.received

    def answer(self, payload: bytes, isBinary: bool) -> Any:
        self.said.append(("received", payload, isBinary))
        return payload if isBinary else payload.decode()


class AnsweringFactory(EveryFactory):
    connection = Answering


class Joining(Streaming):
    """Notes the pieces of a message as one: where they are cut is for nobody to see."""

    def arrived(self, data: bytes) -> None:
        if isinstance(self.said[-1], bytes):
            self.said[-1] += data
        else:
            self.said.append(data)


class JoiningFactory(Factory):
    connection = Joining


class Either(Joining):
    """Takes messages that came in one piece as a whole."""

    def received(self, payload: bytes, isBinary: bool) -> None:
        self.began(isBinary)
        if payload:
            self.arrived(payload)
        self.ended()


class EitherFactory(Factory):
    connection = Either


def opened(plane: Plane, build: type[Factory]) -> tuple[Any, Stream, Clock]:
    clock = Clock()
    route = Route(path="/", single="test", policies=Policies(max_message=LIMIT))
    factory = build(route, build.Options(), clock, Timer(clock), Metrics(plane.traffic), plane=plane)
    connection, stream = factory.build(), Stream()
    head = parseHead(HEAD)
    connection.makeConnection(stream)
    connection.begin(
        Request(head, Peer("127.0.0.1", 1), None, (), offeredExtensions(head.headers)), b"", lambda refused: None
    )
    stream.clear()
    return connection, stream, clock


def outcome(
    data: bytes, cuts: Iterable[int] = (), plane: Plane = PLANES["plain"], build: type[Factory] = NotingFactory
) -> tuple[Any, list[bytes]]:
    """What the protocol was told and what was answered, when `data` comes in the pieces that `cuts` make of it."""
    connection, stream, clock = opened(plane, build)
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    with capturedLogs() as events:
        for start, end in pairwise(edges):
            if stream.disconnecting or stream.aborted:
                break
            connection.dataReceived(data[start:end])
            while clock.getDelayedCalls():
                clock.advance(0)
        connection.connectionLost(None)
    assert [event["log_failure"] for event in events if "log_failure" in event] == []
    return connection.said, answered(stream.value())


def answered(stream: bytes) -> list[bytes]:
    """
    The daemon's frames; a close with its code alone.

    Its sentence may name either of two faults in one message, and which is met first depends on the pieces.
    """
    found = []
    while stream:
        start, size = (4, int.from_bytes(stream[2:4])) if stream[1] == 126 else (2, stream[1])
        payload = stream[start : start + size]
        found.append(stream[:1] + (payload[:2] if stream[0] == 0x88 else payload))
        stream = stream[start + size :]
    return found


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """A frame, sound more often than not."""
    opcode = draw(st.sampled_from([0, 1, 1, 2, 2, 8, 9, 10, 3, 11]))
    fin = draw(st.sampled_from([0x80, 0x80, 0x80, 0]))
    reserved = draw(st.sampled_from([0, 0, 0, 0, 0x40, 0x20]))
    payload = draw(st.binary(max_size=140) | st.text(max_size=60).map(str.encode))
    if reserved == 0x40 and draw(st.booleans()):
        stream = zlib.compressobj(wbits=-15)
        payload = (stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]
    if opcode == 8 and draw(st.booleans()):
        payload = struct.pack("!H", draw(st.sampled_from([1000, 1001, 3000, 1005, 999]))) + payload[:100]
    mask = draw(st.binary(min_size=4, max_size=4))
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else struct.pack("!BH", 0x80 | 126, size)
    return bytes([fin | reserved | opcode]) + length + mask + masked


anyFrames = given(st.lists(frames(), max_size=8).map(b"".join), st.lists(st.integers(0, 2000), max_size=12))


@settings(deadline=None, max_examples=200)
@anyFrames
def test_any_plane_and_chunking_give_the_hooks_and_answers_of_autobahn(data: bytes, cuts: list[int]) -> None:
    expected = outcome(data)
    for plane in PLANES.values():
        assert outcome(data, plane=plane) == expected
        assert outcome(data, cuts, plane) == expected
        assert outcome(data, range(len(data)), plane) == expected


@settings(deadline=None, max_examples=100)
@anyFrames
def test_an_answer_that_is_returned_is_as_one_that_is_sent(data: bytes, cuts: list[int]) -> None:
    expected = outcome(data)
    for plane in PLANES.values():
        assert outcome(data, plane=plane, build=AnsweringFactory) == expected
        assert outcome(data, cuts, plane, AnsweringFactory) == expected


@settings(deadline=None, max_examples=200)
@example(b"\x81\x82\0\0\0\0\xed\xa0", [])
@anyFrames
def test_in_the_streaming_form_too(data: bytes, cuts: list[int]) -> None:
    said, answers = outcome(data, range(len(data)), build=JoiningFactory)
    for plane in PLANES.values():
        assert outcome(data, cuts, plane, JoiningFactory)[1] == answers
        assert outcome(data, range(len(data)), plane, JoiningFactory) == (said, answers)
        assert outcome(data, cuts, plane, EitherFactory)[1] == answers
        assert outcome(data, range(len(data)), plane, EitherFactory) == (said, answers)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.binary(max_size=64) | frames(), max_size=8))
def test_no_bytes_at_all_raise_out_of_the_protocol(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    for plane in PLANES.values():
        said, answers = outcome(data, plane=plane)
        assert said[0][0] == "opening"
        assert sum(map(len, answers)) < 100_000
