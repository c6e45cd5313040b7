"""
blob: files that are kept, over a WebSocket and over HTTP.

Without a subprotocol a binary message is a file (`bare`); with blob.wsd.v1 what was acknowledged survives a lost
connection and a killed server (`reliable`). Both are told a message's bytes as they arrive.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.web.resource import IResource

from wsd.config import stateFolder
from wsd.connection import Accept, CannotStart, Connection, Factory, Request
from wsd.policies.address import Peer, TlsInfo
from wsd.policies.admission import accountOf
from wsd.protocols.blob.bare import Bare
from wsd.protocols.blob.errors import BlobError
from wsd.protocols.blob.iopool import IoPool
from wsd.protocols.blob.options import BlobOptions
from wsd.protocols.blob.pages import Files
from wsd.protocols.blob.pipe import Syncing
from wsd.protocols.blob.reliable import Reliable
from wsd.protocols.blob.slots import BlobSlots
from wsd.protocols.blob.store import INDEX, Limits, Store
from wsd.protocols.blob.transfers import Transfers

RELIABLE = "blob.wsd.v1"

_MOST_TEXT = 16384
"""Bytes of a text message; there is none that needs more."""
_SWEEP = 60.0
"""Seconds between two looks for what has had its time."""


def userOf(user: str | None, tls: TlsInfo | None, peer: Peer) -> str:
    """Whose a file is: who logged in, else who the certificate names, else the address."""
    if user is not None:
        return f"user {user}"
    if tls is not None and tls.client:
        return f"certificate {tls.client}"
    return "local" if peer.direct else f"address {peer.address}"


class Speaker(Protocol):
    """What a connection speaks."""

    def text(self, message: str) -> Awaitable[None] | None:
        """A text message."""

    def began(self) -> Awaitable[None] | None:
        """A binary message begins."""

    def arrived(self, data: bytes) -> None:
        """Some bytes of it."""

    def ended(self) -> Awaitable[None] | None:
        """It is whole."""

    def gone(self) -> None:
        """The connection is lost, or closed."""

    @property
    def isBusy(self) -> bool:
        """Whether a file is being sent that would have to be sent again from the beginning."""


class BlobConnection(Connection):
    """One connection, and what it speaks."""

    factory: BlobFactory
    owner: str
    """Whose the files are that come on it."""
    source: str
    """The client's address, as far as addresses are told apart."""
    _speaker: Speaker
    _text: bytearray | None = None

    async def opening(self, request: Request) -> Accept:
        """Take whoever comes."""
        self.owner = userOf(self.user, request.tls, request.peer)
        self.source = accountOf(request.peer.address)
        return Accept(self.factory.choose(request.subprotocols))

    def opened(self) -> None:
        """Speak what was agreed on."""
        self._speaker = Reliable(self) if self.subprotocol == RELIABLE else Bare(self)

    def began(self, isBinary: bool) -> Awaitable[None] | None:
        """A message begins."""
        self._text = None if isBinary else bytearray()
        return self._speaker.began() if isBinary else None

    def arrived(self, data: bytes) -> None:
        """Some of it."""
        if self._text is None:
            self._speaker.arrived(data)
            return
        self._text += data
        if len(self._text) > _MOST_TEXT:
            self.refuse(BlobError("too_large", f"a text message has {_MOST_TEXT} bytes at the most; files are binary"))

    def ended(self) -> Awaitable[None] | None:
        """It is whole."""
        if self._text is None:
            return self._speaker.ended()
        text, self._text = self._text, None
        return self._speaker.text(text.decode()) if self.isOpen else None

    @property
    def isBusy(self) -> bool:
        """Whether a file is being received or sent."""
        return super().isBusy or self._speaker.isBusy

    def closed(self, code: int, reason: str) -> None:
        """Set down what was being done."""
        self._speaker.gone()

    def refuse(self, error: BlobError) -> None:
        """Say what was wrong, and end."""
        self.send(error.text)
        self.close(error.closeCode, error.sentence)

    def tell(self, name: str, content: object) -> None:
        """Send a message: an object with one key."""
        self.send(json.dumps({name: content}, ensure_ascii=False, separators=(",", ":")))


class BlobFactory(Factory):
    """A store at a route."""

    connection = BlobConnection
    subprotocols = (RELIABLE,)
    Options = BlobOptions
    log = Logger(namespace="wsd")

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        options: BlobOptions = self.options
        share = self.pool.share("blob", self.route.path, threads=options.threads)
        self.disk = IoPool(share, self.clock, options.buffer, self.route.path)
        syncing = Syncing(options.sync, options.sync_interval, options.sync_bytes)
        self.transfers = Transfers(self.disk, self._store, syncing, self.clock)
        self._hasStopped = False
        self._sweeping = LoopingCall(self._sweep)
        self._sweeping.clock = self.clock

    @property
    def maxMessage(self) -> int:
        """A message may be a file."""
        return int(self.options.max_file)

    @property
    def root(self) -> Path:
        """The store's folder."""
        return Path(self.options.store or Path(stateFolder(os.environ)) / "blob")

    def _store(self) -> Store:
        options: BlobOptions = self.options
        limits = Limits(
            options.quota,
            options.user_quota,
            options.max_file,
            options.expire,
            options.keep,
            options.max_unfinished,
        )
        return Store(self.root, limits, time.time)

    def started(self) -> Deferred[None]:
        """Begin to look for what has had its time; a store that is not there yet is made when it is needed."""
        return Deferred.fromCoroutine(self._begin())

    async def _begin(self) -> None:
        if (self.root / INDEX).exists():
            try:
                await self.transfers.run(lambda store: None)
            except BlobError as error:
                # A full disk may have room again later.
                if error.code != "disk_full":
                    raise CannotStart(error.sentence, str(self.root)) from error
        self._sweeping.start(_SWEEP)

    async def _sweep(self) -> None:
        if not await self.disk.run(os.path.exists, self.root / INDEX):
            return
        try:
            parts, blobs = await self.transfers.run(Store.expire)
        except BlobError:
            return  # The log has it.
        if parts or blobs:
            self.log.info(
                "{route}: {parts} unfinished and {blobs} finished files had their time",
                event="blob.expired",
                route=self.route.path,
                parts=parts,
                blobs=blobs,
            )

    def stopped(self) -> Deferred[None]:
        """Set everything down."""
        self._hasStopped = True
        if self._sweeping.running:
            self._sweeping.stop()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        try:
            await self.transfers.stop()
        finally:
            await self.disk.stop()

    def ready(self) -> str | None:
        """Why the store cannot be had."""
        return self.transfers.fault

    async def remove(self, id: str, owner: str) -> None:
        """Remove a file for who uploaded it. Raises BlobError."""
        if not self.options.delete:
            raise BlobError("forbidden", "files are not removed over the network; the route's key delete allows it")
        blob = await self.transfers.run(Store.blob, id)
        if blob.user != owner:
            raise BlobError("forbidden", "this file is another's; who uploaded it may remove it")
        await self.transfers.run(Store.remove, id)

    async def listOf(self, owner: str) -> list[dict[str, Any]]:
        """The receipts of an owner's files, oldest first. Raises BlobError."""
        if not self.options.list:
            raise BlobError("forbidden", "files are not listed here; the route's key list allows it")
        return [self.receipt(blob) for blob in await self.transfers.run(Store.list, owner)]

    def ownerOf(self, request: Any) -> str:
        """Whose the files of an HTTP request are."""
        return userOf(None, request.tls, request.peer)

    def urlOf(self, id: str) -> str:
        """The path of a file."""
        return f"{self.route.path.rstrip('/')}/{id}"

    def receipt(self, blob: Any) -> dict[str, Any]:
        """What is told of a file that is kept."""
        return {
            "id": blob.id,
            "name": blob.name,
            "size": blob.size,
            "sha256": blob.sha256,
            "type": blob.type,
            "url": self.urlOf(blob.id),
        }

    def slots(self) -> BlobSlots | None:
        """Where other routes have files put, until we are stopped."""
        return None if self._hasStopped else BlobSlots(self)

    def resource(self) -> IResource | None:
        """The files, by their ids."""
        return Files(self)
