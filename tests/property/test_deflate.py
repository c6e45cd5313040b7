"""permessage-deflate: any messages, parameters, pieces and naps, with each library, against two others."""

from __future__ import annotations

import zlib
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from wsd.connection import Prepared
from wsd.frames.deflate import TAIL, Deflater, InflateError, InflateLimitExceeded
from wsd.frames.libraries import choose, installed
from wsd.policies.negotiation import Deflate

FOUND = installed()
CHOICES = st.sampled_from([choose([library, FOUND["zlib"]]) for library in FOUND.values()])
LIMIT = 200_000

AGREED = st.builds(
    Deflate, st.booleans(), st.booleans(), st.integers(9, 15), st.integers(9, 15), st.just("permessage-deflate")
)


@st.composite
def payloads(draw: st.DrawFn) -> bytes:
    """Some bytes; often long ones that repeat what was before, near and far."""
    words = draw(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=6))
    picks = draw(st.lists(st.integers(0, 5), max_size=12))
    text = b"".join(words[pick % len(words)] for pick in picks)
    return (text * draw(st.sampled_from([1, 1, 3, 40, 400])))[:100_000]


MESSAGES = st.lists(payloads(), min_size=1, max_size=6)


def client(agreed: Deflate) -> PerMessageDeflate:
    """The other side, by another hand."""
    return PerMessageDeflate(
        remote_no_context_takeover=agreed.serverNoContext,
        local_no_context_takeover=agreed.clientNoContext,
        remote_max_window_bits=agreed.serverBits,
        local_max_window_bits=agreed.clientBits,
    )


def slowly(stream: Any, data: bytes) -> bytes:
    """Inflate a byte at a time: zlib then refers to its window alone, which has the size it was given, not more."""
    plain = []
    piece = stream.decompress(data, 1)
    while piece or stream.unconsumed_tail:
        plain.append(piece)
        piece = stream.decompress(stream.unconsumed_tail, 1)
    return b"".join(plain)


@settings(deadline=None, max_examples=150)
@given(CHOICES, AGREED, MESSAGES, st.integers(1, 9), st.integers(1, 9), st.sets(st.integers(0, 5)))
def test_what_is_sent_is_read_by_a_foreign_client(
    choice: Any, agreed: Deflate, messages: list[bytes], level: int, memory: int, naps: set[int]
) -> None:
    deflater, peer = Deflater(agreed, level, memory, choice=choice), client(agreed)
    for number, message in enumerate(messages):
        if number in naps:
            deflater.freeContexts()
        frame = Frame(Opcode.BINARY, deflater.deflate(message), rsv1=True)
        assert peer.decode(frame, max_size=LIMIT).data == message


@settings(deadline=None, max_examples=100)
@given(AGREED, st.lists(st.tuples(payloads(), st.sampled_from(["own", "prepared", "nap"])), max_size=8))
def test_prepared_messages_and_others_are_read_in_any_order(agreed: Deflate, doings: list[tuple[bytes, str]]) -> None:
    deflater, peer = Deflater(agreed, 6, 8), client(agreed)
    for message, doing in doings:
        if doing == "nap":
            deflater.freeContexts()
            continue
        if doing == "own":
            data = deflater.deflate(message)
        else:
            frame = Prepared(message, True).deflated(deflater)
            data = frame[{126: 4, 127: 10}.get(frame[1], 2) :]
        assert peer.decode(Frame(Opcode.BINARY, data, rsv1=True), max_size=LIMIT).data == message


@settings(deadline=None, max_examples=60)
@given(CHOICES, AGREED, st.lists(payloads().filter(lambda payload: len(payload) < 9000), max_size=6), st.integers(1, 9))
def test_what_is_sent_refers_to_the_agreed_window_alone(
    choice: Any, agreed: Deflate, messages: list[bytes], level: int
) -> None:
    deflater, peer = Deflater(agreed, level, 8, choice=choice), zlib.decompressobj(-agreed.serverBits)
    for message in messages:
        if agreed.serverNoContext:
            peer = zlib.decompressobj(-agreed.serverBits)
        assert slowly(peer, deflater.deflate(message) + TAIL) == message


@settings(deadline=None, max_examples=150)
@given(CHOICES, AGREED, MESSAGES, st.lists(st.integers(0, 1000), max_size=6), st.sets(st.integers(0, 40)))
def test_what_a_foreign_client_sends_is_read_in_any_pieces(
    choice: Any, agreed: Deflate, messages: list[bytes], cuts: list[int], naps: set[int]
) -> None:
    deflater, peer = Deflater(agreed, 6, 8, choice=choice), client(agreed)
    step = 0
    for message in messages:
        data = bytes(peer.encode(Frame(Opcode.BINARY, message)).data)
        edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
        plain = b""
        deflater.begin()
        for start, end in pairwise(edges):
            if step in naps:
                deflater.freeContexts()
            step += 1
            plain += deflater.inflate(data[start:end], end == len(data), LIMIT - len(plain))
        assert plain == message


@settings(deadline=None, max_examples=150)
@given(CHOICES, AGREED, MESSAGES, st.integers(0, 5000))
def test_nothing_beyond_the_bound_comes_out(choice: Any, agreed: Deflate, messages: list[bytes], most: int) -> None:
    deflater, peer = Deflater(agreed, 6, 8, choice=choice), client(agreed)
    for message in messages:
        data = bytes(peer.encode(Frame(Opcode.BINARY, message)).data)
        deflater.begin()
        if len(message) <= most:
            assert deflater.inflate(data, True, most) == message
            continue
        with pytest.raises(InflateLimitExceeded):
            deflater.inflate(data, True, most)
        return


@settings(deadline=None, max_examples=300)
@given(CHOICES, AGREED, st.lists(st.tuples(st.binary(max_size=60), st.booleans()), max_size=8))
def test_any_bytes_inflate_or_are_refused(choice: Any, agreed: Deflate, pieces: list[tuple[bytes, bool]]) -> None:
    deflater = Deflater(agreed, 6, 8, choice=choice)
    deflater.begin()
    for data, last in pieces:
        try:
            assert len(deflater.inflate(data, last, 5000)) <= 5000
        except (InflateError, InflateLimitExceeded):
            return
        if last:
            deflater.begin()
