"""Interfaces between HTTP and protocols: the body of a request, a resource that wants one, and places for uploads."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.web.resource import IResource
from zope.interface import Interface


class IBody(Interface):
    """
    Receives the body of a request while it arrives (RFC 9112 6).

    Each method may raise `Refused`. That is the answer at once, and the rest of the body is not read.

    A body that keeps what it receives says by an attribute `kept` how many bytes of memory that takes.
    """

    def received(data: bytes) -> None:
        """Called with the next bytes of the body."""

    def ended() -> None:
        """Called when the body is complete; the resource is rendered next."""

    def lost() -> None:
        """Called when the connection is lost before the body is complete."""


class IStreamed(IResource):
    """A resource that reads bodies. Any other one answers without reading the body, which ends the connection."""

    def bodyOf(request: Any) -> IBody | None:
        """Called after the head. Returns a receiver of the body, or None to leave it unread. May raise `Refused`."""


class Slots(Protocol):
    """A service for other routes: slots for files, each uploaded and fetched over HTTP at one URL."""

    @property
    def maxFile(self) -> int:
        """The largest file, in bytes."""

    async def newSlot(self, owner: str, name: str, size: int, mediaType: str | None, source: str | None = None) -> str:
        """
        Make a slot for this file of the owner. Returns the path for its PUT and for later GETs. Raises `Refused`.

        `source` is the client's address, if limits by address apply to it.
        """
