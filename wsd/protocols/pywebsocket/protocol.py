"""A route of handlers: it loads them from their files, and finds the one of a request."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.web.resource import IResource

from wsd.config import ConfigError
from wsd.connection import Factory, Refused, Request
from wsd.head import decodedPath
from wsd.protocols.pywebsocket.access import BasicAuth
from wsd.protocols.pywebsocket.cgi import Programs
from wsd.protocols.pywebsocket.connection import HandlerConnection
from wsd.protocols.pywebsocket.documents import DocumentRoot
from wsd.protocols.pywebsocket.handlers import Handler
from wsd.protocols.pywebsocket.options import HandlerOptions
from wsd.protocols.pywebsocket.threads import HandlerThreads

_LOOK = 1.0
"""Seconds between two checks for changed files."""
_LOADING = 60.0
"""The longest check in seconds, with the loading of changed files."""


class HandlerFactory(Factory):
    """A route with the handlers of a folder."""

    connection = HandlerConnection
    stateVersion = 1
    about = MappingProxyType(
        {
            "en": "A handler written for pywebsocket.",
            "zh": "为 pywebsocket 编写的处理程序。",
        }
    )
    Options = HandlerOptions
    statuses = MappingProxyType({421: 404, 426: 400})
    log = Logger(namespace="wsd")

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Raises ConfigError if a handler is broken and `handlers_strict` is set."""
        super().__init__(*arguments, **named)
        options: HandlerOptions = self.options
        self.threads = HandlerThreads(self.clock, options.threads)
        self.handlers = options.folder()
        self._loading = self.pool.share("handlers", self.route.path, threads=1, timeout=_LOADING)
        self._looking: LoopingCall | None = None
        loaded = self.handlers.load()
        if options.handlers_strict and self.handlers.warnings:
            raise ConfigError(f"{self.handlers.warnings[0]}; fix it, or set handlers_strict = false")
        self._tell(loaded)
        self.access = BasicAuth(options.basic_auth)
        self.programs = Programs(self.clock)

    def find(self, request: Request) -> tuple[Handler, str]:
        """Returns the handler of a request, and the URI that it is given. Raises Refused (404)."""
        head, route = request.head, self.route
        own = decodedPath(route.path)
        path = decodedPath(head.path)[len(own) :] if route.prefix else own[own.rindex("/") :]
        handler = self.handlers.find(path)
        if handler is None:
            raise Refused(404, f"there is no handler at {head.path[:80]}")
        return handler, head.path + (f"?{head.query}" if head.query or head.target.endswith("?") else "")

    def started(self) -> Deferred[Any] | None:
        """Begin to check for changed files."""
        self.metrics.setThreads(self.route.path, lambda: self.threads.busy)
        self._looking = LoopingCall(self._look)
        self._looking.clock = self.clock
        self._looking.start(_LOOK, now=False)
        return None

    def _tell(self, loaded: list[str]) -> None:
        for sentence in loaded:
            self.log.info("{sentence}", event="handler.loaded", sentence=sentence)
        for warning in self.handlers.warnings:
            self.log.warn("{sentence}", event="handler.broken", sentence=warning)

    def _look(self) -> Deferred[None]:
        """Load changed files, on a thread, since a handler may block while it is loaded."""

        def look() -> None:
            if self.handlers.hasChanged():
                self._tell(self.handlers.load())

        return self._loading.run(look).addErrback(
            lambda failure: self.log.failure("the handlers cannot be read", failure, event="handler.broken")
        )

    def paths(self) -> list[str]:
        """The path of each handler."""
        if not self.route.prefix:
            return [self.route.path]
        return [f"{self.route.path.rstrip('/')}{resource}" for resource in self.handlers.resources]

    def resource(self) -> IResource | None:
        """Answers HTTP with the files of `document_root`, if that is set."""
        options: HandlerOptions = self.options
        if options.document_root is None:
            return None
        return DocumentRoot(
            options.document_root, options.cgi_paths, self.programs, self.access, self.policies.max_message
        )

    def stopped(self) -> Deferred[Any] | None:
        """Stop the check for changes, the threads and the programs."""
        if self._looking is not None:
            self._looking.stop()
        self.programs.stop()
        self.threads.stop()
        return self._loading.stop()
