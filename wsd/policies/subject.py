"""Which TLS clients may open a route: checks the subject of the client certificate."""

from __future__ import annotations

from functools import lru_cache

from wsd.config.subjects import ANY, attributesOf
from wsd.head import Refused, shown
from wsd.policies.address import TlsInfo


def checkClient(tls: TlsInfo | None, clients: tuple[str, ...]) -> None:
    """
    Check that a client may open a route with these rules. Without rules every client may. Raises `Refused` (403).

    A rule matches a subject that has all attributes of the rule, in any order. "*" matches any certificate.
    """
    if not clients:
        return
    if tls is None or tls.client is None:
        raise Refused(403, "this route needs a client certificate; connect over TLS and send one")
    if not _fits(tls.client, clients):
        raise Refused(
            403,
            f"the client {shown(tls.client)} may not connect to this route; add it to its `clients` to allow it",
        )


@lru_cache(1024)
def _fits(subject: str, clients: tuple[str, ...]) -> bool:
    if ANY in clients:
        return True
    try:
        attributes = attributesOf(subject)
    except ValueError:
        return False
    return any(attributesOf(rule) <= attributes for rule in clients)
