"""The checks of an opening handshake, before the protocol of its route decides (RFC 6455 4.2)."""

from __future__ import annotations

from typing import NamedTuple

from wsd.auth.bearer import withoutTokens
from wsd.connection.request import Request
from wsd.head import Head, Refused
from wsd.policies.address import Peer, TlsInfo
from wsd.policies.admission import Places
from wsd.policies.negotiation import offeredExtensions, offeredSubprotocols
from wsd.policies.origin import checkOrigin
from wsd.policies.subject import checkClient
from wsd.policies.upgrade import checkUpgrade
from wsd.web.known import KeyedHeaders, RepeatedOpening
from wsd.web.route import SiteRoute
from wsd.web.site import Site


class RoutedRequest(NamedTuple):
    """The request of a valid opening handshake, and its route."""

    request: Request
    route: SiteRoute


def checkHandshake(site: Site, places: Places, head: Head, peer: Peer, tls: TlsInfo | None) -> RoutedRequest:
    """
    Check an opening handshake, and count it under the address of its peer.

    Raises `Refused`: 404 without a route, 400, 403, 405 or 426 for a request that is not allowed, 429 or 503 over a
    limit, and 503 while the daemon stops.
    """
    route = site.routeFor(head.path)
    if route is None:
        raise Refused(404, f"there is no WebSocket at {head.path[:80]}")
    key = checkUpgrade(head)
    checkClient(tls, route.route.clients)
    checkOrigin(head.headers.byName.get("origin"), route.origins, head.host, site.hosts)
    _count(site, places, peer)
    offered, extensions = offeredSubprotocols(head.headers), offeredExtensions(head.headers)
    if route.authenticator is not None and route.authenticator.takesTokens:
        offered = withoutTokens(offered)
    return RoutedRequest(Request(head, peer, tls, offered, extensions, key), route)


def checkRepeated(site: Site, places: Places, found: RepeatedOpening, peer: Peer, tls: TlsInfo | None) -> RoutedRequest:
    """Check what does not depend on the head alone, and count the handshake. Raises `Refused` as `checkHandshake`."""
    known, key = found
    head, route = known.head, known.route
    checkClient(tls, route.route.clients)
    _count(site, places, peer)
    head = head.withHeaders(KeyedHeaders(head.headers, key))
    return RoutedRequest(Request(head, peer, tls, known.subprotocols, known.extensions, key), route)


def _count(site: Site, places: Places, peer: Peer) -> None:
    """Count a handshake under the address of its peer. Raises `Refused` (429, 503)."""
    site.checkServing()
    if not peer.direct:
        site.admission.handshake(peer.address)
        places.take(peer.address)
