"""Functions to receive and send messages, and threads that do so for a handler."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any

from wsd.protocols.pywebsocket.api._stream_exceptions import (
    BadOperationException,
    ConnectionTerminatedException,
    InvalidFrameException,
    InvalidUTF8Exception,
    UnsupportedFrameException,
)

__all__ = [
    "BadOperationException",
    "ConnectionTerminatedException",
    "InvalidFrameException",
    "InvalidUTF8Exception",
    "MessageReceiver",
    "MessageSender",
    "UnsupportedFrameException",
    "close_connection",
    "receive_message",
    "send_message",
    "send_ping",
]


def close_connection(request: Any) -> Any:
    """Close with 1000, and wait for the peer's close."""
    return request.ws_stream.close_connection()


def send_message(request: Any, payload_data: Any, end: bool = True, binary: bool = False) -> Any:
    """Send a message, or with `end=False` a fragment of one."""
    return request.ws_stream.send_message(payload_data, end, binary)


def receive_message(request: Any) -> Any:
    """Receive a message. Returns None if the peer has closed."""
    return request.ws_stream.receive_message()


def send_ping(request: Any, body: Any) -> Any:
    """Send a ping."""
    return request.ws_stream.send_ping(body)


class MessageReceiver(Thread):
    """Receives on a thread of its own. Messages go to `onmessage`, or else to `receive` and `receive_nowait`."""

    def __init__(self, request: Any, onmessage: Callable[[Any], Any] | None = None) -> None:
        super().__init__(daemon=True)
        self._request = request
        self._messages: SimpleQueue[Any] = SimpleQueue()
        self._onmessage = onmessage or self._messages.put
        self._stopped = False
        self.start()

    def run(self) -> None:
        """Receive until `stop` is called or the peer closes, then close. A lost connection counts as a close."""
        try:
            message: Any = ""
            while message is not None and not self._stopped:
                message = receive_message(self._request)
                self._onmessage(message)
            close_connection(self._request)
        except (BadOperationException, ConnectionTerminatedException):
            self._onmessage(None)

    def receive(self) -> Any:
        """Wait for the next message. Returns None if there are no more."""
        return self._messages.get()

    def receive_nowait(self) -> Any:
        """Returns a message that has arrived, else None."""
        try:
            return self._messages.get_nowait()
        except Empty:
            return None

    def stop(self) -> None:
        """End after the next message."""
        self._stopped = True


class MessageSender(Thread):
    """Sends on a thread of its own."""

    def __init__(self, request: Any) -> None:
        super().__init__(daemon=True)
        self._request = request
        self._messages: SimpleQueue[tuple[Any, Event]] = SimpleQueue()
        self.start()

    def run(self) -> None:
        """Send messages. Once one cannot be sent, drop all others."""
        gone = False
        while True:
            message, sent = self._messages.get()
            try:
                if not gone:
                    send_message(self._request, message)
            except (BadOperationException, ConnectionTerminatedException):
                gone = True
            sent.set()

    def send(self, message: Any) -> None:
        """Send a message, and wait until it is sent."""
        sent = Event()
        self._messages.put((message, sent))
        sent.wait()

    def send_nowait(self, message: Any) -> None:
        """Queue a message to be sent."""
        self._messages.put((message, Event()))
