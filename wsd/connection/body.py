"""Bodies of HTTP requests: how a resource asks for them, and is given them as they arrive (RFC 9112 6)."""

from __future__ import annotations

from typing import Any

from twisted.web.resource import IResource
from zope.interface import Interface


class IBody(Interface):
    """
    What a resource gives the body of a request to.

    Any of its methods may raise `Refused`, which is answered at once; the rest of the body is not read then.
    """

    def received(data: bytes) -> None:
        """Some bytes of the body, as they arrive."""

    def ended() -> None:
        """The body is whole; the resource is rendered next."""

    def lost() -> None:
        """The connection ended before the body was whole."""


class IStreamed(IResource):
    """A resource that asks for bodies. From any other nothing is read: the answer goes out, and the connection ends."""

    def bodyOf(request: Any) -> IBody | None:
        """At the end of the head: where the body goes, or None when it is not wanted. May raise `Refused`."""
