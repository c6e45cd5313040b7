"""The control socket: each line is answered by JSON lines, the last of which says whether it was done and why not."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import patch

from tests.control.controlled import Controlled
from tests.fuzz.pieces import piecesOf
from wsd.control.interface import CommandError
from wsd.service.steering import Steering

_TURNS = 50


async def _noUpgrade(steering: Steering) -> str:
    raise CommandError("a fuzzer starts no process")


def check(data: bytes) -> None:
    """Takes the size of the pieces, and what a client sends."""
    controlled = Controlled()
    try:
        controlled.open()
        with patch.object(Steering, "upgrade", _noUpgrade):
            answers = _answers(controlled, data)
    finally:
        controlled.stop()
    ends = [answer for answer in answers if "ok" in answer]
    assert len(ends) <= data.count(b"\n") + 1
    for answer in ends:
        assert isinstance(answer["ok"], bool)
        assert answer["ok"] or set(answer) == {"ok", "error"}
        assert not answer.get("error", "").startswith("an internal error"), answer


def _answers(controlled: Controlled, data: bytes) -> list[dict[str, Any]]:
    client = controlled.control()
    for piece in piecesOf(data):
        if not client.transport.disconnecting:
            client.send(piece)
    answers = client.lines
    for _ in range(_TURNS):
        controlled.pass_(0.05)
        answers += client.lines
    assert json.dumps(answers)
    return answers
