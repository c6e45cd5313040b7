"""The command `wsd backup`."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

from wsd.backup.folder import FolderCopy
from wsd.commands import Commands
from wsd.config import ConfigError
from wsd.config.files import readFile
from wsd.config.state import LOCK, foundFolder, whoMay
from wsd.protocols import optionsOf
from wsd.uses import offerOf

_DESCRIPTION = (
    "The daemon may keep running. The copy is complete as soon as it appears. To restore it, stop the daemon, and copy "
    "it to the place of the state folder."
)


def addCommands(commands: Commands) -> None:
    """Add `wsd backup`."""
    parser = commands.add("backup", "Copy the state folder: databases, stored files, keys.", _run, _DESCRIPTION)
    parser.add_argument("folder", metavar="DIR", help="the target: a new or an empty folder")
    parser.add_argument("--from", dest="source", metavar="FOLDER", help="the state folder (default: the daemon's)")
    parser.add_argument(
        "-c", "--config", metavar="FILE", help="the configuration file, to be warned of stores outside the state folder"
    )


def _run(arguments: Namespace) -> None:
    source = Path(arguments.source or foundFolder(os.environ, LOCK))
    warnings = list(_outside(arguments.config or os.environ.get("WSD_CONFIG"), source))
    copy = FolderCopy(source, Path(arguments.folder))
    signal.signal(signal.SIGTERM, _interrupted)
    signal.signal(signal.SIGINT, _interrupted)
    try:
        copy.make()
    except OSError as error:
        hint = f"; run this as {whoMay(source)}" if isinstance(error, PermissionError) else ""
        raise ConfigError(f"nothing was backed up: {error.filename or source}: {error.strerror}{hint}") from None
    except sqlite3.Error as error:
        raise ConfigError(f"nothing was backed up: a database in {source} cannot be read: {error}") from None
    print(f"{source}: {copy.databases} databases copied, {copy.linked} files linked, {copy.copied} files copied")
    for warning in warnings:
        print(f"wsd: {warning}", file=sys.stderr)


def _interrupted(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit("wsd: nothing was backed up: interrupted")


def _outside(path: str | None, source: Path) -> Iterator[str]:
    """A sentence for each store of the configuration that is not in the state folder. Raises ConfigError."""
    if path is None:
        return
    config = readFile(path, optionsOf, environ=os.environ, offer=offerOf(os.environ))
    for route, each in config.routes.items():
        stores = {getattr(options, "store", None) for options in each.options.values()}
        for store in sorted(filter(None, stores)):
            if not Path(store).resolve().is_relative_to(source.resolve()):
                yield f'route."{route}": {store} is outside the state folder and was not backed up'
