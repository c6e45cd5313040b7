"""What happens to a request that needs the store when the store fails: it is logged, and refused."""

from __future__ import annotations

from typing import Any

from wsd.protocols.xmpp.errors import StanzaError
from wsd.protocols.xmpp.store import StoreError, refusal


def refuseForStore(fault: StoreError, log: Any) -> StanzaError:
    """The error that answers the request. The fault is logged with the connection whose log this is."""
    log.warn("the store of xmpp refuses a request: {sentence}", event="xmpp.store", sentence=str(fault))
    return refusal(fault)
