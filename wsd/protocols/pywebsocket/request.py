"""The request object that is passed to handlers."""

from __future__ import annotations

from functools import cached_property
from http.client import HTTPMessage
from typing import Any

from wsd.connection import Request
from wsd.protocols.pywebsocket.api import common
from wsd.protocols.pywebsocket.api.extensions import ExtensionProcessorInterface, get_extension_processor


class HandlerRequest:
    """
    The request of an opening handshake, and the stream once the connection is open.

    A handler may set `ws_protocol`, `extra_headers`, `ws_extension_processors`, `on_ping_handler` and
    `on_pong_handler`.
    """

    def __init__(self, request: Request, uri: str, connection: Any) -> None:
        """`connection` has `write`, `read`, `remote_addr` and `local_addr`."""
        self._request = request
        self.connection = connection
        self.uri = self.unparsed_uri = self.ws_resource = uri
        self.method = request.head.method
        self.protocol = "HTTP/1.1"
        self.remote_user = request.user
        self.ws_origin = request.head.headers.byName.get("origin")
        self.ws_version = common.VERSION_HYBI_LATEST
        self.ws_protocol: str | None = None
        self.ws_requested_protocols: list[str] | None = list(request.subprotocols) or None
        self.ws_extensions: list[common.ExtensionParameter] | None = None
        self.ws_close_code: int | None = None
        self.ws_close_reason: str | None = None
        self.extra_headers: list[tuple[str, str]] = []
        self.client_terminated = False
        self.server_terminated = False
        self.on_ping_handler: Any = None
        self.on_pong_handler: Any = None
        self.ws_stream: Any = None
        self._dispatcher: Any = None

    @cached_property
    def headers_in(self) -> HTTPMessage:
        """The header fields. The case of their names does not matter."""
        headers = HTTPMessage()
        for name, value in self._request.head.headers:
            headers[name] = value
        return headers

    @cached_property
    def ws_requested_extensions(self) -> list[common.ExtensionParameter] | None:
        """The extensions that the client offered; None if it offered none."""
        requested = []
        for name, parameters in self._request.extensions:
            extension = common.ExtensionParameter(name)
            for parameter in parameters:
                extension.add_parameter(*parameter)
            requested.append(extension)
        return requested or None

    @cached_property
    def ws_extension_processors(self) -> list[ExtensionProcessorInterface]:
        """A processor for each offered extension that is known. A handler sets [] to refuse all."""
        processors = map(get_extension_processor, self.ws_requested_extensions or ())
        return [processor for processor in processors if processor is not None]

    def is_https(self) -> bool:
        """Whether the request came over TLS."""
        return self._request.peer.secure

    def get_uri(self) -> str:
        """The URI of the request."""
        return self.uri

    get_unparsed_uri = get_uri

    def get_method(self) -> str:
        """The method, which is GET."""
        return self.method

    def get_protocol(self) -> str:
        """The version of HTTP."""
        return self.protocol
