"""`wsd echo URL`: shows the handshake, sends messages, times the round trips, and closes."""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace
from statistics import median
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import react

from wsd.client.connection import ANSWER, NO_ANSWER, OPENING, WIDTH, Unanswered, addTrust, connect, withTimeout
from wsd.client.url import shownUrl
from wsd.commands import Commands
from wsd.config.values import printable, token
from wsd.policies.timer import keepTime


def addCommands(commands: Commands) -> None:
    """Add `wsd echo`."""
    parser = commands.add("echo", "Send messages to a server, show the handshake, and time the answers.", run)
    parser.add_argument("url", metavar="URL", help="ws://HOST:PORT/PATH, or wss:// for TLS")
    parser.add_argument(
        "message", nargs="*", type=_message, help='what to say, each as one text message (default: "hello")'
    )
    parser.add_argument(
        "--subprotocol",
        action="append",
        default=[],
        type=_subprotocol,
        metavar="NAME",
        help="offer it; repeatable, in order",
    )
    parser.add_argument("--count", type=int, default=1, metavar="N", help="say it all N times (default: 1)")
    addTrust(parser)


def _message(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ArgumentTypeError("is not UTF-8, and a text message must be") from None


def _subprotocol(text: str) -> str:
    try:
        return token(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def run(arguments: Namespace) -> None:
    """Talk as the arguments say. Raises SystemExit, with 0 or with one line for stderr."""
    if arguments.count < 1:
        raise SystemExit(f"wsd: --count: {arguments.count} is too little; write 1 or more")
    react(lambda reactor: ensureDeferred(_run(reactor, arguments)))


async def _run(reactor: Any, arguments: Namespace) -> None:
    keepTime(reactor)
    try:
        await talk(reactor, arguments)
    except Unanswered as error:
        raise SystemExit(f"wsd: {shownUrl(arguments.url)}: {error}") from None


async def talk(reactor: Any, arguments: Namespace) -> None:
    """Connect, send each message and print its answer, and close. Raises `Unanswered`."""
    connection = await connect(reactor, arguments, arguments.subprotocol)
    hint = "; does it want ws://?" if connection.factory.isSecure else ""
    await withTimeout(
        connection.opened, reactor, OPENING, "the server did not answer the handshake within {:g} seconds" + hint
    )
    times: list[float] = []
    for payload in (arguments.message or [b"hello"]) * arguments.count:
        print(f"sent {shown(payload, False)}")
        began = reactor.seconds()
        connection.sendMessage(payload)
        answer, isBinary, arrived = await withTimeout(connection.receive(), reactor, ANSWER, NO_ANSWER)
        times.append((arrived - began) * 1000)
        print(f"got  {shown(answer, isBinary)} after {times[-1]:.2f} ms")
    if len(times) > 1:
        print(
            f"{len(times)} round trips: {min(times):.2f} ms at least, {median(times):.2f} ms in the middle, "
            f"{max(times):.2f} ms at most"
        )
    connection.close()
    said = await withTimeout(connection.closed, reactor, ANSWER, "the server did not close within {:g} seconds")
    print(f"closed {said}")


def shown(payload: bytes, isBinary: bool) -> str:
    """A message on one line: its beginning, and its length."""
    whole = payload.hex(" ") if isBinary else payload.decode()
    begin = printable(whole[:WIDTH]) + ("..." if len(whole) > WIDTH else "")
    quote = "" if isBinary else '"'
    return f"{quote}{begin}{quote} ({'binary' if isBinary else 'text'}, {len(payload)} byte{'s' * (len(payload) != 1)})"
