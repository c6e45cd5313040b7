"""
Topics against a model: after any sequence of publishes, reads, failures and restarts, both have the same positions.

Nothing acknowledged is lost, nothing is delivered twice, and an epoch is never used again.
"""

from __future__ import annotations

import copy
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from tests.property.sequences import FOLDERS, sequences
from tests.protocols.topics.backends import Limits, Topics
from wsd.config import Policies
from wsd.config.stores import markAsBackup
from wsd.policies.budget import Budget, MemoryUse
from wsd.policies.meter import Meter
from wsd.protocols.topics.file import FileBackend
from wsd.protocols.topics.journal import Journal
from wsd.protocols.topics.memory import MemoryBackend
from wsd.protocols.topics.position import Position
from wsd.protocols.topics.publication import OVERHEAD, Publication, TopicMessage
from wsd.protocols.topics.topic import Recovered

LIMITS = Limits(count=3, age=20, keys=2, topics=2, onceAge=15, onceCount=3)


@dataclass
class Said:
    """A message as the model knows it."""

    offset: int
    message: TopicMessage
    at: float

    def isStale(self, now: float) -> bool:
        return self.message.ttl is not None and now - self.at >= self.message.ttl

    @property
    def size(self) -> int:
        return len(self.message.payload) + len(self.message.key or "") + OVERHEAD


@dataclass
class ModelTopic:
    """What a topic must know."""

    epoch: str
    offset: int = 0
    history: list[Said] = field(default_factory=list)
    last: dict[str, Said] = field(default_factory=dict)

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.offset)

    def trim(self, now: float) -> None:
        self.history = [each for each in self.history[-LIMITS.count :] if now - each.at < LIMITS.age]
        self.last = {key: each for key, each in self.last.items() if not each.isStale(now)}


@dataclass
class Model:
    """What all topics must know. The dictionaries have what was used longest ago first."""

    topics: dict[str, ModelTopic] = field(default_factory=dict)
    once: dict[tuple[str, str], tuple[float, Position]] = field(default_factory=dict)

    def known(self, topic: str, once: str | None, now: float) -> Position | None:
        self.once = {name: each for name, each in self.once.items() if now - each[0] < LIMITS.onceAge}
        found = None if once is None else self.once.get((topic, once))
        return None if found is None else found[1]

    def hasRoom(self, name: str, messages: list[TopicMessage]) -> bool:
        """Whether these messages may be published: neither keys nor topics are too many."""
        found = self.topics.get(name)
        keys = set(found.last) if found else set()
        for message in messages:
            if message.key is not None and message.isRemoval:
                keys.discard(message.key)
            elif message.key is not None:
                keys.add(message.key)
                if len(keys) > LIMITS.keys:
                    return False
        if found is None and len(self.topics) >= LIMITS.topics:
            return any(not topic.last for topic in self.topics.values())
        return True

    def use(self, name: str, epoch: str) -> ModelTopic:
        """The topic that is published to. One that was unused for the longest time goes if there are too many."""
        if name not in self.topics:
            while len(self.topics) >= LIMITS.topics:
                empty = [each for each, topic in self.topics.items() if not topic.history and not topic.last]
                without = [each for each, topic in self.topics.items() if not topic.last]
                del self.topics[(empty or without)[0]]
            self.topics[name] = ModelTopic(epoch)
        self.topics[name] = self.topics.pop(name)
        return self.topics[name]

    def publish(self, name: str, message: TopicMessage, now: float) -> None:
        topic = self.topics[name]
        topic.offset += 1
        said = Said(topic.offset, message, now)
        topic.history.append(said)
        if message.key is not None:
            topic.last.pop(message.key, None)
            if not message.isRemoval:
                topic.last[message.key] = said
        topic.trim(now)
        if message.once is not None:
            self.once[name, message.once] = now, topic.position
            while len(self.once) > LIMITS.onceCount:
                del self.once[next(iter(self.once))]

    @property
    def size(self) -> int:
        kept = (said for topic in self.topics.values() for said in (*topic.history, *topic.last.values()))
        return sum(said.size for said in kept)


class ByHand:
    """A thread whose jobs are done when the test says so; `fault` is raised by those that are done meanwhile."""

    def __init__(self, began: Callable[[], None]) -> None:
        self._began = began
        self._jobs: list[tuple[Callable[[], Any], Deferred[Any]]] = []
        self.fault: Exception | None = None

    def run(self, work: Callable[..., Any], /, *arguments: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self._jobs.append((lambda: self._do(work, *arguments), done))
        self._began()
        return done

    def _do(self, work: Callable[..., Any], *arguments: Any) -> Any:
        if self.fault is not None:
            raise self.fault
        return work(*arguments)

    def stop(self) -> Deferred[None]:
        return succeed(None)

    def reopen(self) -> None:
        """It takes jobs anyway."""

    @property
    def isBusy(self) -> bool:
        return bool(self._jobs)

    def work(self, tells: bool = True) -> None:
        """Do what is to be done now; unless this `tells`, the process dies before anybody hears of it."""
        jobs, self._jobs = self._jobs, []
        for work, done in jobs:
            result = maybeDeferred(work)
            if tells:
                result.chainDeferred(done)
            else:
                result.addErrback(lambda _: None)


names = st.sampled_from(["a", "b", "c"])
messages = st.builds(
    TopicMessage,
    payload=st.sampled_from([b"", b"x", b"longer"]),
    isBinary=st.booleans(),
    key=st.sampled_from([None, None, "k", "l", "m"]),
    ttl=st.sampled_from([None, None, 3.0]),
    once=st.sampled_from([None, None, "1", "2"]),
)
removals = st.builds(TopicMessage, payload=st.just(b""), key=st.sampled_from(["k", "l"]), isRemoval=st.just(value=True))

Check = Callable[[Any], None]
"""Compares the result of an operation with the model, and changes the model."""


class TopicsModel(RuleBasedStateMachine):
    """What every backend in one process does."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.calls = 0
        self.budget = Budget(Policies(), self.clock)
        self.model = Model()
        self.epochs: set[str] = set()
        self.positions = [Position("0", 0)]
        """All that were ever told."""
        self.pending: list[Check] = []
        """Operations that are not done yet, in their order."""
        self.delivered: list[Publication] = []
        """What was delivered, in all processes one after the other."""
        self.expected: list[tuple[str, Position, bytes]] = []
        """What must have been delivered, in this order."""

    def now(self) -> float:
        """The time of day, at which no two topics are used."""
        self.calls += 1
        return self.clock.seconds() + self.calls * 1e-7

    def meter(self) -> Meter:
        return Meter(self.budget, MemoryUse.histories)

    def begin(self, backend: Any) -> None:
        self.topics = Topics(backend, self.clock)
        self.topics.delivered = self.delivered
        backend.start(self.topics).addErrback(self.fail)

    def fail(self, failure: Failure) -> None:
        raise AssertionError(failure.getTraceback())

    def ask(self, result: Callable[[], Deferred[Any]], check: Check) -> None:
        """Operations are done in the order in which they are asked for."""
        self.pending.append(check)
        result().addCallbacks(self.answered, self.refused).addErrback(self.note)

    fault: Failure | None = None

    def note(self, failure: Failure) -> None:
        """A check failed inside the backend, which would log it."""
        self.fault = self.fault or failure

    def answered(self, result: Any) -> None:
        self.pending.pop(0)(result)

    def refused(self, failure: Failure) -> None:
        check = self.pending.pop(0)
        error: Any = failure.value
        if error.code == "full":
            check(error)
        else:
            assert error.code == "unavailable"
            assert self.mayRefuse, error

    mayRefuse = False

    def isNew(self, epoch: str) -> None:
        assert epoch not in self.epochs
        self.epochs.add(epoch)

    # -- rules ----------------------------------------------------------------------------------------------------

    @rule(topic=names, message=messages | removals)
    def publish(self, topic: str, message: TopicMessage) -> None:
        self.ask(
            lambda: self.topics.backend.publish(topic, message),
            lambda told: self.checkPublished(topic, [message], told if isinstance(told, Exception) else [told]),
        )

    @rule(topic=names, several=st.lists(messages | removals, min_size=1, max_size=4))
    def publishAll(self, topic: str, several: list[TopicMessage]) -> None:
        self.ask(
            lambda: self.topics.backend.publishAll(topic, several),
            lambda told: self.checkPublished(topic, several, told),
        )

    def checkPublished(self, name: str, several: list[TopicMessage], told: Any) -> None:
        now = self.clock.seconds()
        if not self.model.hasRoom(name, several):
            assert isinstance(told, Exception)
            return
        assert not isinstance(told, Exception), told
        if name not in self.model.topics:
            new = [each.position.epoch for each in told if not each.isDuplicate]
            # Nothing tells the epoch of a topic that is made for duplicates alone.
            epoch = new[0] if new else ""
            if epoch:
                self.isNew(epoch)
        else:
            epoch = self.model.topics[name].epoch
        topic = self.model.use(name, epoch)
        for message, acknowledgement in zip(several, told, strict=True):
            known = self.model.known(name, message.once, now)
            assert acknowledgement.isDuplicate == (known is not None)
            if known is not None:
                assert acknowledgement.position == known
                continue
            self.learn(topic, acknowledgement.position.epoch)
            self.model.publish(name, message, now)
            assert acknowledgement.position == topic.position
            self.positions.append(topic.position)
            self.expected.append((name, topic.position, message.payload))

    def learn(self, topic: ModelTopic, epoch: str) -> None:
        if not topic.epoch:
            self.isNew(epoch)
            topic.epoch = epoch

    def read(self, name: str, epoch: str) -> ModelTopic:
        """The topic that is read. One that nobody published to is kept only if there is a place for it."""
        if name not in self.model.topics:
            self.isNew(epoch)
            found = ModelTopic(epoch)
            if len(self.model.topics) < LIMITS.topics:
                self.model.topics[name] = found
            return found
        found = self.model.topics[name]
        self.learn(found, epoch)
        found.trim(self.clock.seconds())
        return found

    @rule(topic=names, count=st.integers(1, 4))
    def newest(self, topic: str, count: int) -> None:
        def check(recovered: Recovered) -> None:
            found = self.read(topic, recovered.position.epoch)
            self.checkRead(topic, found, found.history[-count:], recovered)
            assert recovered.isComplete

        self.ask(lambda: self.topics.backend.newest(topic, count), check)

    @rule(topic=names, number=st.integers(0, 1000))
    def since(self, topic: str, number: int) -> None:
        """From any position that was ever told, of this topic or another, of this epoch or one before."""
        position = self.positions[-1 - number % len(self.positions)]

        def check(recovered: Recovered) -> None:
            found = self.read(topic, recovered.position.epoch)
            isHere = position.epoch == found.epoch and position.offset <= found.offset
            missed = [said for said in found.history if not isHere or said.offset > position.offset]
            self.checkRead(topic, found, missed, recovered)
            assert recovered.isComplete == (isHere and len(missed) == found.offset - position.offset)

        self.ask(lambda: self.topics.backend.since(topic, position), check)

    def checkRead(self, name: str, topic: ModelTopic, kept: list[Said], recovered: Recovered) -> None:
        assert recovered.position == topic.position
        self.positions.append(topic.position)
        fresh = [said for said in kept if not said.isStale(self.clock.seconds())]
        self.checkSame(name, topic, fresh, recovered.publications)

    def checkSame(self, name: str, topic: ModelTopic, kept: list[Said], found: list[Publication]) -> None:
        assert [(each.topic, each.position) for each in found] == [
            (name, Position(topic.epoch, said.offset)) for said in kept
        ]
        for publication, said in zip(found, kept, strict=True):
            for each in ("payload", "isBinary", "key", "isRemoval", "ttl"):
                assert getattr(publication.message, each) == getattr(said.message, each)

    @rule(topic=names)
    def last(self, topic: str) -> None:
        def check(found: list[Publication]) -> None:
            model = self.model.topics.get(topic)
            kept = [] if model is None else list(model.last.values())
            fresh = [said for said in kept if not said.isStale(self.clock.seconds())]
            if fresh:
                assert model is not None
                self.checkSame(topic, model, fresh, found)
            else:
                assert found == []

        self.ask(lambda: self.topics.backend.last((topic,)), check)

    @rule(topic=names)
    def clear(self, topic: str) -> None:
        def check(_: None) -> None:
            found = self.model.topics.get(topic)
            if found is not None:
                found.history, found.last = [], {}

        self.ask(lambda: self.topics.backend.clear(topic), check)

    @rule()
    def name(self) -> None:
        def check(found: list[str]) -> None:
            kept = [name for name, topic in self.model.topics.items() if topic.history or topic.last]
            assert found == kept[::-1]

        self.ask(lambda: self.topics.backend.names(10), check)

    @rule(seconds=st.sampled_from([1, 2, 5, 10]))
    def wait(self, seconds: int) -> None:
        self.settle()
        self.clock.advance(seconds)

    def settle(self) -> None:
        """Let everything be done that was asked for."""

    # -- always ---------------------------------------------------------------------------------------------------

    @invariant()
    def deliversEachOnceAndInOrder(self) -> None:
        if self.fault is not None:
            self.fault.raiseException()
        told = [(each.topic, each.position, each.message.payload) for each in self.delivered]
        assert told == self.expected

    @invariant()
    def countsItsMemory(self) -> None:
        if not self.pending and not self.mayRefuse:
            assert self.budget.used == self.budget.byUse[MemoryUse.histories] == self.model.size

    def teardown(self) -> None:
        self.settle()
        self.topics.backend.stop().addErrback(self.fail)
        self.settle()
        assert self.pending == []
        assert (self.budget.used, self.clock.getDelayedCalls()) == (0, [])


class TopicsInMemory(TopicsModel):
    """The memory backend, which an upgrade moves to another process."""

    @initialize()
    def start(self) -> None:
        self.begin(MemoryBackend(LIMITS.keep, LIMITS.bounds, self.now, self.meter()))

    @rule(topic=names, message=messages)
    def upgrade(self, topic: str, message: TopicMessage) -> None:
        """The old process publishes nothing once its state is saved."""
        old: Any = self.topics.backend
        state = old.saveState()
        refused: list[Any] = []
        old.publish(topic, message).addBoth(refused.append)
        assert refused[0].value.code == "unavailable"
        old.stop()
        new = MemoryBackend(LIMITS.keep, LIMITS.bounds, self.now, self.meter())
        new.restoreState(state)
        self.begin(new)


class TopicsInAFile(TopicsModel):
    """The file backend: writes take their time, disks fail, processes die, backups are restored."""

    @initialize()
    def start(self) -> None:
        self.folder = TemporaryDirectory(dir=FOLDERS)
        self.path = Path(self.folder.name) / "topics.sqlite"
        self.saved: tuple[Path, Model] | None = None
        self.startProcess()

    def startProcess(self) -> None:
        self.inFlight = 0
        self.thread = ByHand(self.noteBatch)
        keep, bounds = LIMITS.keep, LIMITS.bounds
        backend = FileBackend(
            keep, bounds, self.thread, lambda: Journal(self.path), self.clock, self.now, "", self.meter()
        )
        self.begin(backend)
        self.settle()

    def noteBatch(self) -> None:
        """All that waits now is one batch."""
        self.inFlight = len(self.pending)

    def settle(self) -> None:
        while self.thread.isBusy:
            self.thread.work()

    @rule()
    def write(self) -> None:
        """The disk does what it is asked for."""
        self.thread.work()

    @precondition(lambda self: self.thread.isBusy)
    @rule(seconds=st.sampled_from([1, 2]))
    def failToWrite(self, seconds: int) -> None:
        """All that waits is refused. When the disk works again, nothing is known but what was acknowledged."""
        self.thread.fault = sqlite3.OperationalError("database or disk is full")
        self.mayRefuse = True
        self.thread.work()
        assert self.pending == []
        assert self.topics.backend.ready() is not None
        self.clock.advance(seconds)
        self.settle()
        self.thread.fault = None
        self.clock.advance(1)
        self.settle()
        assert self.topics.backend.ready() is None
        self.mayRefuse = False

    @rule()
    def stop(self) -> None:
        """What waits is written before the stop."""
        self.topics.backend.stop().addErrback(self.fail)
        self.settle()
        assert self.pending == []
        self.startProcess()

    @rule(isOnDisk=st.booleans())
    def kill(self, isOnDisk: bool) -> None:
        """The process dies, perhaps between the write of a batch and its acknowledgement."""
        forget = isOnDisk and self.thread.isBusy
        if forget:
            self.thread.work(tells=False)
        self.die(self.inFlight if forget else 0)

    def die(self, written: int) -> None:
        """Start again where the process died; `written` operations are on the disk though nobody was told."""
        old: Any = self.topics.backend
        old._model.stop()
        old._journal.close()
        unknown, self.pending = self.pending[:written], []
        self.startProcess()
        if unknown:
            self.relearn()

    def relearn(self) -> None:
        """Nobody was told what of these operations happened: take it from the topics as they are now."""
        kept = self.topics.backend._model.kept()  # type: ignore[attr-defined]
        before, self.model = self.model, Model()
        for state in kept.topics:
            self.model.topics[state.name] = ModelTopic(state.epoch, state.offset)
            self.epochs.add(state.epoch)
            known = before.topics.get(state.name)
            if known is not None and known.epoch == state.epoch:
                assert state.offset >= known.offset
        for each in kept.messages:
            said = Said(each.position.offset, each.message, each.at)
            self.model.topics[each.topic].history.append(said)
        for key, each in kept.last:
            self.model.topics[each.topic].last[key] = Said(each.position.offset, each.message, each.at)
        for topic, once, position, at in kept.once:
            self.model.once[topic, once] = at, position

    @rule()
    def backUp(self) -> None:
        self.settle()
        path = self.path.with_suffix(".backup")
        path.unlink(missing_ok=True)
        source, target = sqlite3.connect(self.path), sqlite3.connect(path)
        source.backup(target)
        markAsBackup(target)
        target.close()
        source.close()
        self.saved = path, copy.deepcopy(self.model)

    @precondition(lambda self: self.saved is not None)
    @rule()
    def restore(self) -> None:
        """A backup begins a new epoch of each topic, as clients know positions that it does not."""
        assert self.saved is not None
        self.topics.backend.stop()
        self.settle()
        backup, model = self.saved
        for each in self.path.parent.glob("topics.sqlite*"):
            each.unlink()
        self.path.write_bytes(backup.read_bytes())
        self.model = copy.deepcopy(model)
        self.startProcess()
        epochs = {state.name: state.epoch for state in self.topics.backend._model.kept().topics}  # type: ignore[attr-defined]
        before = {topic.epoch: epochs[name] for name, topic in self.model.topics.items()}
        for name, topic in self.model.topics.items():
            self.isNew(epochs[name])
            topic.epoch = epochs[name]
        once = self.model.once
        self.model.once = {
            key: (at, Position(before.get(position.epoch, position.epoch), position.offset))
            for key, (at, position) in once.items()
        }

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


TestTopicsInMemory = TopicsInMemory.TestCase
TestTopicsInMemory.settings = sequences(60, 40)
TestTopicsInAFile = TopicsInAFile.TestCase
TestTopicsInAFile.settings = sequences(40, 40)
