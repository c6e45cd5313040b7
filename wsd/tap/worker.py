"""The entry of a worker, which its parent starts with a channel as descriptor 3: `python -m wsd.tap.worker REACTOR`."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from twisted.application.app import startApplication
from twisted.application.service import Application
from twisted.logger import ILogObserver, LogEvent, Logger, globalLogBeginner

from wsd.config import Config, ConfigError
from wsd.logs import textOf

_log = Logger(namespace="wsd")


def main() -> None:
    """Serve until the parent or a signal ends it."""
    import_module(sys.argv[1]).install()
    from twisted.internet import reactor

    _Process(reactor).run()


class _Process:
    """Prepares for a worker, and becomes one when the parent says which."""

    def __init__(self, reactor: Any) -> None:
        from wsd.processes.channel import ProcessChannel
        from wsd.processes.child import CHANNEL

        self._reactor = reactor
        self._worker: Any = None
        self._isStopping = False
        self._options: Any = None
        self._fields: dict[str, Any] = {}
        self._channel = ProcessChannel(reactor, socket.socket(fileno=CHANNEL), self._received, self._lost)

    def run(self) -> None:
        """Run the reactor. Raises SystemExit with the status 1 if the worker could not start."""
        self._reactor.callWhenRunning(self._setSignals)
        self._reactor.run()
        daemon = self._worker.daemon if self._worker is not None else None
        if daemon is None or daemon.hasFailed:
            raise SystemExit(1)

    def _setSignals(self) -> None:
        """A terminal and systemd send signals to all processes: the parent acts on them, and a TERM counts once."""
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._reactor.callFromThread(self._stop))

    def _stop(self) -> None:
        if self._worker is not None:
            self._worker.stop()
        else:
            self._stopReactor()

    def _stopReactor(self) -> None:
        """End before the worker is there. TERM, the end of the channel and a start that fails may come together."""
        if not self._isStopping:
            self._isStopping = True
            self._reactor.stop()

    def _received(self, message: Any) -> None:
        if self._worker is not None:
            self._worker.received(message)
        elif message.kind == "prepare":
            self._fields = message.fields
            self._attempt(self._prepare)
        else:
            self._attempt(self._start, message)

    def _attempt(self, call: Callable[..., None], *arguments: Any) -> None:
        """Call, or log why that failed and end."""
        from wsd.service import CannotListen

        try:
            call(*arguments)
        except Exception as error:
            if isinstance(error, (ConfigError, CannotListen)):
                _log.critical("wsd: {sentence}", event="daemon.unusable", sentence=str(error))
            else:
                _log.failure("wsd cannot start")
            self._stopReactor()

    def _prepare(self) -> None:
        """Import what a worker needs: the daemon, and the protocols that the options name."""
        import wsd.processes.worker  # noqa: F401
        from wsd.policies.timer import keepTime
        from wsd.tap.options import Options

        os.chdir(self._fields["folder"])
        keepTime(self._reactor)
        self._options = Options()
        self._options.parseOptions(self._fields["arguments"])
        if not self._fields["usesByDefault"]:
            self._options.withoutUses()

    def _start(self, message: Any) -> None:
        """Start the worker, with the configuration as it is now."""
        from wsd.control.socket import ControlSocket
        from wsd.processes.worker import startWorker
        from wsd.service.steering import Steering
        from wsd.tap.log import LoggedService

        options, forward = self._options, None if self._fields["logIsShared"] else self._forward
        logged: Any = LoggedService(options, self._reactor, message.fields["worker"], forward)
        application = Application("wsd")
        logged.setServiceParent(application)
        globalLogBeginner.beginLoggingTo([ILogObserver(application)], redirectStandardIO=False)
        self._worker = worker = startWorker(self._reactor, message, self._configNow(), logged.reread)
        worker.channel = self._channel
        worker.daemon.reloading.add(logged.prepare)
        steering = Steering(worker.daemon, logged.threshold)
        worker.daemon.control = ControlSocket(self._reactor, os.environ, steering, message.fields["worker"])
        worker.daemon.setServiceParent(logged)
        startApplication(application, False)

    def _configNow(self) -> Config:
        """The configuration as it is now or, if somebody is editing it, as it was when this process was prepared."""
        config: Config = self._options.config
        try:
            config = self._options.reread()
        except ConfigError as error:
            _log.warn(
                "this worker starts with an older configuration: {sentence}",
                event="worker.outdated",
                sentence=str(error),
            )
        return config

    def _forward(self, event: LogEvent) -> None:
        """Let the parent log an event."""
        fields = {name: event[name] for name in ("id", "event") if isinstance(event.get(name), str)}
        fields |= {"time": event["log_time"], "level": event["log_level"].name, "text": textOf(event)}
        self._channel.send("log", fields)

    def _lost(self, reason: Any) -> None:
        if self._worker is not None:
            self._worker.lost(reason)
        else:
            self._stopReactor()


if __name__ == "__main__":
    main()
