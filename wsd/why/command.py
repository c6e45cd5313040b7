"""The command `wsd why`."""

from __future__ import annotations

import os
import re
from argparse import Namespace

from wsd.commands import Commands
from wsd.config import ConfigError
from wsd.config.files import readFile
from wsd.protocols import optionsOf
from wsd.uses import offerOf
from wsd.why.sources import find
from wsd.why.story import tell

_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{10}(?![0-9a-f])")
_DESCRIPTION = (
    "The id is at the end of a close reason, in the header X-Request-Id of a refusal, and on the error page. Without "
    "files, the log that the configuration names is searched, or the journal."
)

_USUAL = "/etc/wsd/wsd.toml"
"""The configuration of a daemon that systemd runs."""


def addCommands(commands: Commands) -> None:
    """Add `wsd why`."""
    parser = commands.add("why", "Tell why a connection was closed or a request refused.", _run, _DESCRIPTION)
    parser.add_argument("id", metavar="ID", help="the id, or a text that contains it, such as a close reason")
    parser.add_argument("files", metavar="FILE", nargs="*", help="log files; their rotated copies are read as well")
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        help=f"the configuration file, which names the log's files (default: {_USUAL}, if it exists)",
    )
    parser.add_argument("--unit", metavar="UNIT", default="wsd", help="the systemd unit of the daemon (default: wsd)")


def _run(arguments: Namespace) -> None:
    name = _idIn(arguments.id)
    files, unit = _placesOf(arguments)
    records, places = find(files, unit, name)
    if not records:
        raise SystemExit(
            f"wsd: there is no line about {name} in {', '.join(places)}; name other log files, or the configuration "
            "with --config, unless the line was deleted, or left out (log.level, access.enabled, access.sample, "
            "access.per_minute)"
        )
    print("\n".join(tell(records)))


def _idIn(text: str) -> str:
    """The last id in a text. Raises ConfigError if there is none."""
    found = _ID.findall(text)
    if not found:
        raise ConfigError(f'"{text}" has no id; an id is ten hexadecimal digits, such as 3f9a1b2c4d')
    return str(found[-1])


def _placesOf(arguments: Namespace) -> tuple[list[str], str | None]:
    """The files to search, and the unit whose journal is to be searched, or None."""
    if arguments.files:
        return arguments.files, None
    path = arguments.config or os.environ.get("WSD_CONFIG") or (_USUAL if os.path.exists(_USUAL) else None)
    config = readFile(path, optionsOf, offer=offerOf(os.environ), environ=os.environ)
    files = [file for file in (config.log.file, config.access.file) if file is not None]
    isInJournal = config.log.file is None or config.access.format == "journal"
    return files, arguments.unit if isInJournal else None
