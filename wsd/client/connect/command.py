"""The command line of `wsd connect`."""

from __future__ import annotations

import os
import signal
import sys
from argparse import ArgumentTypeError, Namespace
from typing import Any, NoReturn

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from wsd.client.connect.pipe import PipeFront, PipeOptions
from wsd.client.connect.session import ClientSession, SessionOptions
from wsd.client.failures import ExitStatus, Unanswered
from wsd.client.show import URL_HELP
from wsd.client.target import Target, addTarget, targetOf
from wsd.client.url import shownUrl
from wsd.commands import Commands
from wsd.config.values import printable, sizeOf
from wsd.policies.timer import keepTime

_DESCRIPTION = (
    "In a terminal it is interactive: type messages; /help lists the commands. In a pipe, each line of standard input "
    "is sent as a message, and each received message is written as a line. Exit status: 0 closed normally, 1 handshake "
    "refused, 2 wrong command line or input, 3 no connection, 4 closed abnormally, 5 fewer messages than --messages, "
    "130 interrupted."
)
_SIGNALS = {signal.SIGINT: ExitStatus.INTERRUPTED, signal.SIGTERM: ExitStatus.TERMINATED}


def addCommands(commands: Commands) -> None:
    """Add `wsd connect`."""
    parser = commands.add("connect", "Connect to a WebSocket server, from a terminal or a pipe.", run, _DESCRIPTION)
    parser.add_argument("url", metavar="URL", help=URL_HELP)
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--lines",
        action="store_true",
        help="send each line as a text message (default, except in a terminal)",
    )
    form.add_argument(
        "--binary", action="store_true", help="send the whole input as one binary message, and write messages unchanged"
    )
    form.add_argument(
        "--chunk", type=_size, metavar="SIZE", help="like --binary, but send messages of this size, such as 64KiB"
    )
    parser.add_argument("--messages", type=_count, metavar="N", help="exit after N messages have been received")
    parser.add_argument(
        "--wait",
        type=_seconds,
        metavar="SECONDS",
        help="how long to wait for messages after the input has ended; inf waits until the server closes "
        "(default: 1; with --messages: inf)",
    )
    parser.add_argument(
        "--reconnect", action="store_true", help="reconnect after a lost or failed connection, with increasing delays"
    )
    parser.add_argument(
        "--print",
        choices=("messages", "handshake", "all"),
        default="messages",
        help="what to print: messages (default), handshake for the handshake too, or all, which adds sent messages, "
        "pings, pongs and closes. In a pipe, everything except messages goes to standard error",
    )
    addTarget(parser)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f'"{printable(text)}" is not a number of messages; write 1 or more')
    return int(text)


def _size(text: str) -> int:
    try:
        size = sizeOf(int(text) if text.isascii() and text.isdecimal() else text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
    if size < 1:
        raise ArgumentTypeError("0 is not a size; write 1 or more")
    return size


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise ArgumentTypeError(f'"{printable(text)}" is not a number of seconds; write one such as 2.5, or inf')
    return seconds


def run(arguments: Namespace) -> None:
    """Run the command. Raises SystemExit with an `ExitStatus`, after one line on stderr for an error."""
    try:
        target = targetOf(arguments)
    except Unanswered as error:
        _exit(str(error), error.status)
    isPipe = arguments.lines or arguments.binary or arguments.chunk is not None
    interactive = not isPipe and _isTerminal()
    if interactive:
        from wsd.client.connect.terminal import installReactor

        installReactor()
    react(_main, (target, arguments, interactive))


def _isTerminal() -> bool:
    """Whether a person sits at a terminal on which lines above the prompt can be written."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


async def _main(reactor: Any, target: Target, arguments: Namespace, interactive: bool) -> None:
    running: Deferred[None] = Deferred()
    reactor.callWhenRunning(running.callback, None)
    await running
    keepTime(reactor)
    session = ClientSession(reactor, target, SessionOptions(arguments.messages, arguments.wait, arguments.reconnect))
    handshake, frames = arguments.print in ("handshake", "all"), arguments.print == "all"
    front: Any
    if interactive:
        from wsd.client.connect.terminal import TerminalFront

        front = TerminalFront(reactor, session, shownUrl(target.url), handshake, frames)
    else:
        binary = arguments.binary or arguments.chunk is not None
        front = PipeFront(reactor, session, PipeOptions(binary, arguments.chunk, handshake, frames))
    session.front = front
    _catch(reactor, session)
    outcome = await session.run()
    if front.fault is not None:
        _exit(str(front.fault), front.fault.status)
    _exit(f"{shownUrl(target.url)}: {outcome.sentence}" if outcome.sentence else None, outcome.status)


def _catch(reactor: Any, session: ClientSession) -> None:
    """End the session at a signal; a second one ends the process."""

    def handle(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        reactor.callFromThread(session.interrupt, _SIGNALS[signal.Signals(number)])

    for number in _SIGNALS:
        signal.signal(number, handle)


def _exit(sentence: str | None, status: ExitStatus) -> NoReturn:
    if sentence is not None:
        print(f"wsd: {sentence}", file=sys.stderr)
    raise SystemExit(int(status))
