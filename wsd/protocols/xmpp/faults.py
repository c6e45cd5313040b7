"""While the store fails, requests that need it are logged and refused."""

from __future__ import annotations

from twisted.logger import Logger

from wsd.logs import ConnectionLog
from wsd.protocols.xmpp.errors import StanzaError
from wsd.protocols.xmpp.store import StoreError, refusal


def refuseForStore(fault: StoreError, log: ConnectionLog | Logger) -> StanzaError:
    """Log the fault to the log of the connection. Returns the error that answers the request."""
    log.warn("the store of xmpp refuses a request: {sentence}", event="xmpp.store", sentence=str(fault))
    return refusal(fault)
