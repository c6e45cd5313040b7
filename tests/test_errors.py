"""The errors of protocols, to the byte as they are sent to clients."""

from __future__ import annotations

import pytest

from wsd.errors import ProtocolError
from wsd.frames.codes import CloseCode
from wsd.protocols.blob.errors import BlobError
from wsd.protocols.canvas.messages import CanvasError


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ProtocolError("busy", "später"), '{"error": {"code": "busy", "message": "später"}}'),
        (BlobError("busy", 'a "b"'), '{"error": {"code": "busy", "message": "a \\"b\\""}}'),
        (CanvasError("viewer", "only watches"), '{"error":{"code":"viewer","message":"only watches"}}'),
    ],
)
def test_each_is_one_json_object(error: ProtocolError, text: str) -> None:
    assert error.text == text


def test_each_protocol_has_the_close_codes_of_its_own_list() -> None:
    assert BlobError("too_large", "").closeCode is CloseCode.MESSAGE_TOO_BIG
    assert BlobError("too_large", "").status == 413
    assert CanvasError("too_large", "").closeCode is CloseCode.MESSAGE_TOO_BIG
    assert CanvasError("bad_message", "").closeCode is None
