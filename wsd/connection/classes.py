"""
What a class must be to answer at a route, and the factory of the route that is made of it.

An author writes a `Factory`, or a `Connection` alone; a protocol or a factory of Autobahn's works as it is. Mistakes
that would show only when a client connects, such as a hook without its parameters, are found here.
"""

from __future__ import annotations

from dataclasses import is_dataclass
from inspect import signature
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol

from wsd.config import ConfigError
from wsd.connection.connection import Connection
from wsd.connection.factory import Factory
from wsd.connection.stock import StockFactory

_HOOKS = ("opening", "opened", "answer", "received", "began", "arrived", "ended", "full", "drained", "closed")
_FACTORY_HOOKS = ("__init__", "started", "retired", "stopped", "resource", "wellKnown", "ready")
_STOCK_HOOKS = ("onConnect", "onOpen", "onMessage", "onPong", "onClose")
_STOCK_PIECEWISE = ("onMessageBegin", "onMessageFrameBegin", "onMessageFrameData", "onMessageFrameEnd", "onMessageEnd")
"""Hooks of Autobahn's streaming API, which a route does not call."""


def factoryOf(found: Any, name: str) -> type[Factory]:
    """Returns a factory for what an author wrote; `name` is that of the protocol. Raises ConfigError for mistakes."""
    if isinstance(found, WebSocketServerFactory):
        return _stockFactory(found, found.protocol)
    if isinstance(found, type):
        if issubclass(found, Factory):
            return _checkedFactory(found)
        if issubclass(found, Connection):
            _checkHooks(found, Connection, _HOOKS)
            return type(f"{found.__name__}Factory", (Factory,), {"connection": found, "__module__": found.__module__})
        if issubclass(found, WebSocketServerFactory):
            return _stockFactory(found, getattr(found, "protocol", None))
        if issubclass(found, WebSocketServerProtocol):
            return _stockFactory(found, found)
    raise ConfigError(
        f"{name} is not a protocol; name a subclass of wsd.connection.Factory or wsd.connection.Connection, "
        "or of Autobahn's WebSocketServerProtocol or WebSocketServerFactory"
    )


def _checkedFactory(found: type[Factory]) -> type[Factory]:
    connection: Any = found.connection
    if not (isinstance(connection, type) and issubclass(connection, Connection)):
        raise ConfigError(f"{found.__name__}.connection is not a subclass of wsd.connection.Connection")
    if not (isinstance(found.Options, type) and is_dataclass(found.Options)):
        raise ConfigError(f"{found.__name__}.Options is not a dataclass; write @dataclass(frozen=True) above it")
    _checkHooks(found, Factory, _FACTORY_HOOKS)
    _checkHooks(connection, Connection, _HOOKS)
    return found


def _stockFactory(author: Any, protocol: Any) -> type[Factory]:
    name = author.__name__ if isinstance(author, type) else type(author).__name__
    if not (isinstance(protocol, type) and issubclass(protocol, WebSocketServerProtocol)):
        raise ConfigError(f"{name}.protocol is not a subclass of Autobahn's WebSocketServerProtocol")
    try:
        signature(protocol).bind()
    except TypeError as error:
        raise ConfigError(f"{protocol.__name__}() cannot be called without arguments ({error})") from None
    _checkHooks(protocol, WebSocketServerProtocol, _STOCK_HOOKS)
    for hook in _STOCK_PIECEWISE:
        if getattr(protocol, hook) is not getattr(WebSocketServerProtocol, hook):
            raise ConfigError(
                f"{protocol.__name__}.{hook} would never be called; for messages in pieces, write a "
                "wsd.connection.Connection with began, arrived and ended"
            )
    return type(name, (StockFactory,), {"author": author, "__module__": protocol.__module__})


def _checkHooks(found: type, base: type, hooks: tuple[str, ...]) -> None:
    """Raises ConfigError if a hook cannot be called as that of the base class is."""
    for hook in hooks:
        own, inherited = getattr(found, hook), getattr(base, hook)
        if own is inherited:
            continue
        named = f"{found.__name__}.{hook}"
        if not callable(own):
            raise ConfigError(f"{named} is not a method, but a hook of wsd; give it another name")
        parameters = [
            name for name, each in signature(inherited).parameters.items() if each.kind is not each.VAR_KEYWORD
        ]
        wanted = ", ".join(parameters) if hook != "__init__" else "self, *arguments, **named"
        try:
            signature(own).bind(*parameters)
        except TypeError as error:
            raise ConfigError(f"{named} cannot be called ({error}); write def {hook}({wanted})") from None
