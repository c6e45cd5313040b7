"""What a class must be to answer at a route: a factory, a connection, or Autobahn's; mistakes are told at once."""

from __future__ import annotations

from typing import Any

import pytest
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol

from tests.wire import Daemon
from wsd.config import ConfigError
from wsd.connection import Connection, Factory, factoryOf


class Loud(Connection):
    def received(self, payload: bytes, isBinary: bool) -> None:
        self.send(payload.decode().upper())


class LoudFactory(Factory):
    connection = Loud


class StockEcho(WebSocketServerProtocol):
    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.sendMessage(payload, isBinary)


def told(found: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        factoryOf(found, "x.py:X")
    return str(caught.value)


class TestAFactory:
    def test_it_is_itself(self) -> None:
        assert factoryOf(LoudFactory, "") is LoudFactory

    def test_a_hook_may_take_more(self) -> None:
        class More(LoudFactory):
            def __init__(self, *arguments: Any, **named: Any) -> None:
                super().__init__(*arguments, **named)

            def ready(self, more: int = 1) -> None:
                return None

        assert factoryOf(More, "") is More

    def test_a_wrong_constructor_is_told(self) -> None:
        class Wrong(LoudFactory):
            def __init__(self) -> None:
                pass

        assert told(Wrong) == (
            "Wrong.__init__ cannot be called (too many positional arguments); "
            "write def __init__(self, *arguments, **named)"
        )

    def test_options_that_are_no_dataclass_are_told(self) -> None:
        class Wrong(LoudFactory):
            Options = dict

        assert told(Wrong) == "Wrong.Options is not a dataclass; write @dataclass(frozen=True) above it"

    def test_a_connection_of_another_kind_is_told(self) -> None:
        wrong = type("Wrong", (Factory,), {"connection": StockEcho})
        assert told(wrong) == "Wrong.connection is not a subclass of wsd.connection.Connection"


class TestAConnection:
    def test_it_gets_a_factory(self) -> None:
        factory = factoryOf(Loud, "")
        assert (factory.__name__, factory.connection) == ("LoudFactory", Loud)
        client = Daemon({"/": factory}).open()
        client.say("hello")
        assert client.messages() == ["HELLO"]

    def test_a_hook_without_its_parameters_is_told(self) -> None:
        wrong = type("Wrong", (Connection,), {"received": lambda self, payload: None})
        assert told(wrong) == (
            "Wrong.received cannot be called (too many positional arguments); "
            "write def received(self, payload, isBinary)"
        )

    def test_a_hook_with_another_parameter_is_told(self) -> None:
        wrong = type("Wrong", (Connection,), {"opened": lambda self, request: None})
        assert told(wrong) == (
            "Wrong.opened cannot be called (missing a required argument: 'request'); write def opened(self)"
        )

    def test_a_hook_that_is_no_method_is_told(self) -> None:
        wrong = type("Wrong", (Connection,), {"closed": False})
        assert told(wrong) == "Wrong.closed is not a method, but a hook of wsd; give it another name"

    def test_those_of_a_factorys_connection_are_looked_at_too(self) -> None:
        wrong = type("Wrong", (Connection,), {"closed": lambda self: None})
        assert told(type("F", (Factory,), {"connection": wrong})).startswith("Wrong.closed cannot be called")


class TestAutobahns:
    def test_a_hook_without_its_parameters_is_told(self) -> None:
        wrong = type("Wrong", (StockEcho,), {"onClose": lambda self: None})
        assert told(wrong) == (
            "Wrong.onClose cannot be called (too many positional arguments); "
            "write def onClose(self, wasClean, code, reason)"
        )

    def test_a_hook_that_is_never_called_is_told(self) -> None:
        wrong = type("Wrong", (StockEcho,), {"onMessageFrameData": lambda self, payload: None})
        assert told(wrong) == (
            "Wrong.onMessageFrameData would never be called; for messages in pieces, write a "
            "wsd.connection.Connection with began, arrived and ended"
        )

    def test_a_protocol_that_needs_arguments_is_told(self) -> None:
        def init(self: Any, name: str) -> None: ...

        wrong = type("Wrong", (StockEcho,), {"__init__": init})
        assert told(wrong) == "Wrong() cannot be called without arguments (missing a required argument: 'name')"

    def test_a_factory_without_a_protocol_is_told(self) -> None:
        expected = "WebSocketServerFactory.protocol is not a subclass of Autobahn's WebSocketServerProtocol"
        factory: Any = WebSocketServerFactory(reactor=Daemon().reactor)
        factory.protocol = None
        assert told(WebSocketServerFactory) == told(factory) == expected


@pytest.mark.parametrize("found", [1, None, "X", dict, len, pytest])
def test_anything_else_is_told(found: Any) -> None:
    assert told(found) == (
        "x.py:X is not a protocol; name a subclass of wsd.connection.Factory or wsd.connection.Connection, "
        "or of Autobahn's WebSocketServerProtocol or WebSocketServerFactory"
    )
