"""Answers by coroutines: complete, refused, failed, and for a client that is gone."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.web.resource import Resource

from tests.web.test_channel import failures, serving
from tests.web.test_door import get, status
from wsd.head import Refused
from wsd.resources import answerBy, finish


class ByCoroutine(Resource):
    """Begins an answer if it is told to, waits, and then finishes it or raises the error."""

    isLeaf = True

    def __init__(self, error: Exception | None = None, begins: bool = False) -> None:
        super().__init__()
        self.waiting: Deferred[None] = Deferred()
        self.error = error
        self.begins = begins

    def render_GET(self, request: Any) -> int:
        return answerBy(request, self._answer(request))

    render_HEAD = render_GET

    async def _answer(self, request: Any) -> None:
        if self.begins:
            request.write(b"half")
        await self.waiting
        if self.error is not None:
            raise self.error
        finish(request, 201, {"X-Field": "value"}, b"content", b"Done")


class TestAnAnswer:
    def test_has_status_fields_and_content(self) -> None:
        resource = ByCoroutine()
        _ours, wire = serving(resource)
        assert wire.exchange(get(b"/page")) == b""
        resource.waiting.callback(None)
        answer = wire.exchange(b"")
        assert answer.startswith(b"HTTP/1.1 201 Done\r\n")
        assert b"\r\nX-Field: value\r\n" in answer
        assert b"\r\nContent-Length: 7\r\n" in answer
        assert answer.endswith(b"\r\n\r\ncontent")

    def test_to_head_has_no_content(self) -> None:
        resource = ByCoroutine()
        resource.waiting.callback(None)
        _ours, wire = serving(resource)
        answer = wire.exchange(get(b"/page", method=b"HEAD"))
        assert b"\r\nContent-Length: 7\r\n" in answer
        assert answer.endswith(b"\r\n\r\n")

    @pytest.mark.parametrize(("error", "expected"), [(Refused(409, "not now"), 409), (RuntimeError("broken"), 500)])
    def test_is_the_error_that_it_raises(self, error: Exception, expected: int) -> None:
        resource = ByCoroutine(error)
        _ours, wire = serving(resource)
        wire.exchange(get(b"/page"))
        with capturedLogs() as events:
            resource.waiting.callback(None)
        assert status(wire.exchange(b"")) == expected
        assert len(failures(events)) == (expected == 500)

    @pytest.mark.parametrize("error", [Refused(409, "not now"), RuntimeError("broken")])
    def test_that_has_begun_ends_with_the_connection(self, error: Exception) -> None:
        resource = ByCoroutine(error, begins=True)
        _ours, wire = serving(resource)
        assert b"half" in wire.exchange(get(b"/page"))
        resource.waiting.callback(None)
        assert b"HTTP/1.1" not in wire.exchange(b"")
        assert wire.ended

    @pytest.mark.parametrize("error", [None, Refused(409, "not now")])
    def test_is_discarded_when_the_client_is_gone(self, error: Exception | None) -> None:
        resource = ByCoroutine(error)
        _ours, wire = serving(resource)
        wire.exchange(get(b"/page"))
        wire.reset()
        with capturedLogs() as events:
            resource.waiting.callback(None)
        assert failures(events) == []
