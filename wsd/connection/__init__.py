"""
What every protocol is made of: RFC 6455 and RFC 7692 by Autobahn, under the house's policies.

This package is the one place that extends Autobahn. A `Connection` is built in floors: `engine` makes Autobahn's server
fit to live here, `contract` is what a protocol's author meets, `flow` is backpressure and time, `opening` the opening
handshake, `connection` the whole. `factory` builds connections for a route, `request` is what opens one.
"""

from wsd.connection.connection import Connection
from wsd.connection.contract import Closed
from wsd.connection.deflate import Prepared
from wsd.connection.factory import CannotStart, Factory, NoOptions
from wsd.connection.request import Accept, Request, newId
from wsd.frames.codes import CloseCode, Opcode, maySend
from wsd.head import Refused

__all__ = [
    "Accept",
    "CannotStart",
    "CloseCode",
    "Closed",
    "Connection",
    "Factory",
    "NoOptions",
    "Opcode",
    "Prepared",
    "Refused",
    "Request",
    "maySend",
    "newId",
]
