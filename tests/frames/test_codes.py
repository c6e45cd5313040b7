"""The opcodes and close codes."""

from __future__ import annotations

import json

import pytest

from wsd.frames.codes import CloseCode, Opcode, checkCode, maySend


class TestCodes:
    def test_they_are_shown_as_numbers(self) -> None:
        code = CloseCode.GOING_AWAY
        assert (f"{code}", str(code), json.dumps({"code": code})) == ("1001", "1001", '{"code": 1001}')

    def test_opcodes_from_8_on_are_those_of_control_frames(self) -> None:
        assert [opcode for opcode in Opcode if opcode & 8] == [Opcode.CLOSE, Opcode.PING, Opcode.PONG]


class TestCodesThatMayBeSent:
    @pytest.mark.parametrize("code", [1000, 1003, 1007, 1014, 3000, 4999, CloseCode.GOING_AWAY])
    def test_these_may(self, code: int) -> None:
        checkCode(code)
        assert maySend(code)

    @pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, -1])
    def test_these_may_not(self, code: int) -> None:
        with pytest.raises(ValueError, match="not a close code that may be sent"):
            checkCode(code)
