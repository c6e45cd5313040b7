"""Finds and runs handlers without a connection of wsd's, as the tests of handlers do."""

from __future__ import annotations

from typing import Any

from wsd.protocols.pywebsocket.api import common, handshake, util
from wsd.protocols.pywebsocket.api._stream_exceptions import (
    BadOperationException,
    ConnectionTerminatedException,
    InvalidFrameException,
    InvalidUTF8Exception,
    UnsupportedFrameException,
)
from wsd.protocols.pywebsocket.handlers import HANDSHAKE, TRANSFER, Handler, Handlers, isUnder

_CODES = (
    (BadOperationException, common.STATUS_INTERNAL_ENDPOINT_ERROR),
    (InvalidFrameException, common.STATUS_PROTOCOL_ERROR),
    (UnsupportedFrameException, common.STATUS_UNSUPPORTED_DATA),
    (InvalidUTF8Exception, common.STATUS_INVALID_FRAME_PAYLOAD_DATA),
)


class DispatchException(Exception):
    """There is no such handler. `status` is for the answer to the handshake."""

    def __init__(self, name: object, status: int = common.HTTP_STATUS_NOT_FOUND) -> None:
        super().__init__(name)
        self.status = status


class Dispatcher:
    """The handlers of a folder."""

    def __init__(
        self,
        root_dir: str,
        scan_dir: str | None = None,
        allow_handlers_outside_root_dir: bool = True,
        handler_encoding: str | None = None,
    ) -> None:
        """Load the handlers. Raises DispatchException if `scan_dir` is not below `root_dir`."""
        if scan_dir is not None and not isUnder(scan_dir, root_dir):
            raise DispatchException(f"scan_dir {scan_dir} is not a part of root_dir {root_dir}")
        self._handlers = Handlers(root_dir, scan_dir, None, allow_handlers_outside_root_dir, handler_encoding)
        self._handlers.load()
        self._aliases: dict[str, str] = {}

    def add_resource_path_alias(self, alias_resource_path: str, existing_resource_path: str) -> None:
        """Add an alias for a path. Raises DispatchException if there is no handler at that path."""
        if self._handlers.find(existing_resource_path) is None:
            raise DispatchException(f"No handler for: {existing_resource_path!r}")
        self._aliases[alias_resource_path] = existing_resource_path

    def source_warnings(self) -> list[str]:
        """Returns what was wrong with the files when they were loaded."""
        return list(self._handlers.warnings)

    def get_handler_suite(self, resource: str) -> Handler | None:
        """Returns the handler of a resource without its query, or None. Raises DispatchException for a fragment."""
        path, _, fragment = resource.partition("#")
        path = path.partition("?")[0]
        handler = self._handlers.find(self._aliases.get(path, path))
        if handler is not None and fragment:
            raise DispatchException("a WebSocket's URL has no fragment", common.HTTP_STATUS_BAD_REQUEST)
        return handler

    def _find(self, request: Any) -> Handler:
        handler = self.get_handler_suite(request.ws_resource)
        if handler is None:
            raise DispatchException(f"No handler for: {request.ws_resource!r}")
        return handler

    def do_extra_handshake(self, request: Any) -> None:
        """
        Run the handshake of a request.

        Raises DispatchException and AbortedByUserException; any other exception becomes HandshakeException (403).
        """
        handler = self._find(request)
        try:
            handler.handshake(request)
        except handshake.AbortedByUserException:
            raise
        except Exception as error:
            util.prepend_message_to_exception(f"{HANDSHAKE} raised exception for {request.ws_resource}: ", error)
            raise handshake.HandshakeException(error, common.HTTP_STATUS_FORBIDDEN) from error

    def transfer_data(self, request: Any) -> None:
        """Run the handler of a request, then close. Raises DispatchException, and what the handler raises."""
        handler = self._find(request)
        try:
            handler.transfer(request)
            if not request.server_terminated:
                request.ws_stream.close_connection()
        except tuple(kind for kind, _ in _CODES) as error:
            request.ws_stream.close_connection(next(code for kind, code in _CODES if isinstance(error, kind)))
        except ConnectionTerminatedException:
            pass  # There is no connection left to close.
        except handshake.AbortedByUserException:
            raise
        except Exception as error:
            util.prepend_message_to_exception(f"{TRANSFER} raised exception for {request.ws_resource}: ", error)
            raise

    def passive_closing_handshake(self, request: Any) -> tuple[int | None, str]:
        """Returns the code and reason with which the peer's close is answered."""
        handler = self.get_handler_suite(request.ws_resource)
        if handler is None or handler.closing is None:
            return common.STATUS_NORMAL_CLOSURE, ""
        code, reason = handler.closing(request)
        return code, reason
