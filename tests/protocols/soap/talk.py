"""A client of a route of SOAP in memory: it sends envelopes as text, and returns answers as elements."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from lxml import etree
from twisted.internet.defer import Deferred

from tests.wire import Client, Daemon
from wsd.protocols.soap.options import SoapOptions
from wsd.protocols.soap.protocol import SoapConnection, SoapFactory

DEMO = "urn:wsd:demonstration"
S12 = "http://www.w3.org/2003/05/soap-envelope"
S11 = "http://schemas.xmlsoap.org/soap/envelope/"
WSA = "http://www.w3.org/2005/08/addressing"
NAMES = {"s": S12, "o": S11, "a": WSA, "d": DEMO}


class Timed(SoapConnection):
    """Measures the time that messages take."""

    def arrived(self, data: bytes) -> None:
        self._timed(super().arrived, data)

    def ended(self) -> Deferred[None] | None:
        waits: Deferred[None] | None = self._timed(super().ended)
        return waits

    factory: TimedSoap

    def _timed(self, hook: Callable[..., Any], *arguments: Any) -> Any:
        began = time.thread_time()
        try:
            return hook(*arguments)
        finally:
            self.factory.cost += time.thread_time() - began


class TimedSoap(SoapFactory):
    connection = Timed
    cost = 0.0
    """CPU time of all messages in seconds."""


def daemonOf(**keys: Any) -> Daemon:
    """Returns a daemon with SOAP at /soap. `keys` are those of the route."""
    return Daemon({"/soap": TimedSoap}, options=SoapOptions(**keys))


def envelope(body: str, header: str = "", namespace: str = S12) -> str:
    """Returns an envelope. The prefix s stands for its namespace, and a for WS-Addressing."""
    head = f"<s:Header>{header}</s:Header>" if header else ""
    return f'<s:Envelope xmlns:s="{namespace}" xmlns:a="{WSA}">{head}<s:Body>{body}</s:Body></s:Envelope>'


def addressed(body: str, name: str, action: str = "", more: str = "") -> str:
    """Returns an envelope with an Action and a MessageID."""
    action = action or f"{DEMO}:Demonstration:{etree.fromstring(body).tag.rpartition('}')[2]}Request"
    return envelope(body, f"<a:Action>{action}</a:Action><a:MessageID>{name}</a:MessageID>{more}")


def add(a: object, b: object) -> str:
    return f'<Add xmlns="{DEMO}"><a>{a}</a><b>{b}</b></Add>'


class Talker:
    """A WebSocket client of SOAP."""

    def __init__(self, daemon: Daemon, path: str = "/soap", contentType: str | None = None, **named: Any) -> None:
        headers = {} if contentType is None else {"soap-content-type": contentType}
        self.client: Client = daemon.open(path, subprotocols=["soap"], headers=headers, **named)

    def say(self, message: str | bytes) -> list[Any]:
        """Sends a message. Returns the roots of the messages that came back."""
        return self.read(self.client.messages(self.client.say(message)))

    def heard(self) -> list[Any]:
        """Returns the roots of the messages that have come meanwhile."""
        return self.read(self.client.messages(self.client.exchange()))

    @staticmethod
    def read(messages: list[str | bytes]) -> list[Any]:
        return [etree.fromstring(each.encode() if isinstance(each, str) else each) for each in messages]

    def ask(self, message: str | bytes) -> Any:
        """Sends a message. Returns the root of its only answer."""
        (answer,) = self.say(message)
        return answer


def text(root: Any, path: str) -> str:
    """Returns the text of the element or attribute at a path."""
    return str(root.xpath(f"string({path})", namespaces=NAMES))


def fault(root: Any) -> tuple[str, str]:
    """Returns the code and the reason of a fault, in either version of SOAP."""
    code = text(root, "//s:Fault/s:Code/s:Value") or text(root, "//o:Fault/faultcode")
    return code, text(root, "//s:Fault/s:Reason/s:Text") or text(root, "//o:Fault/faultstring")
