"""Runs the daemon in the foreground without twistd, for `wsd serve` and `wsd standalone`."""

from __future__ import annotations

from twisted.application.app import startApplication
from twisted.application.service import Application
from twisted.logger import ILogObserver, globalLogBeginner

from wsd import tap


def runForeground(options: tap.Options) -> None:
    """Serve until a signal ends it. Raises SystemExit with one line for an error. Writes no files of its own."""
    logged = tap.makeService(options)
    application = Application("wsd")
    logged.setServiceParent(application)
    globalLogBeginner.beginLoggingTo([ILogObserver(application)], redirectStandardIO=False)
    startApplication(application, False)
    from twisted.internet import reactor

    reactor.run()
