"""Translates a handler's results and exceptions into an answer to the handshake, or a close code."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from wsd.connection import Accept, Refused
from wsd.head import shown
from wsd.policies.negotiation import Deflate
from wsd.protocols.pywebsocket.api import common
from wsd.protocols.pywebsocket.api._stream_exceptions import (
    ConnectionTerminatedException,
    InvalidFrameException,
    InvalidUTF8Exception,
    UnsupportedFrameException,
)
from wsd.protocols.pywebsocket.api.handshake.base import (
    AbortedByUserException,
    HandshakeException,
    VersionException,
    validate_subprotocol,
)
from wsd.protocols.pywebsocket.request import HandlerRequest

_FIELD = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)\Z")
_KNOWN = {status.value for status in HTTPStatus if status.value >= 300}


class Abort(Exception):
    """Raised to end the connection without an answer."""


def answer(request: HandlerRequest) -> Accept:
    """Returns the answer to the handshake, from what the hook has set in the request. Raises HandshakeException."""
    chosen = request.ws_protocol
    if request.ws_requested_protocols is not None:
        if chosen is None:
            raise HandshakeException("the handler chose none of the subprotocols in ws_protocol", 400)
        try:
            validate_subprotocol(chosen)
        except HandshakeException as error:
            error.status = 400
            raise
    elif chosen is not None:
        raise HandshakeException("the handler set ws_protocol, but no subprotocol was offered", 400)
    headers = [field for name, value in request.extra_headers for field in fieldsOf(str(name), str(value))]
    if chosen is not None and chosen not in (request.ws_requested_protocols or ()):
        # Tests of clients choose subprotocols that were not offered.
        headers.insert(0, (common.SEC_WEBSOCKET_PROTOCOL_HEADER, chosen))
        chosen = None
    return Accept(chosen, headers, _agreed(request) or False)


def fieldsOf(name: str, value: str) -> list[tuple[str, str]]:
    """
    Returns the header fields that result if name and value are written as they are.

    Browser tests put a line break and a second field into a value. Raises ValueError for a malformed field.
    """
    fields = []
    for line in f"{name}: {value}".split("\r\n"):
        match = _FIELD.match(line)
        if match is None:
            raise ValueError(f"the handler's extra_headers contain {shown(line)}, which is not a header field")
        fields.append((match[1], match[2]))
    return fields


def _agreed(request: HandlerRequest) -> Deflate | None:
    """Returns the parameters of the first extension processor that accepts; None if none does."""
    for processor in request.ws_extension_processors:
        response = processor.get_extension_response()
        if response is not None:
            request.ws_extensions = [response]
            bits = response.get_parameter_value("server_max_window_bits")
            return Deflate(
                serverNoContext=response.has_parameter("server_no_context_takeover"),
                # The daemon can inflate larger windows than the client was asked for.
                clientNoContext=False,
                serverBits=int(bits or 15),
                clientBits=15,
                answer=common.format_extension(response),
            )
    return None


def refusalOf(error: BaseException) -> Exception:
    """Returns Abort or Refused for an exception of the handshake's hook; the default is Refused with 403."""
    if isinstance(error, AbortedByUserException):
        return Abort()
    if isinstance(error, VersionException):
        versions = [("Sec-WebSocket-Version", error.supported_versions)] if error.supported_versions else ()
        return Refused(400, "this version of the WebSocket protocol is not supported", versions)
    status = error.status if isinstance(error, HandshakeException) else None
    if status == common.HTTP_STATUS_BAD_REQUEST:
        return Refused(400, "the handler cannot open this connection")
    return Refused(status if status in _KNOWN else 403, "the handler refused this connection")


def closeOf(error: BaseException) -> int | None:
    """Returns the close code for an exception of a handler; None ends the connection without a close frame."""
    if isinstance(error, InvalidFrameException):
        return common.STATUS_PROTOCOL_ERROR
    if isinstance(error, (AbortedByUserException, ConnectionTerminatedException)):
        return None
    if isinstance(error, UnsupportedFrameException):
        return common.STATUS_UNSUPPORTED_DATA
    if isinstance(error, InvalidUTF8Exception):
        return common.STATUS_INVALID_FRAME_PAYLOAD_DATA
    return common.STATUS_INTERNAL_ENDPOINT_ERROR


def closeAnswer(returned: Any) -> tuple[int | None, str]:
    """Returns code and reason of the answer to the peer's close, from the hook's result; 1000 if it is None."""
    if returned is None:
        return common.STATUS_NORMAL_CLOSURE, ""
    code, reason = returned
    return code, (reason or "") if code is not None else ""
