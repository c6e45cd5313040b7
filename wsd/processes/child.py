"""One worker as its parent sees it: a process, the channel to it, and when it is started again."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger, LogLevel, globalLogPublisher
from twisted.python.failure import Failure

from wsd.processes.channel import ChannelMessage
from wsd.processes.merging import Snapshot, merge, remains, snapshotOf
from wsd.processes.supply import WorkerProcess

_STEADY = 10.0
"""Seconds after which a worker counts as healthy. If it dies later, it is started again at once."""

_BACKOFF = 0.25
"""Seconds before a worker that has died twice is started again; each further wait is twice as long."""

_LONGEST = 30.0
"""The longest of these waits in seconds."""

_HUNG = 30.0
"""Seconds without a sign of life after which a worker is killed, unless systemd's watchdog is stricter."""

_STARTING = 180.0
"""The same for a process that has not given its first sign of life: on a busy machine, its imports take long."""

_STACKS = 2.0
"""Seconds in which it then writes the stacks of its threads to the log."""


class WorkerEnded(Exception):
    """A worker has ended before it has answered. The message is one sentence."""


class Child:
    """
    One worker. `received` is called with each of its messages, `ended` when its process has ended.

    `start` starts it, in a process that `newProcess` returns, and it is started again after it has ended, until
    `isStopping`.
    """

    log = Logger(namespace="wsd")

    def __init__(
        self,
        reactor: Any,
        number: int,
        newProcess: Callable[[], WorkerProcess],
        started: Callable[[Child], object],
        received: Callable[[Child, ChannelMessage], object],
        ended: Callable[[Child], object],
    ) -> None:
        self.number = number
        self.isServing = False
        self.isStopping = False
        self.told: dict[str, Any] | None = None
        """What it has told last: its metrics, readiness and status."""
        self.kept: list[Snapshot] = []
        """What remains of the metrics of its earlier processes: at most one snapshot."""
        self._seen = 0.0
        """When it has last given a sign of life, or was started."""
        self._isAlive = False
        """Whether its process has given a sign of life."""
        self.restarts = 0
        self.process: WorkerProcess | None = None
        self._reactor = reactor
        self._newProcess = newProcess
        self._started = started
        self._received = received
        self._ended = ended
        self._startedAt = 0.0
        self._failures = 0
        self._questions = 0
        self._answers: dict[int, Deferred[ChannelMessage]] = {}
        """What waits for an answer, by the number of the question."""
        self._later: IDelayedCall | None = None

    def start(self) -> None:
        """Start the worker. If that fails, it is tried again."""
        self._later = None
        self._startedAt = self._seen = self._reactor.seconds()
        self._isAlive = False
        try:
            self.process = process = self._newProcess()
            process.received, process.exited = self._message, self._exited
            self.log.info(
                "worker {worker} is process {process}", event="worker.started", worker=self.number, process=process.pid
            )
            self._started(self)
        except OSError as error:
            # Memory, processes or descriptors have run out.
            self._cannotStart(str(error))

    def _cannotStart(self, reason: str) -> None:
        if self.process is not None:
            self.log.error(
                "worker {worker} is ended: {reason}", event="worker.unstarted", worker=self.number, reason=reason
            )
            self.process.kill(signal.SIGKILL)
            return
        self._ended(self)
        if not self.isStopping:
            wait = self._startLater()
            self.log.error(
                "worker {worker} cannot be started ({reason}); the next attempt is in {wait} seconds",
                event="worker.unstarted",
                worker=self.number,
                reason=reason,
                wait=wait,
            )

    @property
    def isRunning(self) -> bool:
        """Whether there is a process."""
        return self.process is not None

    def send(self, kind: str, fields: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Send a message, if the process runs."""
        if self.process is not None:
            self.process.channel.send(kind, fields, b"", descriptors)

    def ask(self, kind: str, fields: dict[str, Any], descriptors: Sequence[int] = ()) -> Deferred[ChannelMessage]:
        """Send a question. Fires with its message "answer" to it, or fails with `WorkerEnded`."""
        if not self.isRunning:
            return fail(WorkerEnded(f"worker {self.number} does not run"))
        self._questions += 1
        self.send(kind, {**fields, "question": self._questions}, descriptors)
        answer = self._answers[self._questions] = Deferred[ChannelMessage]()
        return answer

    def kill(self, number: int) -> None:
        """Send a signal to the process, if it runs."""
        if self.process is not None:
            self.process.kill(number)

    def killIfHung(self, strict: float | None) -> None:
        """Kill a process that gives no sign of life. `strict` are the seconds of the watchdog, if there is one."""
        usual = _HUNG if self._isAlive else _STARTING
        hung = strict if strict is not None and self.isServing else usual
        silent = self._reactor.seconds() - self._seen
        if self.isRunning and silent > hung:
            self.log.error("worker {worker} hangs and is killed", event="worker.hung", worker=self.number)
            # ABRT writes the stacks to the log.
            self.kill(signal.SIGKILL if silent > hung + _STACKS else signal.SIGABRT)

    def stop(self) -> None:
        """Let it close its connections and end. It is not started again."""
        self.isStopping = True
        if self._later is not None:
            self._later.cancel()
            self._later = None
        self.send("stop", {})

    def resume(self) -> None:
        """Start it again after all, now or when its process has ended."""
        self.isStopping = False
        if not self.isRunning and self._later is None:
            self.start()

    def _message(self, message: ChannelMessage) -> None:
        self._seen, self._isAlive = self._reactor.seconds(), True
        if message.kind == "told":
            self.told = message.fields
        elif message.kind == "serving":
            self.isServing = True
        elif message.kind == "answer":
            self._answers.pop(message.fields["question"]).callback(message)
        elif message.kind == "log":
            _log(self.number, message.fields)
        self._received(self, message)

    def _exited(self, reason: Failure) -> None:
        """Start the worker again, unless it was meant to end."""
        self.process = None
        self.isServing = False
        if self.told is not None:
            # Merged, so that they stay one however often it dies.
            self.kept = [snapshotOf(merge([*self.kept, remains(self.told["metrics"])]))]
            self.told = None
        answers, self._answers = self._answers, {}
        for answer in answers.values():
            answer.errback(WorkerEnded(f"worker {self.number} has ended"))
        self._ended(self)
        if self.isStopping:
            return
        wait = self._startLater()
        self.restarts += 1
        self.log.error(
            "worker {worker} has ended ({reason}) and is started again in {wait} seconds",
            event="worker.ended",
            worker=self.number,
            reason=_describe(reason),
            wait=wait,
        )

    def _startLater(self) -> float:
        """Start it again, at once if it was healthy. Returns the seconds until then."""
        wasSteady = self._reactor.seconds() - self._startedAt >= _STEADY
        self._failures = 0 if wasSteady else self._failures + 1
        wait = 0.0 if self._failures <= 1 else min(_LONGEST, _BACKOFF * 2 ** (self._failures - 2))
        self._later = self._reactor.callLater(wait, self.start)
        return wait


def connect(one: Child, other: Child) -> None:
    """Give two workers a channel to each other."""
    near, far = socket.socketpair()
    with near, far:
        one.send("peer", {}, [near.fileno()])
        other.send("peer", {}, [far.fileno()])


def _describe(reason: Failure) -> str:
    """How a process has ended: by which signal, or with which status."""
    number = getattr(reason.value, "signal", None)
    if number is not None:
        return f"signal {signal.Signals(number).name}"
    return f"exit status {getattr(reason.value, 'exitCode', None)}"


def _log(worker: int, fields: dict[str, Any]) -> None:
    """Log an event of a worker, with each line of its traceback."""
    level, seconds = LogLevel.levelWithName(fields.pop("level")), fields.pop("time")
    for text in fields.pop("text").splitlines():
        event = {**fields, "worker": worker, "text": text, "log_format": "{text}"}
        globalLogPublisher({**event, "log_level": level, "log_time": seconds, "log_namespace": "wsd"})
