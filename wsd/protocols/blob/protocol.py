"""
blob: stores files that arrive over a WebSocket or over HTTP.

Without a subprotocol, each binary message is a file (`bare`). With blob.wsd.v1, acknowledged bytes survive a lost
connection and a killed server (`reliable`). Over HTTP there are plain requests (`pages`), tus (`tus`) and `slots`.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import MappingProxyType
from typing import Any

import puremagic  # noqa: F401  Used when an upload ends (`names`). Without it, the route cannot be loaded.
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.web.resource import IResource

from wsd.config import stateFolder
from wsd.config.stores import INDEX, whyNotCreated
from wsd.connection import CannotStart, Connection, Factory, Placement
from wsd.policies.budget import MemoryUse
from wsd.policies.meter import Meter
from wsd.protocols.blob.backlog import Backlog
from wsd.protocols.blob.connection import RELIABLE, BlobConnection
from wsd.protocols.blob.errors import BlobError
from wsd.protocols.blob.iopool import IoPool
from wsd.protocols.blob.options import BlobOptions
from wsd.protocols.blob.pages import BlobResource
from wsd.protocols.blob.pipe import Syncing
from wsd.protocols.blob.quota import BlobLimits
from wsd.protocols.blob.service import BlobService
from wsd.protocols.blob.slots import BlobSlots
from wsd.protocols.blob.store import BlobStore
from wsd.protocols.blob.transfers import Transfers

_SWEEP = 60.0
"""Seconds between two removals of expired files."""


class BlobFactory(Factory):
    """A route with a store."""

    connection = BlobConnection
    placement = Placement.pinned
    about = MappingProxyType(
        {
            "en": "Stores files. An upload continues where it stopped after a lost connection.",
            "zh": "保存文件。连接中断后，可以从断点继续上传。",
        }
    )
    subprotocols = (RELIABLE,)
    Options = BlobOptions
    log = Logger(namespace="wsd")

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        options: BlobOptions = self.options
        share = self.pool.share("blob", self.route.path, threads=options.threads)
        self.disk = IoPool(share, self.clock, self.route.path)
        syncing = Syncing(options.sync, options.sync_interval, options.sync_bytes)
        backlog = Backlog(options.buffer, Meter(self.budget, MemoryUse.blobs))
        self.transfers = Transfers(self.disk, backlog, self._open, syncing, self.clock)
        self.service = BlobService(self.route.path, options, self.transfers)
        self._hasStopped = False
        self._sweeping = LoopingCall(self._sweep)
        self._sweeping.clock = self.clock

    @property
    def maxMessage(self) -> int:
        """The largest message in bytes: the largest file."""
        return int(self.options.max_file)

    @property
    def root(self) -> Path:
        """The store's folder."""
        return Path(self.options.store or Path(stateFolder(os.environ)) / "blob")

    def _open(self) -> BlobStore:
        """Open the store. Called on a thread of the pool."""
        options: BlobOptions = self.options
        limits = BlobLimits(
            options.quota,
            options.user_quota,
            options.max_file,
            options.expire,
            options.keep,
            options.max_unfinished,
        )
        return BlobStore(self.root, limits, time.time)

    def build(self) -> Connection:
        """Returns a new connection, which is given the service."""
        connection = super().build()
        assert isinstance(connection, BlobConnection)
        connection.service = self.service
        return connection

    # -- start and stop -------------------------------------------------------------------------------------------

    def started(self) -> Deferred[None]:
        """Open the store, and begin to remove expired files. A missing store is created when it is first used."""
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        if (self.root / INDEX).exists():
            try:
                await self.transfers.run(lambda store: None)
            except BlobError as error:
                # A full disk may have room again later.
                if error.code != "disk_full":
                    raise CannotStart(error.sentence, str(self.root)) from error
        self._sweeping.start(_SWEEP)

    async def _sweep(self) -> None:
        """Remove expired files and uploads."""
        try:
            if not await self.disk.run(os.path.exists, self.root / INDEX):
                return
            uploads, blobs = await self.transfers.run(BlobStore.expire)
        except BlobError:
            return  # A fault of the store is logged already. The next sweep tries again.
        if uploads or blobs:
            self.log.info(
                "{route}: deleted {parts} unfinished and {blobs} finished files that had expired",
                event="blob.expired",
                route=self.route.path,
                parts=uploads,
                blobs=blobs,
            )

    def stopped(self) -> Deferred[None]:
        """Close the uploads and the store."""
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
        """Returns why the store cannot be opened; None if it can."""
        if self.transfers.fault is not None:
            return self.transfers.fault
        # A missing store is created by the first upload. Whether it can be is told before that.
        reason = whyNotCreated(self.root / INDEX)
        return None if reason is None else f"the store cannot be created: {reason}"

    # -- HTTP -----------------------------------------------------------------------------------------------------

    def slots(self) -> BlobSlots | None:
        """Returns slots for the files of other routes; None after this route has stopped."""
        return None if self._hasStopped else BlobSlots(self.service)

    def page(self) -> str | None:
        """The page for people is at the route itself."""
        return self.route.path

    def resource(self) -> IResource | None:
        """Returns the resource that answers HTTP at and below the route."""
        return BlobResource(self.service, self.route.origins)
