"""What a handler has said in its handshake, as the answer."""

from __future__ import annotations

import pytest

from wsd.protocols.pywebsocket.answers import fieldsOf


class TestExtraHeaders:
    @pytest.mark.parametrize(
        ("name", "value", "fields"),
        [
            ("X-A", "a", [("X-A", "a")]),
            ("X-A", "", [("X-A", "")]),
            ("X-A", "caf\xe9 \x85", [("X-A", "caf\xe9 \x85")]),
            ("Set-Cookie", "a=1\r\nSet-Cookie: b=2", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]),
            ("X-A", "a\r\nX-B:b\r\nX-C: c", [("X-A", "a"), ("X-B", "b"), ("X-C", "c")]),
            ("X-A: a\r\nX-B", "b", [("X-A", "a"), ("X-B", "b")]),
        ],
    )
    def test_are_the_fields_that_they_are_written_as(
        self, name: str, value: str, fields: list[tuple[str, str]]
    ) -> None:
        assert fieldsOf(name, value) == fields

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("X-A", "a\r\n"),
            ("X-A", "a\r\n\r\nbody"),
            ("X-A", "a\nX-B: b"),
            ("X-A", "a\rX-B: b"),
            ("X-A", "a\r\n b"),
            ("X-A", "a\r\nno field"),
            ("X-A", "a\0b"),
            ("X A", "a"),
            ("", "a"),
        ],
    )
    def test_are_nothing_else(self, name: str, value: str) -> None:
        with pytest.raises(ValueError, match="which is not a header field"):
            fieldsOf(name, value)
