"""Conversations with a route of SOAP in memory: envelopes as text, answers as elements."""

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
    """Notes what a message costs."""

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
    """Seconds of the processor for all messages."""


def daemonOf(**keys: Any) -> Daemon:
    """A daemon with SOAP at /soap; the keys are the route's."""
    return Daemon({"/soap": TimedSoap}, options=SoapOptions(**keys))


def envelope(body: str, header: str = "", space: str = S12) -> str:
    """An envelope; the prefixes s and a are its own and addressing's."""
    head = f"<s:Header>{header}</s:Header>" if header else ""
    return f'<s:Envelope xmlns:s="{space}" xmlns:a="{WSA}">{head}<s:Body>{body}</s:Body></s:Envelope>'


def addressed(body: str, name: str, action: str = "", more: str = "") -> str:
    """The same with a MessageID."""
    action = action or f"{DEMO}:Demonstration:{etree.fromstring(body).tag.rpartition('}')[2]}Request"
    return envelope(body, f"<a:Action>{action}</a:Action><a:MessageID>{name}</a:MessageID>{more}")


def add(a: object, b: object) -> str:
    return f'<Add xmlns="{DEMO}"><a>{a}</a><b>{b}</b></Add>'


class Talker:
    """A client of soap."""

    def __init__(self, daemon: Daemon, path: str = "/soap", contentType: str | None = None, **named: Any) -> None:
        headers = {} if contentType is None else {"soap-content-type": contentType}
        self.client: Client = daemon.open(path, subprotocols=["soap"], headers=headers, **named)

    def say(self, message: str | bytes) -> list[Any]:
        """Send: the roots of what came."""
        return self.read(self.client.messages(self.client.say(message)))

    def heard(self) -> list[Any]:
        """The roots of what has come meanwhile."""
        return self.read(self.client.messages(self.client.exchange()))

    @staticmethod
    def read(messages: list[str | bytes]) -> list[Any]:
        return [etree.fromstring(each.encode() if isinstance(each, str) else each) for each in messages]

    def ask(self, message: str | bytes) -> Any:
        """Send: the root of the one answer."""
        (answer,) = self.say(message)
        return answer


def text(root: Any, path: str) -> str:
    """The text at a path, or that of an attribute."""
    return str(root.xpath(f"string({path})", namespaces=NAMES))


def fault(root: Any) -> tuple[str, str]:
    """The code and the reason of a fault, of either version."""
    code = text(root, "//s:Fault/s:Code/s:Value") or text(root, "//o:Fault/faultcode")
    return code, text(root, "//s:Fault/s:Reason/s:Text") or text(root, "//o:Fault/faultstring")
