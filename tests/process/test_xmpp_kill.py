"""The embedded server is killed (-9) and started again: nothing acknowledged is lost."""

from __future__ import annotations

from pathlib import Path

from tests.process.xmppkills import Talk


def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """`make soak` does it a hundred times, at other moments."""
    talk = Talk(tmp_path, 3)
    talk.begin()
    talk.live()
    assert talk.acknowledged
    assert talk.arrived
