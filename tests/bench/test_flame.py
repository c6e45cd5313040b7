"""The flame graph: what py-spy has seen, as boxes."""

from __future__ import annotations

import re

from tests.bench.flame import LEAST, ROOT, WIDTH, drawn, read

TURN = ROOT[:-1] + ":215)"
SEEN = [
    f"run (a.py:1);{TURN};read (wsd/b.py:2);write (c.py:3) 60",
    f"run (a.py:1);{TURN};read (wsd/b.py:2) 30",
    f"run (a.py:1);{TURN} 10",
    "thread (t.py:1) 1000",
]


def test_only_the_reactors_turns_are_counted() -> None:
    root = read(SEEN)
    (reading,) = root.calls.values()
    assert (root.count, reading.count, reading.calls["write (c.py)"].count) == (100, 90, 60)


def test_a_box_is_as_wide_as_the_share_of_its_call() -> None:
    widths = re.findall(r'<rect x="0.0" y="\d+" width="([\d.]+)"', drawn(read(SEEN)))
    assert [float(width) for width in widths] == [WIDTH, 0.9 * WIDTH, 0.6 * WIDTH]


def test_names_are_escaped_and_tiny_calls_are_left_out() -> None:
    shown = drawn(read([f"{TURN};<lambda> (d.py:1) 999", f"{TURN};rare (e.py:1) {int(LEAST * 999)}"]))
    assert "&lt;lambda&gt; (d.py): 99.9%" in shown
    assert "rare" not in shown
