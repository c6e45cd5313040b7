"""`wsd topics watch`, `publish` and `presence`: topics from the command line."""

from __future__ import annotations

import json
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.stdio import StandardIO
from twisted.protocols.basic import LineReceiver

from wsd.client.topics.session import TopicsRun, runSession
from wsd.client.topics.shown import Lines, Words, memberLine
from wsd.client.trust import addTrust
from wsd.commands import Commands

_IN_FLIGHT = 100
"""Lines of stdin that may wait for their acknowledgement."""
_LONGEST_LINE = 16 << 20


# -- watch ------------------------------------------------------------------------------------------------------------


def watch(arguments: Namespace) -> None:
    """Show what is published, until it is interrupted."""
    if arguments.since is not None and len(arguments.topic) != 1:
        raise SystemExit("wsd: --since: a position belongs to one topic; name one TOPIC")
    if arguments.since is not None and arguments.history:
        raise SystemExit("wsd: use either --since or --history, not both")
    runSession(arguments, _watch)


async def _watch(session: TopicsRun) -> None:
    arguments = session.arguments
    show = Lines() if arguments.json else Words()
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


# -- publish ----------------------------------------------------------------------------------------------------------


def publish(arguments: Namespace) -> None:
    """Publish a message, or each line of stdin, and print the positions."""
    runSession(arguments, _publishLines if arguments.message == "-" else _publishOne)


async def _publishOne(session: TopicsRun) -> None:
    done = _published(session, session.arguments.message, session.arguments.once)
    done.addCallbacks(lambda _: session.over.callback(None), session.failed)
    await session.over


def _published(session: TopicsRun, text: str, once: str | None) -> Deferred[None]:
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

    def __init__(self, session: TopicsRun) -> None:
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


async def _publishLines(session: TopicsRun) -> None:
    StandardIO(_Stdin(session))
    await session.over


# -- presence ---------------------------------------------------------------------------------------------------------


def presence(arguments: Namespace) -> None:
    """Print who is present: a line for each member."""
    runSession(arguments, _presence)


async def _presence(session: TopicsRun) -> None:
    done = session.client.members(session.arguments.topic)
    done.addCallbacks(lambda members: _printMembers(session, members), session.failed)
    await session.over


def _printMembers(session: TopicsRun, members: list[dict[str, Any]]) -> None:
    for member in members:
        print(memberLine(member))
    session.over.callback(None)


# -- arguments --------------------------------------------------------------------------------------------------------


def _takesUrl(parser: ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", help="the route: ws://localhost:9998/topics/, or wss:// for TLS")


def _takesAccess(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--token", metavar="TOKEN", help="a JWT; @FILE reads it from a file, again for each new connection"
    )
    addTrust(parser)


def _takesWatch(parser: ArgumentParser) -> None:
    _takesUrl(parser)
    parser.add_argument("topic", metavar="TOPIC", nargs="*", help='topics or filters, such as "quotes/+" (default: #)')
    parser.add_argument("--since", metavar="POSITION", help="start after this position of the TOPIC")
    parser.add_argument("--history", type=_count, default=0, metavar="N", help="start with the newest N messages")
    parser.add_argument("--last", action="store_true", help="start with the last value of each key")
    parser.add_argument("--presence", action="store_true", help="show who is present, who joins and who leaves")
    parser.add_argument("--json", action="store_true", help="print one JSON object per message")
    _takesAccess(parser)


def _takesPublish(parser: ArgumentParser) -> None:
    _takesUrl(parser)
    parser.add_argument("topic", metavar="TOPIC", help="the topic to publish to")
    parser.add_argument(
        "message",
        metavar="MESSAGE",
        nargs="?",
        default="-",
        help="JSON or any text; - publishes each line of standard input (default)",
    )
    parser.add_argument("--key", metavar="KEY", help="store the message as the last value of this key")
    parser.add_argument("--ttl", type=_seconds, metavar="SECONDS", help="how long to keep the message")
    parser.add_argument(
        "--once",
        metavar="KEY",
        help="idempotency key: running the command again with it publishes nothing; lines get KEY/0, ...",
    )
    _takesAccess(parser)


def _takesPresence(parser: ArgumentParser) -> None:
    _takesUrl(parser)
    parser.add_argument("topic", metavar="TOPIC", help="the topic")
    _takesAccess(parser)


def _count(text: str) -> int:
    if not text.isdecimal() or not text.isascii():
        raise ArgumentTypeError(f'"{text}" is not a number of messages; write one such as 10')
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ArgumentTypeError(f'"{text}" is not a number of seconds above 0')
    return seconds


def addCommands(commands: Commands) -> None:
    """Add `wsd topics`."""
    group = commands.group("topics", "Watch topics, publish to them, and list who is present.")
    _takesWatch(group.add("watch", "Print messages as they are published, until interrupted.", watch))
    _takesPublish(
        group.add("publish", "Publish a message, or each line of standard input, and print the positions.", publish)
    )
    _takesPresence(group.add("presence", "List who is present at a topic.", presence))
