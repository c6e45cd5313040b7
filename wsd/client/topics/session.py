"""A run of `wsd topics`: its client, and how it ends."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import react
from twisted.python.failure import Failure

from wsd.client.topics.client import TopicsClient
from wsd.client.topics.requests import TopicsError
from wsd.client.url import shownUrl
from wsd.config.values import printable
from wsd.policies.timer import keepTime


class TopicsRun:
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
            print(f"wsd: the connection was lost: {sentence}; retrying in {retry:.1f} s", file=sys.stderr)

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


def runSession(arguments: Namespace, run: Callable[[TopicsRun], Awaitable[None]]) -> None:
    """Run a command. Raises SystemExit: 0, or with one line for stderr."""

    async def main(reactor: Any) -> None:
        keepTime(reactor)
        session = TopicsRun(reactor, arguments)
        try:
            await run(session)
        except (TopicsError, OSError) as error:
            sentence = error.sentence if isinstance(error, TopicsError) else f"--token: {error.strerror}"
            raise SystemExit(f"wsd: {shownUrl(arguments.url)}: {printable(sentence)}") from None
        finally:
            session.client.close()

    react(lambda reactor: ensureDeferred(main(reactor)))
