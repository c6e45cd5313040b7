"""Interfaces between HTTP and protocols: the body of a request, a resource that wants one, and places for uploads."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.web.resource import IResource
from zope.interface import Interface


class IBody(Interface):
    """
    Receives the body of a request, as it arrives (RFC 9112 6).

    Any of its methods may raise `Refused`, which is answered at once; the rest of the body is not read then.
    """

    def received(data: bytes) -> None:
        """Called with the next bytes of the body."""

    def ended() -> None:
        """Called when the body is complete; the resource is rendered next."""

    def lost() -> None:
        """Called when the connection ended before the body was complete."""


class IStreamed(IResource):
    """A resource that wants bodies. For any other, no body is read: the answer is sent, and the connection ends."""

    def bodyOf(request: Any) -> IBody | None:
        """Called at the end of the head. Returns what receives the body, None to leave it. May raise `Refused`."""


class Slots(Protocol):
    """What a route offers other routes: places for files, each uploaded and fetched over HTTP at one URL."""

    @property
    def maxFile(self) -> int:
        """The largest file, in bytes."""

    async def newSlot(self, owner: str, name: str, size: int, mediaType: str | None, source: str | None = None) -> str:
        """
        Returns the path at which this file of the owner can be stored (PUT) and then fetched (GET). Raises `Refused`.

        `source` is the client's address, if addresses are told apart.
        """
