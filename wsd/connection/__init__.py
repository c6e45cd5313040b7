"""
What every protocol is made of: RFC 6455 and RFC 7692 by Autobahn, under the policies of a route.

This package is the one place that extends Autobahn. A `Connection` is built in floors:

- `engine` adapts Autobahn's server protocol,
- `api` has the hooks and methods that the author of a protocol meets,
- `backpressure` stops and resumes reading and writing, and has the time-outs,
- `opening` is the opening handshake,
- `connection` is the whole.

`factory` builds the connections of a route, and `request` is what opens one.
"""

from wsd.connection.api import Closed
from wsd.connection.connection import Connection
from wsd.connection.deprecated import renamed
from wsd.connection.factory import CannotStart, Factory, NoOptions
from wsd.connection.request import Accept, Request, newId
from wsd.frames.codes import CloseCode, Opcode, maySend
from wsd.frames.prepared import Prepared
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

__getattr__ = renamed(
    __name__, {"Contract": "wsd.connection.api.ConnectionApi", "Flow": "wsd.connection.backpressure.Backpressure"}
)
