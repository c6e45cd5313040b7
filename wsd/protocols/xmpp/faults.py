"""What happens to a request that needs the store when the store fails: it is logged, and refused."""

from __future__ import annotations

from twisted.logger import Logger

from wsd.logs import ConnectionLog
from wsd.protocols.xmpp.errors import StanzaError
from wsd.protocols.xmpp.store import StoreError, refusal


def refuseForStore(fault: StoreError, log: ConnectionLog | Logger) -> StanzaError:
    """The error that answers the request. The fault is logged with the connection whose log this is."""
    log.warn("the store of xmpp refuses a request: {sentence}", event="xmpp.store", sentence=str(fault))
    return refusal(fault)
