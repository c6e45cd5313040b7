"""`wsd.client.topics`, and `wsd topics`: a client on Twisted, and the command line, against a daemon."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from websockets.sync.server import ServerConnection

from tests.commands import environment, until, wsd
from tests.reactor import onReactor
from tests.topics import SECRET, Act, TopicsServer, asked, scripted, tell
from wsd.client.topics import Gap, ReceivedMessage, TopicsClient, TopicsError


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TopicsServer]:
    server = TopicsServer(tmp_path_factory.mktemp("topics"))
    server.start()
    yield server
    server.kill()


class Peer:
    """A client, and what has come to it."""

    def __init__(self, url: str, token: Any = None) -> None:
        self.messages: list[ReceivedMessage] = []
        self.gaps: list[Gap] = []
        self.events: list[dict[str, Any]] = []
        self.members: list[list[dict[str, Any]]] = []
        self.direct: list[ReceivedMessage] = []
        self.errors: list[Exception] = []
        self.closed: list[tuple[int | None, str, float | None]] = []
        self.opened = 0
        self.client = TopicsClient(
            reactor,
            url,
            token,
            onOpened=self._opened,
            onClosed=lambda *arguments: self.closed.append(arguments),
            onDirect=self.direct.append,
            onFailed=self.errors.append,
        )

    def _opened(self) -> None:
        self.opened += 1

    async def subscribe(self, topic: str, **options: Any) -> None:
        await self.client.subscribe(topic, self.messages.append, onGap=self.gaps.append, **options).ready

    async def watch(self, topic: str) -> None:
        await self.subscribe(topic, onPresence=self.events.append, onMembers=self.members.append)

    @property
    def payloads(self) -> list[Any]:
        return [message.payload for message in self.messages]


@asynccontextmanager
async def peers(
    server: TopicsServer, count: int = 2, route: str = "topics", token: Any = None
) -> AsyncIterator[list[Peer]]:
    found = [Peer(server.url(route=route), token) for _ in range(count)]
    try:
        yield found
    finally:
        for peer in found:
            peer.client.close()


@asynccontextmanager
async def scriptedHere(*acts: Act) -> AsyncIterator[str]:
    """`scripted`, which ends while the reactor of the test goes on."""
    context = scripted(*acts)
    try:
        yield context.__enter__()
    finally:
        await deferToThread(context.__exit__, None, None, None)


async def restart(server: TopicsServer) -> None:
    """Kill the daemon and start it, while the reactor of the test goes on."""
    await deferToThread(server.kill)
    await deferToThread(server.start)


async def soon(met: Any) -> None:
    """Wait until something holds."""
    end = time.monotonic() + 30
    while not met():
        assert time.monotonic() < end
        await deferLater(reactor, 0.01)


async def codeOf(deferred: Deferred[Any]) -> str:
    """The code of the error that a Deferred fails with."""
    with pytest.raises(TopicsError) as raised:
        await deferred
    return raised.value.code


def tokenFor(seconds: float) -> str:
    claims = {"exp": time.time() + seconds, "topics": {"subscribe": ["#"]}}
    return str(jwt.encode(claims, SECRET, algorithm="HS256"))


class TestTheClient:
    @onReactor
    async def test_loses_and_doubles_nothing_when_the_daemon_is_killed(self, server: TopicsServer) -> None:
        async with peers(server) as (publisher, subscriber):
            await subscriber.subscribe("numbers")
            acknowledged: list[str] = []
            count = 0
            for round_ in range(3):
                end = count + 300
                while count < end:
                    done = publisher.client.publish("numbers", count)
                    done.addCallback(acknowledged.append)
                    count += 1
                if round_ < 2:
                    await soon(lambda: acknowledged)
                    await restart(server)
                    await soon(lambda: subscriber.client.isOpen)
            await soon(lambda: len(acknowledged) == len(subscriber.messages) == count)
            assert subscriber.payloads == list(range(count))
            assert [int(position.partition("-")[2]) for position in acknowledged] == list(range(1, count + 1))
            assert (subscriber.gaps, subscriber.errors, subscriber.opened) == ([], [], 3)

    @onReactor
    async def test_keeps_what_is_published_without_a_connection(self, server: TopicsServer) -> None:
        async with peers(server) as (one, other):
            await one.subscribe("kept")
            await other.subscribe("kept", history=5)
            await deferToThread(server.kill)
            await soon(lambda: one.closed)
            done = one.client.publish("kept", b"\1\2", mediaType="application/x-of-mine", key="k")
            await deferToThread(server.start)
            position = await done
            await soon(lambda: other.messages)
            expected = ReceivedMessage("kept", b"\1\2", "binary", position, "k", "application/x-of-mine")
            assert (one.messages, other.messages) == ([], [expected])

    @onReactor
    async def test_takes_each_form_of_a_payload(self, server: TopicsServer) -> None:
        async with peers(server) as (one, other):
            await other.subscribe("forms")
            for payload, form in ((None, None), ("a", None), ("a", "text"), ([{"b": 1}], None), (b"", None)):
                await one.client.publish("forms", payload, form=form)
            await soon(lambda: len(other.messages) == 5)
            assert [(message.payload, message.form) for message in other.messages] == [
                (None, "data"),
                ("a", "data"),
                ("a", "text"),
                ([{"b": 1}], "data"),
                (b"", "binary"),
            ]

    @onReactor
    async def test_tells_gaps(self, server: TopicsServer) -> None:
        async with peers(server, 1) as (peer,):
            await peer.client.publish("gapped", 1)
            await peer.subscribe("gapped", since="0badf00d-7")
            await peer.subscribe("filtered/+")
            assert [gap.topic for gap in peer.gaps] == ["gapped"]
            await restart(server)
            await soon(lambda: len(peer.gaps) == 2)
            assert peer.gaps[1] == Gap("filtered/+")

    @onReactor
    async def test_is_present_again_after_the_daemon_was_killed(self, server: TopicsServer) -> None:
        async with peers(server) as (ann, watcher):
            await watcher.watch("room")
            before = await ann.client.enter("room", {"name": "Ann"})
            await soon(lambda: watcher.events)
            join = {"topic": "room", "change": "join", "member": before, "state": {"name": "Ann"}}
            assert (watcher.members, watcher.events) == ([[]], [join])
            await restart(server)
            await soon(lambda: any(watcher.members[1:]) or len(watcher.events) > 1)
            (member,) = await watcher.client.members("room")
            assert member["member"] != before
            await ann.client.leave("room")
            await soon(lambda: watcher.events[-1]["change"] == "leave")
            assert await watcher.client.members("room") == []

    @onReactor
    async def test_sends_to_one_member(self, server: TopicsServer) -> None:
        async with peers(server) as (ann, bob):
            to, sender = await ann.client.enter("pair"), await bob.client.enter("pair")
            await bob.client.direct("pair", to, {"hello": 1})
            await soon(lambda: ann.direct)
            assert ann.direct == [ReceivedMessage("pair", {"hello": 1}, "data", sender=sender)]
            assert await codeOf(bob.client.direct("pair", "nobody", 1)) == "no_member"

    @onReactor
    async def test_fails_with_what_the_server_refuses(self, server: TopicsServer) -> None:
        async with peers(server, 1) as (peer,):
            client = peer.client
            assert await codeOf(client.publish("a//b", 1)) == "bad_topic"
            assert await codeOf(client.subscribe("a//b", peer.messages.append).ready) == "bad_topic"
            assert await codeOf(client.enter("+")) == "bad_topic"
            sizes = [client.publish("large", "x" * size) for size in (10, 2_000_000, 20)]
            assert await codeOf(sizes[1]) == "too_large"
            await gatherResults([sizes[0], sizes[2]])
            client.close()
            assert await codeOf(client.publish("a", 1)) == "closed"
            assert await codeOf(client.subscribe("a", peer.messages.append).ready) == "closed"
            assert peer.closed[-1] == (1000, "this client was closed", None)

    @onReactor
    async def test_goes_on_when_a_callback_raises(self, server: TopicsServer) -> None:
        async with peers(server) as (one, other):

            def raises(message: ReceivedMessage) -> None:
                one.messages.append(message)
                raise ValueError("of the application's own")

            await one.client.subscribe("raises", raises).ready
            for number in range(2):
                await other.client.publish("raises", number)
            await soon(lambda: len(one.messages) == 2)


class TestATokenOfTheClient:
    @onReactor
    async def test_is_renewed_before_it_expires(self, server: TopicsServer) -> None:
        given: list[str] = []

        def newToken() -> str:
            given.append(tokenFor(2.5))
            return given[-1]

        async with peers(server, 1, route="guarded", token=newToken) as (peer,):
            await peer.subscribe("secret")
            await soon(lambda: len(given) == 3)
            assert (peer.closed, peer.errors, peer.opened) == ([], [], 1)

    @onReactor
    async def test_that_nobody_renews_ends_the_client(self, server: TopicsServer) -> None:
        async with peers(server, 1, route="guarded", token=tokenFor(1.5)) as (peer,):
            await peer.subscribe("secret")
            await soon(lambda: peer.closed)
            ((code, sentence, retry),) = peer.closed
            assert (code, retry) == (4001, None)
            assert "the token has expired" in sentence
            assert await codeOf(peer.client.publish("secret", 1)) == "closed"

    @onReactor
    async def test_is_asked_for_again_when_it_has_expired(self, server: TopicsServer) -> None:
        given: list[str] = []

        def newToken() -> str:
            given.append("none" if len(given) == 1 else tokenFor(60 if given else 2))  # the second one is none
            return given[-1]

        async with peers(server, 1, route="guarded", token=newToken) as (peer,):
            await peer.subscribe("secret")
            await soon(lambda: peer.opened == 2)
            (error,) = peer.errors
            assert isinstance(error, TopicsError)
            assert (error.code, peer.closed[0][0]) == ("bad_token", 4001)


class TestAConnectionThatIsClosed:
    @onReactor
    async def test_for_being_slow_is_resumed_from_the_last_position(self) -> None:
        requests: list[dict[str, Any]] = []

        def slow(connection: ServerConnection) -> None:
            _, fields = asked(connection)
            tell(connection, "subscribed", id=fields["id"], topic="a", position="e-5")
            tell(connection, "message", topic="a", position="e-6", text="1")
            connection.close(4008, "this client reads too slowly")

        def resumes(connection: ServerConnection) -> None:
            _, fields = asked(connection)
            requests.append(fields)
            tell(connection, "subscribed", id=fields["id"], topic="a", position="e-8", recovered=1, gap=True)
            tell(connection, "message", topic="a", position="e-8", text="3")
            tell(connection, "gap", topic="a", skipped=2)

        async with scriptedHere(slow, resumes) as url:
            peer = Peer(url)
            await peer.subscribe("a")
            await soon(lambda: len(peer.gaps) == 2)
            peer.client.close()
        assert requests == [{"id": 2, "topic": "a", "since": "e-6"}]
        assert peer.payloads == ["1", "3"]
        assert peer.gaps == [Gap("a", "e-8"), Gap("a", skipped=2)]
        assert peer.closed[0][:2] == (4008, "4008 this client reads too slowly")

    @onReactor
    async def test_before_an_acknowledgement_gets_the_same_publish_again(self) -> None:
        requests: list[dict[str, Any]] = []

        def loses(connection: ServerConnection) -> None:
            requests.append(asked(connection)[1])
            connection.socket.close()

        def acknowledges(connection: ServerConnection) -> None:
            requests.append(asked(connection)[1])
            tell(connection, "published", id=requests[1]["id"], topic="a", position="e-1", duplicate=True)

        async with scriptedHere(loses, acknowledges) as url:
            peer = Peer(url)
            assert await peer.client.publish("a", 1) == "e-1"
            peer.client.close()
        assert requests[0] == requests[1]
        assert len(requests[0]["once"]) == 32

    @onReactor
    async def test_resumes_behind_messages_of_its_own(self) -> None:
        requests: list[dict[str, Any]] = []

        def publishes(connection: ServerConnection) -> None:
            _, fields = asked(connection)
            tell(connection, "subscribed", id=fields["id"], topic="a", position="e-0")
            for offset in (1, 3):
                _, fields = asked(connection)
                tell(connection, "published", id=fields["id"], topic="a", position=f"e-{offset}")
            asked(connection)
            connection.socket.close()

        def resumes(connection: ServerConnection) -> None:
            _, fields = asked(connection)
            tell(connection, "published", id=fields["id"], topic="a", position="e-4", duplicate=True)
            _, fields = asked(connection)
            requests.append(fields)
            tell(connection, "subscribed", id=fields["id"], topic="a", position="e-4", recovered=3, gap=False)
            for offset in (2, 3, 4, 5):
                tell(connection, "message", topic="a", position=f"e-{offset}", data=offset)

        async with scriptedHere(publishes, resumes) as url:
            peer = Peer(url)
            subscription = peer.client.subscribe("a", peer.messages.append)
            await gatherResults([peer.client.publish("a", number) for number in (1, 3, 4)])
            await soon(lambda: subscription.position == "e-5")
            peer.client.close()
        assert (requests[0]["since"], peer.payloads) == ("e-1", [2, 5])


class Watching:
    """`wsd topics watch`, and what it has said."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._out = folder / "out.txt"
        with self._out.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "wsd", "topics", "watch", *arguments],
                cwd=folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def lines(self, least: int) -> list[str]:
        """What it has said, as soon as it is so many lines."""
        until(lambda: len(self._out.read_text().splitlines()) >= least, f"{least} lines")
        return self._out.read_text().splitlines()


@contextmanager
def watching(folder: Path, *arguments: str) -> Iterator[Watching]:
    found = Watching(folder, *arguments)
    try:
        yield found
    finally:
        found.process.kill()
        found.process.wait()


def publish(folder: Path, server: TopicsServer, *arguments: str, stdin: str = "") -> list[str]:
    """The positions that `wsd topics publish` prints."""
    done = subprocess.run(
        [sys.executable, "-m", "wsd", "topics", "publish", server.url(), *arguments],
        cwd=folder,
        env=environment(),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


class TestTheCommandLine:
    def test_publishes_and_watches(self, tmp_path: Path, server: TopicsServer) -> None:
        (first,) = publish(tmp_path, server, "shown", '{"größe": 1}', "--key", "k")
        epoch = first.partition("-")[0]
        lines = publish(tmp_path, server, "shown", stdin='one\n\n{"n": 2}\nthree')
        assert lines == [f"{epoch}-2", f"{epoch}-3", f"{epoch}-4"]
        with watching(tmp_path, server.url(), "shown", "--since", first) as watch:
            assert watch.lines(3) == [f"shown {epoch}-2 one", f'shown {epoch}-3 {{"n": 2}}', f"shown {epoch}-4 three"]
        with watching(tmp_path, server.url(), "shown", "--history", "1", "--last", "--json") as watch:
            assert [json.loads(line) for line in watch.lines(2)] == [
                {"message": {"topic": "shown", "position": first, "key": "k", "data": {"größe": 1}}},
                {"message": {"topic": "shown", "position": f"{epoch}-4", "text": "three"}},
            ]

    def test_publishes_once(self, tmp_path: Path, server: TopicsServer) -> None:
        first = publish(tmp_path, server, "once", "--once", "key", stdin="1\n2\n")
        assert publish(tmp_path, server, "once", "--once", "key", stdin="1\n2\n3\n")[:2] == first
        assert publish(tmp_path, server, "once", "--once", "key/0", "1") == first[:1]

    def test_publishes_more_lines_than_may_wait(self, tmp_path: Path, server: TopicsServer) -> None:
        positions = publish(tmp_path, server, "lines", stdin="".join(f"{number}\n" for number in range(1000)))
        assert [int(position.partition("-")[2]) for position in positions] == list(range(1, 1001))

    def test_watches_on_after_the_daemon_was_killed(self, tmp_path: Path, server: TopicsServer) -> None:
        (position,) = publish(tmp_path, server, "goes/on", "1")
        with watching(tmp_path, server.url(), "goes/on", "--history", "1") as watch:
            watch.lines(1)
            server.kill()
            server.start()
            publish(tmp_path, server, "goes/on", "2")
            until(lambda: watch.lines(2)[-1].endswith("-2 2"), "the second message")
            first, *lost, last = watch.lines(3)
        assert (first, last) == (f"goes/on {position} 1", f"goes/on {position[:-2]}-2 2")
        assert all(re.match(r"wsd: the connection was lost: .*; retrying in \d\.\d s$", line) for line in lost)

    def test_says_nothing_when_it_is_interrupted(self, tmp_path: Path, server: TopicsServer) -> None:
        (position,) = publish(tmp_path, server, "interrupted", "1")
        with watching(tmp_path, server.url(), "interrupted", "--history", "1") as watch:
            watch.lines(1)
            watch.process.send_signal(signal.SIGINT)
            watch.process.wait(30)
            assert watch.lines(1) == [f"interrupted {position} 1"]

    def test_shows_who_is_present(self, tmp_path: Path, server: TopicsServer) -> None:
        assert wsd(tmp_path, "topics", "presence", server.url(), "empty").stdout == ""
        script = """if True:
            from twisted.internet import reactor
            from wsd.client.topics import TopicsClient
            client = TopicsClient(reactor, %r)
            client.enter("here", {"name": "Ann"}).addCallback(lambda member: print(member, flush=True))
            reactor.run()"""
        ann = subprocess.Popen(
            [sys.executable, "-c", script % server.url()], env=environment(), stdout=subprocess.PIPE, text=True
        )
        with watching(tmp_path, server.url(), "here", "--presence") as watch:
            try:
                assert ann.stdout is not None
                member = ann.stdout.readline().strip()
                line = f'{member} {{"name": "Ann"}}'
                assert wsd(tmp_path, "topics", "presence", server.url(), "here").stdout == f"{line}\n"
                assert watch.lines(1)[0] in (f"here join: {line}", f"here present: {line}")
            finally:
                ann.kill()
                ann.communicate()
            assert watch.lines(2)[1] == f"here leave: {line}"

    def test_reads_a_token_from_a_file(self, tmp_path: Path, server: TopicsServer) -> None:
        (tmp_path / "token").write_text(tokenFor(1.5) + "\n")
        with watching(tmp_path, server.url(route="guarded"), "--token", "@token") as watch:
            watch.lines(1)  # it has expired, and the file has no other one
        done = wsd(tmp_path, "topics", "watch", server.url(route="guarded"), "a", "--token", tokenFor(1.5))
        assert (done.returncode, done.stdout) == (1, "")
        assert re.search(r"4001 the token has expired; get a new one, and connect again \[\w{10}\]\n\Z", done.stderr)

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["watch", "URL", "a//b"], "URL: 'a//b' has an empty level; write a single / between two levels"),
            (["watch", "URL", "a", "--since", "x"], "URL: 'x' is not a position; use one from the server"),
            (["watch", "URL", "a", "b", "--since", "x-1"], "--since: a position belongs to one topic; name one TOPIC"),
            (["watch", "URL", "a", "--since", "x-1", "--history", "1"], "use either --since or --history"),
            (["watch", "URL", "--history", "1"], "URL: a filter has no history of its own"),
            (["publish", "URL", "a/#", "1"], "URL: 'a/#' has a wildcard; only a subscription may have + and #"),
            (["presence", "URL", ""], "URL: topic must be a string of 1 to 200 characters"),
            (["watch", "ECHO"], "ECHO: does not support topics.wsd.v1; is this a topics route?"),
            (["watch", "ftp://localhost"], "ftp://localhost: is not a WebSocket "),
            (["watch", "URL", "--token", "a.b.c"], "URL: refused with 401 Unauthorized: this route accepts no tokens"),
            (["watch", "URL", "--token", "@nowhere"], "URL: --token: No such file or directory"),
        ],
    )
    def test_says_in_one_line_what_is_wrong(
        self, tmp_path: Path, server: TopicsServer, arguments: list[str], said: str
    ) -> None:
        words = {"URL": server.url(), "ECHO": server.url().replace("topics/", "echo")}
        done = wsd(tmp_path, "topics", *(words.get(each, each) for each in arguments))
        for word, url in words.items():
            said = said.replace(word, url)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"wsd: {said}")
        assert done.stderr.count("\n") == 1

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["publish", "ws://a/", "a", "1", "--ttl", "0"], '"0" is not a number of seconds above 0'),
            (["watch", "ws://a/", "--history", "-1"], '"-1" is not a number of messages; write one such as 10'),
            (["watch", "ws://a/", "--history", "x"], '"x" is not a number of messages; write one such as 10'),
            (["watch"], "the following arguments are required: URL"),
        ],
    )
    def test_tells_what_is_no_command(self, tmp_path: Path, arguments: list[str], said: str) -> None:
        done = wsd(tmp_path, "topics", *arguments)
        assert done.returncode == 2
        assert said in done.stderr.splitlines()[-1]
