"""What protocols hold for clients is in the ledger under its kind, and leaves it again."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from tests.wire import Daemon
from wsd.config import Policies
from wsd.policies.budget import Budget, MemoryUse
from wsd.policies.meter import Meter
from wsd.protocols.blob.backlog import Backlog
from wsd.protocols.canvas.board import Boards
from wsd.protocols.canvas.frame import Png
from wsd.protocols.canvas.picture import Region, Size
from wsd.protocols.echo import EchoFactory
from wsd.protocols.pywebsocket.exchange import BINARY, LOST
from wsd.protocols.pywebsocket.threads import HandlerThreads, ThreadBridge
from wsd.protocols.topics.backend import Bounds
from wsd.protocols.topics.memory import MemoryBackend
from wsd.protocols.topics.publication import TopicMessage
from wsd.protocols.topics.topic import Retention
from wsd.protocols.xmpp.ledger import Ledger
from wsd.protocols.yjs.document import SharedDocument
from wsd.protocols.yjs.documents import Documents
from wsd.protocols.yjs.options import YjsOptions

MOST = 1_000_000


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def budget(clock: Clock) -> Budget:
    return Budget(Policies(memory_max=MOST), clock)


def kinds(budget: Budget) -> dict[str, int]:
    return {kind: size for kind, size in budget.levels().kinds.items() if size}


class TestHistories:
    @pytest.fixture
    def backend(self, budget: Budget, clock: Clock) -> MemoryBackend:
        keep, bounds = Retention(1000, 1 << 30, 1000, 10), Bounds(10, 1 << 30, 10, 10, 10)
        return MemoryBackend(keep, bounds, clock.seconds, Meter(budget, MemoryUse.histories))

    def test_are_counted_as_the_backend_counts_them(self, backend: MemoryBackend, budget: Budget) -> None:
        backend.publish("a", TopicMessage(b"x" * 10_000, False))
        assert kinds(budget) == {"histories": backend.size}
        assert backend.size > 10_000
        backend.clear("a")
        assert kinds(budget) == {}

    def test_are_dropped_to_half_when_memory_is_short(
        self, backend: MemoryBackend, budget: Budget, clock: Clock
    ) -> None:
        for _ in range(12):
            backend.publish("a", TopicMessage(b"x" * 100_000, False))
        before = backend.size
        clock.advance(0)
        assert 0 < backend.size <= before // 2
        assert budget.used == backend.size

    def test_are_gone_with_the_backend(self, backend: MemoryBackend, budget: Budget) -> None:
        backend.publish("a", TopicMessage(b"x" * 10_000, False))
        backend.stop()
        assert budget.used == 0


class Painter:
    """A participant that notes when it is ended."""

    isLost = False

    def show(self, frame: Any) -> None:
        """Nothing."""

    def showWatching(self, number: int) -> None:
        """Nothing."""

    def lose(self) -> None:
        self.isLost = True


class TestCanvases:
    @pytest.fixture
    def boards(self, budget: Budget, clock: Clock) -> Boards:
        return Boards(10, 60, clock, Meter(budget, MemoryUse.canvases))

    def test_count_by_their_pixels(self, boards: Boards, budget: Budget) -> None:
        board = boards.take("a")
        board.paint(Size(10, 10), bytes(400))
        assert kinds(budget) == {"canvases": 400}
        board.paintRegion(Region(0, 0, Size(1, 1)), bytes(4), Size(10, 10))
        assert kinds(budget) == {"canvases": 800}

    def test_count_with_their_png(self, boards: Boards, budget: Budget) -> None:
        board = boards.take("a")
        frame = board.paint(Size(10, 10), bytes(400))
        assert board.encoding() is frame
        assert kinds(budget) == {"canvases": 400}
        board.encoded(Png(frame, bytes(30)))
        assert kinds(budget) == {"canvases": 430}
        board.paint(Size(10, 10), bytes(400))
        assert kinds(budget) == {"canvases": 400}

    def test_count_with_the_older_frame_that_is_encoded(self, boards: Boards, budget: Budget) -> None:
        board = boards.take("a")
        board.paint(Size(10, 10), bytes(400))
        older = board.encoding()
        assert older is not None
        board.paint(Size(10, 5), bytes(200))
        assert kinds(budget) == {"canvases": 600}
        board.encoded(Png(older, bytes(30)))
        assert kinds(budget) == {"canvases": 630}
        board.encoding()
        board.encoded(None)
        assert kinds(budget) == {"canvases": 630}
        boards.clear()
        assert budget.used == 0

    def test_that_are_dropped_count_while_they_are_encoded(self, boards: Boards, budget: Budget) -> None:
        board = boards.take("a")
        frame = board.paint(Size(10, 10), bytes(400))
        board.encoding()
        boards.clear()
        assert kinds(budget) == {"canvases": 400}
        board.encoded(Png(frame, bytes(30)))
        assert budget.used == 0

    def test_are_gone_when_they_were_idle(self, boards: Boards, budget: Budget, clock: Clock) -> None:
        boards.take("a").paint(Size(10, 10), bytes(400))
        clock.advance(61)
        boards.dropIdle()
        assert budget.used == 0

    def test_the_largest_are_closed_when_memory_is_short(self, boards: Boards, budget: Budget, clock: Clock) -> None:
        painters = {}
        for name, width in (("small", 100), ("large", 250_000)):
            board, painters[name] = boards.take(name), Painter()
            board.join(painters[name])
            board.paint(Size(width, 1), bytes(4 * width))
        clock.advance(0)
        assert (painters["small"].isLost, painters["large"].isLost) == (False, True)
        assert (boards.find("large"), budget.used) == (None, 400)


class TestBlobs:
    def test_count_until_they_are_written(self, budget: Budget) -> None:
        backlog = Backlog(100, Meter(budget, MemoryUse.blobs))
        backlog.add(70)
        assert kinds(budget) == {"blobs": 70}
        backlog.remove(70)
        assert kinds(budget) == {}


class TestXmpp:
    @pytest.mark.parametrize("use", [MemoryUse.sessions, MemoryUse.rooms])
    def test_its_own_ledger_counts_here_too(self, budget: Budget, use: MemoryUse) -> None:
        ledger = Ledger(1000, Meter(budget, use))
        ledger.take("a", 100)
        ledger.take("b", 50)
        ledger.takeConnected(7)
        assert kinds(budget) == {use.name: 157}
        ledger.takeConnected(-7)
        ledger.take("a", -100)
        ledger.take("b", -50)
        assert kinds(budget) == {}


class Editor:
    """A connection to a document that notes when it is ended."""

    sentence = ""

    def take(self, message: Any, isUpdate: bool) -> None:
        """Nothing."""

    def lose(self, sentence: str) -> None:
        self.sentence = sentence


class TestDocuments:
    def update(self, size: int) -> bytes:
        pycrdt = pytest.importorskip("pycrdt")
        doc = pycrdt.Doc()
        doc["text"] = pycrdt.Text("x" * size)
        update: bytes = doc.get_update()
        return update

    def opened(self, budget: Budget, clock: Clock) -> tuple[Documents, SharedDocument]:
        thread: Any = type("Thread", (), {"run": staticmethod(lambda work, *given: succeed(work(*given)))})()
        store: Any = type("Store", (), {"read": staticmethod(lambda name: [])})()
        documents = Documents(
            YjsOptions().path({"STATE_DIRECTORY": "/nowhere"}),
            thread,
            YjsOptions(),
            clock,
            clock.seconds,
            Meter(budget, MemoryUse.documents),
        )
        documents._store = store
        found: list[SharedDocument] = []
        Deferred.fromCoroutine(documents.take("a")).addCallback(found.append)
        return documents, found[0]

    def test_count_while_they_are_open(self, budget: Budget, clock: Clock) -> None:
        documents, document = self.opened(budget, clock)
        empty = budget.used
        documents.update(document, self.update(1000), lambda: None)
        assert budget.used >= empty + 8 * 1000
        assert set(kinds(budget)) == {"documents"}

    def test_the_largest_are_closed_when_memory_is_short(self, budget: Budget, clock: Clock) -> None:
        documents, document = self.opened(budget, clock)
        document.participants.add(editor := Editor())
        documents.update(document, self.update(200_000), lambda: None)
        budget._check()
        assert editor.sentence == "the server has no memory left for this document; reconnect later"
        assert budget.used == 0


class Endpoint:
    """The connection of a handler, which counts what is queued."""

    queued = 0

    def hold(self) -> None:
        """Nothing."""

    def release(self) -> None:
        """Nothing."""

    def noteQueued(self, size: int) -> None:
        self.queued = size


class TestQueues:
    def test_a_long_one_counts_until_it_is_taken(self) -> None:
        reactor: Any = Clock()
        reactor.callFromThread = lambda call, *given: reactor.callLater(0, call, *given)
        endpoint = Endpoint()
        bridge = ThreadBridge(HandlerThreads(reactor, 1), endpoint)
        bridge.put(BINARY, bytes(100), 100)
        assert endpoint.queued == 0
        bridge.put(BINARY, bytes(10_000), 10_000)
        assert endpoint.queued > 10_100
        bridge.take()
        bridge.take()
        reactor.advance(0)
        assert endpoint.queued == 0
        bridge.end(LOST, None)


def test_a_daemon_that_is_asked_nothing_holds_nothing() -> None:
    daemon = Daemon({"/": EchoFactory})
    daemon.open("/").say(b"hello")
    assert kinds(daemon.budget) == {}
