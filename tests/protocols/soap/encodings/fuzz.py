"""
A seeded fuzzer of the encodings: it makes documents by dice, and changes them, documents of the corpus and messages of
every encoding at any byte.

    python -m tests.protocols.soap.encodings.fuzz --seconds 3600 --seed 1

Each change must be read alike by both codecs, or refused in the same words. What is read is written alike, and reads
again as the same. A reader of messages raises nothing but `Fault` and `Closed`. The last line says how to repeat a run.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any
from xml.parsers.expat import ExpatError

from tests.protocols.soap.encodings.corpus import lines
from tests.protocols.soap.encodings.making import Maker
from tests.protocols.soap.encodings.test_encodings import MOST, SOCKETS
from tests.protocols.soap.talk import DEMO, add, addressed, envelope
from wsd.connection import Closed
from wsd.protocols.soap.encodings import _nbfx
from wsd.protocols.soap.encodings.choice import encodingOfSocket
from wsd.protocols.soap.encodings.nbfse import BinarySession
from wsd.protocols.soap.encodings.nbfx import CODECS
from wsd.protocols.soap.encodings.nbfxwriter import STATIC
from wsd.protocols.soap.faults import Fault

STRINGS = ["a", "bcd", "http://example.com/", "é", "two words"]
"""The strings of the session. Two are no names, or not in ASCII."""
LIMITS = (100, 1000, MOST)
SAID = (
    addressed(add(1, 2), "urn:uuid:2495c693-e3b9-7c6f-3898-b7dd200bc110"),
    envelope(f'<Echo xmlns="{DEMO}"><text>é € &amp; {"AAAA" * 300}</text></Echo>'),
)


class Fuzzer:
    """Changes what peers send, by the dice of one seed."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._maker = Maker(self._dice, [1, 3, 7])
        self._documents = [bytes.fromhex(each["hex"]) for each in lines("vectors.jsonl.gz")]
        self._conversations = [
            [bytes.fromhex(message["hex"]) for message in each["messages"]] for each in lines("sessions.jsonl.gz")
        ]
        self.counts: Counter[str] = Counter()
        """How many documents were read, and how many refused; the same of messages and conversations."""

    def run(self) -> None:
        """Does one round: a document, a message and, now and then, a conversation. Fails with an AssertionError."""
        made = self._maker.document()
        self._document(made)
        self._document(self._changed(self._dice.choice((made, self._dice.choice(self._documents)))))
        if self._dice.random() < 0.2:
            self._message(self._dice.choice(list(SOCKETS)))
        if self._dice.random() < 0.05:
            self._conversation(self._dice.choice(self._conversations))

    def _changed(self, data: bytes) -> bytes:
        """Returns bytes with up to five changes."""
        dice, changed = self._dice, bytearray(data)
        for _ in range(dice.randrange(1, 6)):
            at = dice.randrange(len(changed) + 1)
            match dice.randrange(5):
                case 0:
                    changed[at : at + 1] = bytes((dice.randrange(256),))
                case 1:
                    del changed[at : at + dice.randrange(1, 9)]
                case 2:
                    changed[at:at] = dice.randbytes(dice.randrange(1, 5))
                case 3:
                    other = dice.choice(self._documents)
                    start = dice.randrange(len(other))
                    changed[at:at] = other[start : start + dice.randrange(1, 40)]
                case _:
                    del changed[at:]
        return bytes(changed)

    def _document(self, data: bytes) -> None:
        most = self._dice.choice(LIMITS)
        found = [_outcome(partial(codec.readDocument, data, 0, STRINGS, most)) for codec in CODECS.values()]
        assert found.count(found[0]) == len(found), f"{data.hex()} at most {most}: {found}"
        if not isinstance(found[0], bytes):
            self.counts["documents refused"] += 1
            return
        self.counts["documents"] += 1
        assert _nbfx.readDocument(data, 0, STRINGS, MOST) is not None, f"{data.hex()} is left to Python"
        self._written(found[0].decode())

    def _written(self, text: str) -> None:
        """Checks that a document is written alike, and reads again as the same."""
        try:
            written = CODECS["python"].writeDocument(text, STATIC)
        except ExpatError:
            # Attributes that are there twice.
            self.counts["not well-formed"] += 1
            return
        assert CODECS["compiled"].writeDocument(text, STATIC) == written, text
        for codec in CODECS.values():
            assert codec.readDocument(written, 0, (), 10 * MOST).decode() == text, text

    def _message(self, name: str) -> None:
        """Reads messages in an encoding, in pieces, of which the last is changed."""
        kind, mode = SOCKETS[name]
        client, server = encodingOfSocket(kind, mode, 2048), encodingOfSocket(kind, mode, 2048)
        reader = server.reader(MOST)
        messages = [client.write(self._dice.choice(SAID)) for _ in range(2)]
        for message in (messages[0], self._changed(messages[1])):
            cut = self._dice.randrange(len(message) + 1)
            reader.feed(message[:cut])
            reader.feed(message[cut:])
            outcome = _outcome(reader.close)
            self.counts["messages refused" if isinstance(outcome, str) else "messages"] += 1

    def _conversation(self, messages: list[bytes]) -> None:
        """Reads a conversation until a changed message ends it."""
        reader = BinarySession(2048).reader(MOST)
        changed = self._dice.randrange(len(messages))
        for index, message in enumerate(messages):
            reader.feed(self._changed(message) if index == changed else message)
            if isinstance(_outcome(reader.close), str):
                self.counts["conversations ended"] += 1
                return
        self.counts["conversations"] += 1


def _outcome(work: Callable[[], Any]) -> Any:
    """Returns a result, or the sentence with which it was refused. Any other exception is a bug."""
    try:
        return work()
    except Fault as fault:
        return fault.reason
    except Closed as closed:
        return closed.sentence


def main() -> int:
    """Fuzzes for a time. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Fuzz the encodings of SOAP.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    given = parser.parse_args()
    fuzzer, until, rounds = Fuzzer(given.seed), time.monotonic() + given.seconds, 0
    try:
        while time.monotonic() < until:
            fuzzer.run()
            rounds += 1
    finally:
        print(f"{rounds} rounds with --seed {given.seed}: {dict(fuzzer.counts)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
