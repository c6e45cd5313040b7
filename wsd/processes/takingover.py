"""
An upgrade, on the side of the new process: it answers the old one, and resumes what that passes on.

Whatever goes wrong here ends this process at once, without a word to any client: the old process has all connections
that were not confirmed, and takes them back. If the old process ends once this one has been told to go on ("release"),
this one goes on by itself with what has arrived.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.connection import Factory
from wsd.processes.channel import ChannelMessage, ProcessChannel
from wsd.processes.conversation import NotTakenOver
from wsd.processes.given import Takeover
from wsd.processes.packing import unpack
from wsd.processes.passing import Arrived, arrive, arriveNew
from wsd.service.daemon import Daemon
from wsd.service.factories import isExclusive
from wsd.service.routes import FactoryKey


class TakingOver:
    """Takes over from the process that has started this one: a `wsd.service.daemon.Predecessor`."""

    log = Logger(namespace="wsd")

    def __init__(self, reactor: Any, connected: socket.socket) -> None:
        """`connected` is the socket of the channel to the old process."""
        self._progress = Takeover.undecided
        self._isServing = False
        self._daemon: Any = None
        self._channel = ProcessChannel(reactor, connected, self._received, self._lost)
        self._done: Deferred[None] | None = None
        self._held: list[Arrived] = []
        """Connections that share a state, and wait until all have arrived."""
        self._restored: list[Factory] = []
        """Routes whose state has arrived, and whose connections may not have."""
        self._taken = 0
        self._turn = DeferredLock()
        """Messages are handled one after the other, although the start of a route takes time."""

    @property
    def isCommitted(self) -> bool:
        """Whether this process has gone on with connections: from then on it may not just end."""
        return self._progress is not Takeover.undecided

    def takeOver(self, daemon: Daemon) -> Deferred[None]:
        """Say what can be taken over, and take it. Fires when the old process accepts no more."""
        self._daemon = daemon
        # Collecting garbage would take longer and longer while thousands of connections arrive, and find nothing.
        gc.disable()
        self._done = Deferred()
        factories = [(key, list(each.readableVersions)) for key, each in daemon.routes.named.items()]
        readable = [(key, versions) for key, versions in factories if any(versions)]
        self._channel.send("ready", {"factories": readable, "pid": os.getpid()})
        return self._done

    def serving(self) -> None:
        """Called when this daemon accepts connections."""
        gc.enable()
        self._channel.send("listening", {})
        self.log.info("took over {count} connections", event="upgrade.taken", count=self._taken)
        self._isServing = True
        if self._progress is Takeover.alone:
            self._becomeMain()

    def refused(self) -> None:
        """End without closing anything."""
        self._end("the new process could not start; its reason is in the log")

    def stopping(self) -> None:
        """Called when this daemon stops. What the old process can take back is not closed here."""
        if not self.isCommitted:
            self._end("the new process was told to stop")
        self._progress = Takeover.stopping

    # -- the old process says -------------------------------------------------------------------------------------

    def _received(self, message: ChannelMessage) -> None:
        self._turn.run(lambda: Deferred.fromCoroutine(self._handle(message))).addErrback(self._failed)

    async def _handle(self, message: ChannelMessage) -> None:
        if message.kind == "route":
            await self._route(FactoryKey(*message.fields["key"]), message)
        elif message.kind == "connections" and self._progress is Takeover.stopping:
            self._decline(message)
        elif message.kind == "connections":
            self._connections(FactoryKey(*message.fields["key"]), message)
        elif message.kind == "release":
            self._release()
        elif message.kind == "new":
            self._new(message)
        elif message.kind == "listen":
            self._listen()
        elif message.kind == "main":
            self._becomeMain()
        elif message.kind == "stop":
            self._stop()
        elif message.kind == "now":
            self._daemon.stopNow()
        else:
            raise NotTakenOver(f"the old process has sent {message.kind!r}, which this version does not know")

    def _listen(self) -> None:
        """The old process has passed on everything."""
        done, self._done = self._done, None
        if done is not None:
            # Those that the old process did not have. Nobody waits for them: they answer 503 until they have started.
            self._daemon.routes.start(exclusive=True)
            done.callback(None)

    def _becomeMain(self) -> None:
        if self._progress is not Takeover.main:
            self._progress = Takeover.main
            self._daemon.becomeMain()

    def _stop(self) -> None:
        """The old process was told to stop, and this one has some of its connections."""
        if self._daemon.running:
            os.kill(os.getpid(), signal.SIGTERM)

    async def _route(self, key: FactoryKey, message: ChannelMessage) -> None:
        """A route's files are free, and its state is here."""
        factory = self._factory(key)
        if factory is not None:
            if isExclusive(factory):
                await self._daemon.routes.startOne(factory)
            if factory.hasFailed:
                raise NotTakenOver(f"{key.route} could not be started: {factory.unusable}")
            if message.fields["hasState"]:
                factory.restoreState(unpack(message.body), message.fields["version"])
                self._restored.append(factory)
        self._channel.send("route", {})

    def _factory(self, key: FactoryKey) -> Factory | None:
        found: Factory | None = self._daemon.routes.named.get(key)
        return found

    def _connections(self, key: FactoryKey, message: ChannelMessage) -> None:
        arrived: list[Arrived] = []
        failed: list[int] = []
        factory = self._factory(key)
        if factory is None:
            raise NotTakenOver(f"the old process has sent connections of {key.route}, which is unknown here")
        version, ring = message.fields["version"], self._daemon.listening.ring
        states = [unpack(each) for each in unpack(message.body)]
        for number, (descriptor, saved) in enumerate(zip(message.descriptors, states, strict=True)):
            try:
                arrived.append(arrive(self._daemon.site, factory, version, ring, descriptor, saved))
            except Exception:
                self.log.failure("a connection could not be resumed", event="upgrade.error")
                failed.append(number)
        # Confirmed first: nothing has been read or sent so far, and from here on the old process has nothing to do
        # with them, even if this one fails.
        self._channel.send("taken", {"failed": failed})
        self._taken += len(arrived)
        if message.fields["isHeld"]:
            self._held += arrived
        else:
            self._start(arrived)

    def _decline(self, message: ChannelMessage) -> None:
        """Leave connections to the old process, which closes them."""
        self._channel.send("taken", {"failed": list(range(len(message.descriptors)))})
        message.closeDescriptors()

    def _new(self, message: ChannelMessage) -> None:
        """A connection whose first request has not been read completely."""
        self._channel.send("taken", {})
        try:
            arriveNew(self._daemon.site, self._daemon.listening.ring, message.descriptors[0], unpack(message.body))
        except Exception:
            self.log.failure("a connection could not be resumed", event="upgrade.error")

    def _release(self) -> None:
        """Go on with everything that is held."""
        self._progress = Takeover.committed
        self._channel.send("released", {})
        held, self._held = self._held, []
        self._start(held)
        self._complete()

    def _start(self, arrived: list[Arrived]) -> None:
        for each in arrived:
            try:
                each.start()
            except Exception:
                self.log.failure("a connection could not be resumed", event="upgrade.error")
                each.wire.abortConnection()

    def _complete(self) -> None:
        """All connections of the routes that share a state are here."""
        restored, self._restored = self._restored, []
        for factory in restored:
            try:
                factory.stateComplete()
            except Exception:
                self.log.failure("a route could not go on completely", event="upgrade.error")

    # -- failing --------------------------------------------------------------------------------------------------

    def _failed(self, failure: Failure) -> None:
        if not failure.check(NotTakenOver):
            self.log.failure("the upgrade failed", failure, event="upgrade.error")
        self._end(failure.getErrorMessage())

    def _lost(self, reason: Failure) -> None:
        """The old process has given up or, after this one has gone on with connections, it has ended."""
        if not self.isCommitted:
            self._end("the old process has given up the upgrade")
            return
        if self._progress in (Takeover.main, Takeover.stopping):
            return
        self.log.warn("the old process has ended early; going on without it", event="upgrade.alone")
        if self._isServing:
            self._becomeMain()
        else:
            self._progress = Takeover.alone
            self._turn.run(self._listen).addErrback(self._failed)

    def _end(self, sentence: str) -> None:
        self.log.critical("not taken over: {sentence}", event="upgrade.failed", sentence=sentence)
        self._channel.send("failed", {"sentence": sentence})
        # A clean end would close the connections that the old process takes back.
        os.kill(os.getpid(), signal.SIGKILL)
