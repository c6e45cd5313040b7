"""
The command line of `twistd wsd` and `twist wsd`: `options` over a file, checked before anything starts, and the `log`.

What is wrong is raised as SystemExit with one line: whichever command runs us then ends with that line on stderr and
the exit status 1, without a traceback and before it becomes a daemon.
"""

from __future__ import annotations

from twisted.application.service import IService

from wsd.config import ConfigError
from wsd.policies.timer import keepTime
from wsd.tap.files import checkFiles, readFile
from wsd.tap.log import LoggedService
from wsd.tap.options import Options, exitWith

__all__ = ["Options", "checkFiles", "makeService", "readFile"]


def makeService(options: Options) -> IService:
    """
    The daemon with its log, every listener bound.

    Raises SystemExit with one line when that cannot be: nothing is a daemon yet, and no log has been begun.
    """
    # Not before the command line was read: it may choose a reactor, and --help needs none of the daemon.
    from twisted.internet import reactor

    from wsd import service

    keepTime(reactor)
    try:
        logged = LoggedService(options, reactor)
    except ConfigError as error:
        raise exitWith(str(error)) from None
    except OSError as error:
        raise exitWith(
            f"log.file: {error.filename} cannot be written: {error.strerror}; name a file that wsd may write"
        ) from None
    try:
        service.makeService(options.config, reactor, logged.reread).setServiceParent(logged)
    except (ConfigError, service.CannotListen) as error:
        raise exitWith(str(error)) from None
    return logged
