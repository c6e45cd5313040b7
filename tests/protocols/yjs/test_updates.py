"""What an update may be: everything that Yjs writes, and nothing that harms the daemon."""

from __future__ import annotations

import random
import time
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from pycrdt import Array, Doc, Map, Text, XmlElement, XmlFragment

from tests.daemon import slowness
from wsd.protocols.yjs.messages import MalformedMessage, number, sized
from wsd.protocols.yjs.updates import checkUpdate, updateChecks

YJS = Path(__file__).parent / "updates.txt"
"""Updates that Yjs itself has written, of every kind of content, in hexadecimal."""

ITEM = b"\x01\x01t"
"""An item at the top: its parent is the root type `t`."""


def update(structs: bytes, count: int = 1, client: int = 5) -> bytes:
    """An update with these structs of one client, and no deletions."""
    return b"\x01" + number(count) + number(client) + b"\x00" + structs + b"\x00"


class TestUpdatesOfYjs:
    @pytest.mark.parametrize("written", YJS.read_text().split())
    def test_are_accepted(self, written: str) -> None:
        checkUpdate(bytes.fromhex(written))

    def test_are_accepted_by_pycrdt_as_well(self) -> None:
        doc: Doc[Any] = Doc()
        for written in YJS.read_text().split():
            doc.apply_update(bytes.fromhex(written))

    def test_are_refused_when_any_byte_is_missing_at_the_end(self) -> None:
        for written in YJS.read_text().split():
            whole = bytes.fromhex(written)
            for end in range(len(whole)):
                with pytest.raises(MalformedMessage):
                    checkUpdate(whole[:end])

    def test_of_every_type_of_pycrdt_are_accepted(self) -> None:
        doc: Doc[Any] = Doc()
        updates: list[bytes] = []
        subscription = doc.observe(lambda event: updates.append(event.update))
        doc["text"] = text = Text("hello")
        text.format(0, 2, {"bold": True})
        text.insert_embed(1, {"image": "x"})
        doc["array"] = Array([1, 2.5, None, True, "s", b"bytes", [1, [2]], {"a": {"b": 1}}])
        doc["map"] = Map({"a": Text("x"), "b": Map({"c": 1})})
        doc["xml"] = fragment = XmlFragment()
        fragment.children.append(XmlElement("p", {"class": "a"}))
        del text[0:3]
        doc.unobserve(subscription)
        for each in [*updates, doc.get_update()]:
            checkUpdate(each)


class TestAnAttack:
    @pytest.mark.parametrize("deep", [65, 200_000])
    @pytest.mark.parametrize("level", [b"\x75\x01", b"\x76\x01\x01a"], ids=["arrays", "objects"])
    def test_by_nesting_is_refused(self, deep: int, level: bytes) -> None:
        with pytest.raises(MalformedMessage, match="nested more than 64 deep"):
            checkUpdate(update(b"\x08" + ITEM + b"\x01" + level * deep + b"\x7e"))

    def test_by_nesting_in_a_subdocument_is_refused(self) -> None:
        with pytest.raises(MalformedMessage, match="nested more than 64 deep"):
            checkUpdate(update(b"\x09" + ITEM + sized(b"id") + b"\x75\x01" * 100_000 + b"\x7e"))

    @pytest.mark.parametrize(
        "attack",
        [
            number(10**9) + b"\x01\x05\x00",
            b"\x01" + number(10**9) + b"\x05\x00",
            b"\x00" + number(10**9) + b"\x05\x01",
            b"\x00\x01\x05" + number(10**9) + b"\x00\x01",
            update(b"\x08" + ITEM + number(10**9)),
            update(b"\x08" + ITEM + b"\x01\x76" + number(10**9)),
            update(b"\x02" + ITEM + number(10**9)),
            update(b"\x04" + ITEM + number(10**9)),
        ],
    )
    def test_by_announcing_much_is_refused(self, attack: bytes) -> None:
        with pytest.raises(MalformedMessage, match="announced"):
            checkUpdate(attack)

    def test_by_many_parts_that_merge_is_refused(self) -> None:
        parts = b"".join(b"\x84\x05" + number(clock) + b"\x01a" for clock in range(6000))
        with pytest.raises(MalformedMessage, match="more than 5000 parts that continue the part before"):
            checkUpdate(update(b"\x04" + ITEM + b"\x01a" + parts, 6001))

    def test_by_many_deleted_parts_that_merge_is_refused(self) -> None:
        with pytest.raises(MalformedMessage, match="more than 5000 parts"):
            checkUpdate(update(b"\x00\x01" * 6000, 6000))

    @pytest.mark.parametrize(
        ("attack", "sentence"),
        [
            (update(b"\x0b" + ITEM + b"\x01"), "content of the unknown kind 11"),
            (update(b"\x07" + ITEM + b"\x09"), "a shared type of the unknown kind 9"),
            (update(b"\x08" + ITEM + b"\x01\x10"), "a value of the unknown kind 16"),
            (update(b"\x04" + ITEM + b"\x01\xff"), "a string is not UTF-8"),
            (update(b"\x84" + b"\xff" * 11), "a number has more than 10 bytes"),
            (b"\x00\x00\x00", "bytes follow the end of an update"),
            (update(b"\x08" + ITEM + b"\x01\x7b"), "ends before it is complete"),
        ],
    )
    def test_by_what_yjs_does_not_write_is_refused(self, attack: bytes, sentence: str) -> None:
        with pytest.raises(MalformedMessage, match=sentence):
            checkUpdate(attack)


def test_a_large_one_is_checked_in_steps_that_delay_nobody() -> None:
    """Measured in CPU time, so that a busy machine does not matter."""
    parts = b"".join(b"\xc4\x05" + number(7 * clock) + b"\x05" + number(clock) + b"\x01a" for clock in range(60_000))
    checks, longest, steps = updateChecks(update(parts, 60_000)), 0.0, 0
    while True:
        began = time.thread_time()
        if next(checks, checks) is checks:
            break
        longest, steps = max(longest, time.thread_time() - began), steps + 1
    assert steps > 200
    assert longest < 0.05


def test_any_bytes_are_refused_or_harmless() -> None:
    """Mutated updates: what the check accepts, pycrdt applies or refuses with ValueError."""
    written = [bytes.fromhex(each) for each in YJS.read_text().split()]
    generator = random.Random(7)
    accepted = 0
    for _ in range(3000):
        mutated = bytearray(generator.choice(written))
        for _ in range(generator.randrange(1, 4)):
            mutated[generator.randrange(len(mutated))] = generator.randrange(256)
        try:
            checkUpdate(bytes(mutated))
        except MalformedMessage:
            continue
        accepted += 1
        doc: Doc[Any] = Doc()
        try:
            doc.apply_update(bytes(mutated))
        except ValueError:
            continue
        doc.get_update()
    assert accepted > 300


class TestManyItemsAtOnePlace:
    """Applying an item without a left neighbour passes all others at its place: 100,000 would take a minute."""

    KEYED = b"\x28\x01\x01t\x01k\x01\x7d\x00"
    BEFORE = b"\x48\x06\x00\x01\x7d\x00"

    @pytest.mark.parametrize("item", [KEYED, BEFORE], ids=["key", "before"])
    def test_are_refused(self, item: bytes) -> None:
        checkUpdate(update(item * 4000, 4000))
        with pytest.raises(MalformedMessage, match="items at the same place, which takes too long"):
            checkUpdate(update(item * 5000, 5000))

    def test_of_as_many_clients_are_refused(self) -> None:
        clients = b"".join(b"\x01" + number(client) + b"\x00" + self.KEYED for client in range(1, 5001))
        with pytest.raises(MalformedMessage, match="items at the same place"):
            checkUpdate(number(5000) + clients + b"\x00")

    def test_are_refused_before_the_rest_is_checked(self) -> None:
        steps = updateChecks(update(self.KEYED * 100_000, 100_000))
        with pytest.raises(MalformedMessage):
            list(islice(steps, 25))

    def test_at_keys_of_their_own_are_accepted(self) -> None:
        items = b"".join(b"\x28\x01\x01t" + sized(b"%d" % key) + b"\x01\x7d\x00" for key in range(20_000))
        checkUpdate(update(items, 20_000))

    def test_what_is_typed_in_front_of_a_text_is_accepted(self) -> None:
        doc: Doc[Any] = Doc()
        doc["t"] = text = Text()
        with doc.transaction():
            for _ in range(20_000):
                text.insert(0, "x")
        checkUpdate(doc.get_update())

    def test_what_is_accepted_is_applied_in_time(self) -> None:
        taken = []
        for _ in range(5):
            began = time.thread_time()
            Doc().apply_update(update(self.KEYED * 4000, 4000))
            taken.append(time.thread_time() - began)
        assert min(taken) < 0.2 * slowness()


class TestManyValues:
    def test_in_one_item_are_checked_in_steps(self) -> None:
        steps = updateChecks(update(b"\x08" + ITEM + number(100_000) + b"\x7e" * 100_000))
        assert len(list(steps)) > 300

    @pytest.mark.parametrize("within", [100_000, 100_001])
    def test_within_one_value_are_limited(self, within: int) -> None:
        inner = within - 50_000 - 1
        value = b"\x75" + number(50_001) + b"\x7e" * 50_000 + b"\x75" + number(inner) + b"\x7e" * inner
        written = update(b"\x08" + ITEM + b"\x01" + value)
        if within == 100_000:
            checkUpdate(written)
        else:
            with pytest.raises(MalformedMessage, match="more than 100000 values within"):
                checkUpdate(written)
