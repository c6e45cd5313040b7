"""A transport for the client library zeep: all calls go over one WebSocket, from any number of threads at a time."""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import ExitStack
from threading import Thread
from types import SimpleNamespace
from typing import Any

from lxml import etree
from websockets.sync.client import connect
from websockets.typing import Subprotocol
from zeep.plugins import Plugin
from zeep.transports import Transport
from zeep.wsa import WsAddressingPlugin

_NAME = "string(//*[local-name()='{}' and namespace-uri()='http://www.w3.org/2005/08/addressing'])"


class WebSocketTransport(Transport, Plugin):
    """
    Pass it twice: `Client(wsdl, transport=soap, plugins=[soap])`, with the WSDL at `?wsdl&transport=http`.

    `url` is the URL of the WebSocket. `pushed` is called with the envelope of each message that is not an answer, in
    the transport's own thread. `timeout` is in seconds. Call `close` at the end.
    """

    def __init__(self, url: str, pushed: Any = None, timeout: float = 30, soap11: bool = False) -> None:
        super().__init__()
        self._timeout, self._pushed = timeout, pushed
        self._waiting: dict[str, Future[bytes]] = {}
        headers = {"soap-content-type": "text/xml" if soap11 else "application/soap+xml"}
        self._opened = ExitStack()
        self._socket = self._opened.enter_context(
            connect(url, subprotocols=[Subprotocol("soap")], additional_headers=headers, max_size=None)
        )
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def egress(self, envelope: Any, http_headers: Any, operation: Any, binding_options: Any) -> Any:
        """Called by zeep before it sends: notes whether the operation is one-way, and adds a missing MessageID."""
        http_headers["isOneWay"] = operation.abstract.output_message is None
        if envelope.xpath(_NAME.format("MessageID")):
            return envelope, http_headers
        return WsAddressingPlugin().egress(envelope, http_headers, operation, binding_options)

    def post_xml(self, address: str, envelope: Any, headers: Any) -> Any:
        """Sends an envelope, and returns its answer. Raises TimeoutError, or ConnectionError for a lost WebSocket."""
        messageId = envelope.xpath(_NAME.format("MessageID"))
        answer: Future[bytes] = Future()
        if headers["isOneWay"]:
            answer.set_result(b"")
        else:
            self._waiting[messageId] = answer
        try:
            self._socket.send(etree.tostring(envelope, encoding="utf-8").decode())
            content = answer.result(self._timeout)
        finally:
            self._waiting.pop(messageId, None)
        return SimpleNamespace(
            status_code=200 if content else 202, content=content, headers={"Content-Type": "text/xml"}, encoding="utf-8"
        )

    def _read(self) -> None:
        for message in self._socket:
            content = message.encode() if isinstance(message, str) else message
            root = etree.fromstring(content)
            answer = self._waiting.pop(root.xpath(_NAME.format("RelatesTo")), None)
            if answer is not None:
                answer.set_result(content)
            elif self._pushed is not None:
                self._pushed(root)
        for lost in list(self._waiting.values()):
            lost.set_exception(ConnectionError("the WebSocket was closed"))

    def close(self) -> None:
        """Closes the WebSocket."""
        self._opened.close()
        self._reader.join(self._timeout)
