"""A short run of the fuzzer, in which all kinds of outcomes are; `make soak` has one of an hour."""

from __future__ import annotations

from tests.protocols.soap.encodings.fuzz import Fuzzer


def test_both_codecs_agree_on_whatever_comes() -> None:
    fuzzer = Fuzzer(seed=1)
    for _ in range(5_000):
        fuzzer.run()
    least = {"documents": 50, "documents refused": 1000, "messages": 100, "messages refused": 100}
    least |= {"conversations": 1, "conversations ended": 100}
    assert not {name: fuzzer.counts[name] for name, count in least.items() if fuzzer.counts[name] < count}
