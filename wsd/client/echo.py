"""`wsd echo URL`: shows the handshake, sends messages, times the round trips, and closes."""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Sequence
from statistics import median
from typing import Any, NoReturn

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import react

from wsd.client.connection import ANSWER, OPENING, ClientConnection, connect
from wsd.client.failures import NO_ANSWER, NO_HANDSHAKE, ExitStatus, Unanswered, withTimeout
from wsd.client.show import URL_HELP, shown
from wsd.client.target import Target, addTarget, targetOf
from wsd.client.url import shownUrl
from wsd.commands import Commands
from wsd.config.values import printable
from wsd.policies.timer import keepTime


def addCommands(commands: Commands) -> None:
    """Add `wsd echo`."""
    parser = commands.add("echo", "Send messages to a server, show the handshake, and time the answers.", run)
    parser.add_argument("url", metavar="URL", help=URL_HELP)
    parser.add_argument(
        "message", nargs="*", type=_message, help='the text to send, each as one message (default: "hello")'
    )
    parser.add_argument("--count", type=int, default=1, metavar="N", help="send everything N times (default: 1)")
    addTarget(parser)


def _message(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ArgumentTypeError("is not UTF-8, but a text message must be") from None


def run(arguments: Namespace) -> None:
    """Talk as the arguments say. Raises SystemExit with an `ExitStatus`, after one line on stderr for an error."""
    if arguments.count < 1:
        _fail(f"--count: {arguments.count} is too small; write 1 or more", ExitStatus.USAGE)
    react(lambda reactor: ensureDeferred(_run(reactor, arguments)))


def _fail(sentence: str, status: ExitStatus) -> NoReturn:
    print(f"wsd: {sentence}", file=sys.stderr)
    raise SystemExit(int(status))


async def _run(reactor: Any, arguments: Namespace) -> None:
    keepTime(reactor)
    try:
        await talk(reactor, targetOf(arguments), (arguments.message or [b"hello"]) * arguments.count)
    except Unanswered as error:
        sys.stdout.flush()
        _fail(f"{shownUrl(arguments.url)}: {error}", error.status)


async def talk(reactor: Any, target: Target, messages: Sequence[bytes]) -> None:
    """Connect, send each message and print its answer, and close. Raises `Unanswered`."""
    connection = await connect(reactor, target, ClientConnection)
    hint = "; does it expect ws://?" if connection.factory.isSecure else ""
    try:
        await withTimeout(connection.opened, reactor, OPENING, NO_HANDSHAKE + hint)
    finally:
        print("\n".join(connection.heads))
    print(f"subprotocol: {printable(connection.websocket_protocol_in_use or 'none')}")
    print(f"extensions: {printable(connection.extensions or 'none')}")
    times: list[float] = []
    for payload in messages:
        print(f"sent {shown(payload, False)}")
        began = reactor.seconds()
        connection.sendMessage(payload)
        answer, isBinary, arrived = await withTimeout(
            connection.receive(), reactor, ANSWER, NO_ANSWER, ExitStatus.TOO_FEW
        )
        times.append((arrived - began) * 1000)
        print(f"got  {shown(answer, isBinary)} after {times[-1]:.2f} ms")
    if len(times) > 1:
        print(
            f"{len(times)} round trips: min {min(times):.2f} ms, median {median(times):.2f} ms, max {max(times):.2f} ms"
        )
    connection.close()
    said = await withTimeout(
        connection.closed, reactor, ANSWER, "the server did not close within {:g} seconds", ExitStatus.ABNORMAL
    )
    print(f"closed {said}")
