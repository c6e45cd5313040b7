"""Runs the daemon in the foreground without twistd, for `wsd serve` and `wsd standalone`."""

from __future__ import annotations

from typing import Any

from twisted.application.app import startApplication
from twisted.application.service import Application
from twisted.logger import ILogObserver, Logger, globalLogBeginner

from wsd import tap


def runForeground(options: tap.Options) -> None:
    """
    Serve until a signal ends it. Nothing is written to the working folder.

    Raises SystemExit: with one line for an error, or with the status 1 if the daemon has logged why it cannot start.
    """
    logged: Any = tap.makeService(options)
    daemon = logged.getServiceNamed("wsd")
    application = Application("wsd")
    logged.setServiceParent(application)
    globalLogBeginner.beginLoggingTo([ILogObserver(application)], redirectStandardIO=False)
    _announce(" or ".join(daemon.pages), options.config.log.file)
    startApplication(application, False)
    from twisted.internet import reactor

    reactor.run()
    if daemon.hasFailed:
        raise SystemExit(1)


def _announce(pages: str, logFile: str | None) -> None:
    """Tell which address to open in a browser: as the first line of the log or, if that is in a file, on stdout."""
    if logFile is not None:
        print(f"open {pages}; the log is in {logFile}" if pages else f"the log is in {logFile}", flush=True)
    elif pages:
        Logger(namespace="wsd").info("open {pages}", event="daemon.open", pages=pages)
