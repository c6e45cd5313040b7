"""`wsd topics watch`, `publish` and `presence`: topics from the command line."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from base64 import b64encode
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.stdio import StandardIO
from twisted.internet.task import react
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from wsd.client.show import WIDTH
from wsd.client.topics.client import TopicsClient
from wsd.client.topics.link import TopicsError
from wsd.client.topics.subscription import Gap, ReceivedMessage, given
from wsd.client.trust import addTrust
from wsd.client.url import shownUrl
from wsd.commands import Commands
from wsd.config.values import printable
from wsd.policies.timer import keepTime

_IN_FLIGHT = 100
"""Lines of stdin that may wait for their acknowledgement."""
_LONGEST_LINE = 16 << 20


class _Session:
    """One run of a command: it ends when `over` fires."""

    def __init__(self, reactor: Any, arguments: Namespace) -> None:
        self.arguments = arguments
        self.over: Deferred[None] = Deferred()
        self._wasOpen = False
        self._isInterrupted = False
        self.client = TopicsClient(
            reactor,
            arguments.url,
            _tokenOf(arguments.token),
            onOpened=self._opened,
            onClosed=self._closed,
            onFailed=self.fail,
            ca=arguments.ca,
            insecure=arguments.insecure,
        )
        reactor.addSystemEventTrigger("before", "shutdown", self._interrupted)

    def _interrupted(self) -> None:
        """The reactor stops, and nothing is to be said of the connection."""
        self._isInterrupted = True
        self.client.close()

    def _opened(self) -> None:
        self._wasOpen = True

    def _closed(self, code: int | None, sentence: str, retry: float | None) -> None:
        """The first connection must come about; later ones are tried for as long as it takes."""
        if self._isInterrupted:
            return
        if retry is None or not self._wasOpen:
            self.fail(TopicsError("closed", sentence))
        else:
            print(f"wsd: the connection is lost: {sentence}; trying again in {retry:.1f} s", file=sys.stderr)

    def fail(self, error: BaseException) -> None:
        """End with a sentence."""
        if not self.over.called:
            self.over.errback(error)

    def failed(self, failure: Failure) -> None:
        """The same for a failure."""
        assert failure.value is not None
        self.fail(failure.value)


def _tokenOf(text: str | None) -> Any:
    """A token, or what reads it from its file."""
    if text is None or not text.startswith("@"):
        return text

    def read() -> str:
        with open(text[1:]) as file:
            return file.read().strip()

    return read


def _react(arguments: Namespace, run: Callable[[_Session], Awaitable[None]]) -> None:
    """Run a command. Raises SystemExit: 0, or with one line for stderr."""

    async def main(reactor: Any) -> None:
        keepTime(reactor)
        session = _Session(reactor, arguments)
        try:
            await run(session)
        except (TopicsError, OSError) as error:
            sentence = error.sentence if isinstance(error, TopicsError) else f"--token: {error.strerror}"
            raise SystemExit(f"wsd: {shownUrl(arguments.url)}: {printable(sentence)}") from None
        finally:
            session.client.close()

    react(lambda reactor: ensureDeferred(main(reactor)))


# -- watch ------------------------------------------------------------------------------------------------------------


def watch(arguments: Namespace) -> None:
    """Show what is published, until it is interrupted."""
    if arguments.since is not None and len(arguments.topic) != 1:
        raise SystemExit("wsd: --since: a position is that of one topic; name one TOPIC")
    if arguments.since is not None and arguments.history:
        raise SystemExit("wsd: --since and --history are two beginnings; write one of them")
    _react(arguments, _watch)


async def _watch(session: _Session) -> None:
    arguments = session.arguments
    show = _Lines() if arguments.json else _Words()
    for topic in dict.fromkeys(arguments.topic or ["#"]):
        subscription = session.client.subscribe(
            topic,
            show.message,
            since=arguments.since,
            history=arguments.history,
            last=arguments.last,
            onGap=show.gap,
            onPresence=show.presence if arguments.presence else None,
            onMembers=partial(show.members, topic) if arguments.presence else None,
        )
        subscription.ready.addErrback(session.failed)
    await session.over


class _Words:
    """A line for a person."""

    def message(self, message: ReceivedMessage) -> None:
        """`TOPIC POSITION [key=KEY] PAYLOAD`."""
        key = "" if message.key is None else f" key={printable(message.key)}"
        print(f"{printable(message.topic)} {message.position}{key} {_shown(message)}", flush=True)

    def gap(self, gap: Gap) -> None:
        """Messages are lost."""
        count = "messages" if gap.skipped is None else f"{gap.skipped} messages"
        print(f"{printable(gap.topic)} gap: {count} were missed", flush=True)

    def presence(self, fields: dict[str, Any]) -> None:
        """Somebody comes, changes or goes."""
        print(f"{printable(fields['topic'])} {fields['change']}: {_memberLine(fields)}", flush=True)

    def members(self, topic: str, members: list[dict[str, Any]]) -> None:
        """Who is there."""
        for member in members:
            print(f"{printable(topic)} present: {_memberLine(member)}", flush=True)


class _Lines:
    """A line of JSON for a program: envelopes of topics.wsd.v1, with binary payloads in base64."""

    def message(self, message: ReceivedMessage) -> None:
        """A message."""
        binary = message.form == "binary"
        payload = {"base64": b64encode(message.payload).decode()} if binary else {message.form: message.payload}
        fields = given(topic=message.topic, position=message.position, key=message.key, type=message.mediaType)
        self._say("message", {**fields, **payload})

    def gap(self, gap: Gap) -> None:
        """Messages are lost."""
        self._say("gap", given(topic=gap.topic, position=gap.position, skipped=gap.skipped))

    def presence(self, fields: dict[str, Any]) -> None:
        """Somebody comes, changes or goes."""
        self._say("presence", fields)

    def members(self, topic: str, members: list[dict[str, Any]]) -> None:
        """Who is there."""
        self._say("members", {"topic": topic, "members": members})

    def _say(self, name: str, fields: dict[str, Any]) -> None:
        print(json.dumps({name: fields}, ensure_ascii=False), flush=True)


def _shown(message: ReceivedMessage) -> str:
    payload = message.payload
    if isinstance(payload, bytes):
        text = f"{len(payload)} byte{'s' * (len(payload) != 1)}: {payload[:WIDTH].hex(' ')}"
    else:
        text = payload if message.form == "text" else json.dumps(payload, ensure_ascii=False)
    return printable(text[:WIDTH]) + ("..." if len(text) > WIDTH else "")


def _memberLine(member: dict[str, Any]) -> str:
    user = "" if "user" not in member else f" user={member['user']}"
    return printable(f"{member['member']}{user} {json.dumps(member['state'], ensure_ascii=False)}")


# -- publish ----------------------------------------------------------------------------------------------------------


def publish(arguments: Namespace) -> None:
    """Publish a message, or each line of stdin, and print the positions."""
    _react(arguments, _publishLines if arguments.message == "-" else _publishOne)


async def _publishOne(session: _Session) -> None:
    done = _published(session, session.arguments.message, session.arguments.once)
    done.addCallbacks(lambda _: session.over.callback(None), session.failed)
    await session.over


def _published(session: _Session, text: str, once: str | None) -> Deferred[None]:
    """Publish a text, as JSON where it is JSON."""
    arguments = session.arguments
    payload, form = _payloadOf(text)
    done = session.client.publish(arguments.topic, payload, form=form, key=arguments.key, ttl=arguments.ttl, once=once)
    return done.addCallback(lambda position: print(position, flush=True))


def _payloadOf(text: str) -> tuple[Any, str]:
    try:
        return json.loads(text), "data"
    except (ValueError, RecursionError):
        return text, "text"


class _Stdin(LineReceiver):
    """Publishes each line; no more is read while many wait for their acknowledgement."""

    transport: Any
    delimiter = b"\n"
    MAX_LENGTH = _LONGEST_LINE

    def __init__(self, session: _Session) -> None:
        self._session = session
        self._count = 0
        self._waiting = 0
        self._isAtEnd = False

    def lineReceived(self, line: bytes) -> None:
        """A line. An empty one is no message."""
        text = line.decode("utf-8", "replace").rstrip("\r")
        if not text:
            return
        once = self._session.arguments.once
        self._waiting += 1
        done = _published(self._session, text, None if once is None else f"{once}/{self._count}")
        self._count += 1
        done.addCallbacks(self._acknowledged, self._session.failed)
        if self._waiting == _IN_FLIGHT:
            self.transport.pauseProducing()

    def _acknowledged(self, _: None) -> None:
        if self._waiting == _IN_FLIGHT and not self._isAtEnd:
            self.transport.resumeProducing()
        self._waiting -= 1
        self._endIfDone()

    def connectionLost(self, reason: Any = None) -> None:
        """The end of stdin; what stands behind the last line's end is a line too."""
        rest = self.clearLineBuffer()
        if rest:
            self.lineReceived(rest)
        self._isAtEnd = True
        self._endIfDone()

    def _endIfDone(self) -> None:
        if self._isAtEnd and not self._waiting and not self._session.over.called:
            self._session.over.callback(None)


async def _publishLines(session: _Session) -> None:
    StandardIO(_Stdin(session))
    await session.over


# -- presence ---------------------------------------------------------------------------------------------------------


def presence(arguments: Namespace) -> None:
    """Print who is present: a line for each member."""
    _react(arguments, _presence)


async def _presence(session: _Session) -> None:
    done = session.client.members(session.arguments.topic)
    done.addCallbacks(lambda members: _printMembers(session, members), session.failed)
    await session.over


def _printMembers(session: _Session, members: list[dict[str, Any]]) -> None:
    for member in members:
        print(_memberLine(member))
    session.over.callback(None)


# -- arguments --------------------------------------------------------------------------------------------------------


def _takesUrl(parser: ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", help="the route: ws://localhost:9998/topics/, or wss:// for TLS")


def _takesAccess(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--token", metavar="TOKEN", help="a JWT; @FILE reads it from a file, again whenever a new one is needed"
    )
    addTrust(parser)


def _takesWatch(parser: ArgumentParser) -> None:
    _takesUrl(parser)
    parser.add_argument("topic", metavar="TOPIC", nargs="*", help='topics or filters, such as "quotes/+" (default: #)')
    parser.add_argument("--since", metavar="POSITION", help="begin behind this position of the one TOPIC")
    parser.add_argument("--history", type=_count, default=0, metavar="N", help="begin with the newest N messages")
    parser.add_argument("--last", action="store_true", help="begin with the last value of each key")
    parser.add_argument("--presence", action="store_true", help="show who is present, and who comes and goes")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each message, for programs")
    _takesAccess(parser)


def _takesPublish(parser: ArgumentParser) -> None:
    _takesUrl(parser)
    parser.add_argument("topic", metavar="TOPIC", help="where to")
    parser.add_argument(
        "message", metavar="MESSAGE", nargs="?", default="-", help="JSON or any text; - is each line of stdin (default)"
    )
    parser.add_argument("--key", metavar="KEY", help="make it the last value of this key")
    parser.add_argument("--ttl", type=_seconds, metavar="SECONDS", help="how long it is kept")
    parser.add_argument(
        "--once", metavar="KEY", help="an idempotency key: a second run with it publishes nothing; lines are KEY/0, ..."
    )
    _takesAccess(parser)


def _takesPresence(parser: ArgumentParser) -> None:
    _takesUrl(parser)
    parser.add_argument("topic", metavar="TOPIC", help="where")
    _takesAccess(parser)


def _count(text: str) -> int:
    if not text.isdecimal() or not text.isascii():
        raise ArgumentTypeError(f'"{text}" is no number of messages; write one such as 10')
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ArgumentTypeError(f'"{text}" is no number of seconds above 0')
    return seconds


def addCommands(commands: Commands) -> None:
    """Add `wsd topics`."""
    group = commands.group("topics", "Watch topics, publish to them, and list who is present.")
    _takesWatch(group.add("watch", "Print messages as they are published, until interrupted.", watch))
    _takesPublish(
        group.add("publish", "Publish a message, or each line of standard input, and print the positions.", publish)
    )
    _takesPresence(group.add("presence", "List who is present at a topic.", presence))
