"""The numbers and names of RFC 6455, and extensions with their parameters."""

from __future__ import annotations

from wsd.protocols.pywebsocket.api import http_header_util as _header

LOGLEVEL_FINE = 9

VERSION_HYBI13 = VERSION_HYBI14 = VERSION_HYBI15 = VERSION_HYBI16 = VERSION_HYBI17 = 13
VERSION_HYBI_LATEST = VERSION_HYBI13

DEFAULT_WEB_SOCKET_PORT = 80
DEFAULT_WEB_SOCKET_SECURE_PORT = 443
WEB_SOCKET_SCHEME = "ws"
WEB_SOCKET_SECURE_SCHEME = "wss"

OPCODE_CONTINUATION = 0x0
OPCODE_TEXT = 0x1
OPCODE_BINARY = 0x2
OPCODE_CLOSE = 0x8
OPCODE_PING = 0x9
OPCODE_PONG = 0xA

WEBSOCKET_ACCEPT_UUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

UPGRADE_HEADER = "Upgrade"
WEBSOCKET_UPGRADE_TYPE = "websocket"
CONNECTION_HEADER = "Connection"
UPGRADE_CONNECTION_TYPE = "Upgrade"
HOST_HEADER = "Host"
ORIGIN_HEADER = "Origin"
SEC_WEBSOCKET_KEY_HEADER = "Sec-WebSocket-Key"
SEC_WEBSOCKET_ACCEPT_HEADER = "Sec-WebSocket-Accept"
SEC_WEBSOCKET_VERSION_HEADER = "Sec-WebSocket-Version"
SEC_WEBSOCKET_PROTOCOL_HEADER = "Sec-WebSocket-Protocol"
SEC_WEBSOCKET_EXTENSIONS_HEADER = "Sec-WebSocket-Extensions"

PERMESSAGE_DEFLATE_EXTENSION = "permessage-deflate"

STATUS_NORMAL_CLOSURE = STATUS_NORMAL = 1000
STATUS_GOING_AWAY = 1001
STATUS_PROTOCOL_ERROR = 1002
STATUS_UNSUPPORTED_DATA = STATUS_UNSUPPORTED = 1003
STATUS_NO_STATUS_RECEIVED = STATUS_CODE_NOT_AVAILABLE = 1005
STATUS_ABNORMAL_CLOSURE = STATUS_ABNORMAL_CLOSE = 1006
STATUS_INVALID_FRAME_PAYLOAD_DATA = STATUS_INVALID_FRAME_PAYLOAD = 1007
STATUS_POLICY_VIOLATION = 1008
STATUS_MESSAGE_TOO_BIG = 1009
STATUS_MANDATORY_EXTENSION = STATUS_MANDATORY_EXT = 1010
STATUS_INTERNAL_ENDPOINT_ERROR = 1011
STATUS_TLS_HANDSHAKE = 1015
STATUS_USER_REGISTERED_BASE = 3000
STATUS_USER_REGISTERED_MAX = 3999
STATUS_USER_PRIVATE_BASE = 4000
STATUS_USER_PRIVATE_MAX = 4999

HTTP_STATUS_BAD_REQUEST = 400
HTTP_STATUS_FORBIDDEN = 403
HTTP_STATUS_NOT_FOUND = 404


def is_control_opcode(opcode: int) -> bool:
    """Whether frames of this opcode are control frames."""
    return opcode >> 3 == 1


class ExtensionParameter:
    """An extension with its parameters."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._parameters: list[tuple[str, str | None]] = []

    def name(self) -> str:
        """The extension's name."""
        return self._name

    def add_parameter(self, name: str, value: str | None) -> None:
        """Add a parameter. None is no value."""
        self._parameters.append((name, value))

    def get_parameters(self) -> list[tuple[str, str | None]]:
        """Returns the parameters' names and values, in order."""
        return self._parameters

    def get_parameter_names(self) -> list[str]:
        """Returns the parameters' names, in order."""
        return [name for name, _ in self._parameters]

    def has_parameter(self, name: str) -> bool:
        """Whether there is a parameter of this name."""
        return name in self.get_parameter_names()

    def get_parameter_value(self, name: str) -> str | None:
        """Returns the value of the first parameter of this name; None if it has no value or does not exist."""
        return next((value for key, value in self._parameters if key == name), None)


class ExtensionParsingException(Exception):
    """A list of extensions is invalid."""


def parse_extensions(data: str) -> list[ExtensionParameter]:
    """Parses the value of Sec-WebSocket-Extensions (RFC 6455 9.1). Raises ExtensionParsingException."""
    state = _header.ParsingState(data)
    extensions = []
    while True:
        _header.consume_lwses(state)
        name = _header.consume_token(state)
        if name is not None:
            extensions.append(_extension(state, name))
        _header.consume_lwses(state)
        if _header.peek(state) is None:
            break
        if not _header.consume_string(state, ","):
            raise ExtensionParsingException(f"expected a comma but found {_header.peek(state)!r}")
    if not extensions:
        raise ExtensionParsingException("the header has no extension")
    return extensions


def _extension(state: _header.ParsingState, name: str) -> ExtensionParameter:
    extension = ExtensionParameter(name)
    _header.consume_lwses(state)
    while _header.consume_string(state, ";"):
        _header.consume_lwses(state)
        parameter = _header.consume_token(state)
        if parameter is None:
            raise ExtensionParsingException(f"a parameter of {name!r} has no name")
        _header.consume_lwses(state)
        value = None
        if _header.consume_string(state, "="):
            _header.consume_lwses(state)
            value = _header.consume_token_or_quoted_string(state)
            if value is None:
                raise ExtensionParsingException(f"the parameter {parameter!r} of {name!r} has no value after its =")
            _header.consume_lwses(state)
        extension.add_parameter(parameter, value)
    return extension


def format_extension(extension: ExtensionParameter) -> str:
    """Returns an extension as it is written in a header field."""
    parts = [extension.name()]
    for name, value in extension.get_parameters():
        parts.append(name if value is None else f"{name}={_header.quote_if_necessary(value)}")
    return "; ".join(parts)


def format_extensions(extension_list: list[ExtensionParameter]) -> str:
    """Returns the value of Sec-WebSocket-Extensions for some extensions."""
    return ", ".join(map(format_extension, extension_list))
