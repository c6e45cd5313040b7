"""What holds for every test."""

from __future__ import annotations

import sys

from hypothesis import settings
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)

_criticalAlone = LogLevelFilterPredicate(LogLevel.critical)
# Before logging begins, Twisted keeps all events for those who come later, and with them whatever has logged them:
# servers with open stores, by the hundred.
globalLogBeginner.beginLoggingTo(
    [FilteringLogObserver(textFileLogObserver(sys.stderr), [_criticalAlone])],
    discardBuffer=True,
    redirectStandardIO=False,
)

# How long an example takes depends on what else the machine does.
settings.register_profile("wsd", deadline=None)
settings.load_profile("wsd")
