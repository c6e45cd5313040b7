"""
The base classes of every protocol: RFC 6455 and RFC 7692 by Autobahn, under the policies of a route.

Only this package and `wsd.client` extend Autobahn. A `Connection` is built in layers, each the base class of the next:

- `engine` adapts Autobahn's server protocol,
- `api` has the hooks and methods for the author of a protocol,
- `accounting` counts the memory that is held for it,
- `backpressure` stops and resumes reading and writing, and has the time-outs,
- `opening` does the opening handshake,
- `moving` lets another process continue an open connection,
- `connection` calls the hooks for received messages, and for the end.

`factory` builds the connections of a route, and `interfaces` says what they need of it and of their transport. If
clients may send only so much per second, `metering` is one more layer, above the protocol's own class.

`request` has the opening handshake's request and its acceptance, and `placement` says which of several workers may
serve a route. `classes` makes a factory of what an author wrote, and `stock` runs what was written for Autobahn's own
server.
"""

from wsd.auth.outcome import TokenError
from wsd.connection.api import Closed
from wsd.connection.classes import factoryOf
from wsd.connection.connection import Connection
from wsd.connection.deprecated import renamed
from wsd.connection.factory import CannotStart, Factory, NoOptions
from wsd.connection.placement import Placement
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
    "Placement",
    "Prepared",
    "Refused",
    "Request",
    "TokenError",
    "factoryOf",
    "maySend",
    "newId",
]

__getattr__ = renamed(
    __name__, {"Contract": "wsd.connection.api.ConnectionApi", "Flow": "wsd.connection.backpressure.Backpressure"}
)
