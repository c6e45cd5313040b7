"""Finds the lines about a connection or a request: in log files, in their rotated copies, and in systemd's journal."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from wsd.config import ConfigError
from wsd.why.records import Record, fromJournal, recordOf

_OPEN: Mapping[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


def withRotated(path: str) -> list[Path]:
    """A log file and its rotated copies, such as wsd.log.1, wsd.log.2.gz and wsd.log-20261123; the oldest first."""
    file = Path(path)
    found = {file, *file.parent.glob(f"{file.name}.*"), *file.parent.glob(f"{file.name}-*")}
    return sorted((each for each in found if each.is_file()), key=lambda each: (each.stat().st_mtime, each.name))


def fromFile(path: Path, name: str) -> Iterator[Record]:
    """The records of a file about `name`. Raises ConfigError if it cannot be read."""
    wanted = name.encode()
    try:
        with _OPEN.get(path.suffix, open)(path, "rb") as file:
            for line in file:
                if wanted in line:
                    record = recordOf(line.decode(errors="replace"), name)
                    if record is not None:
                        yield record
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise ConfigError(f"cannot be read: {getattr(error, 'strerror', None) or error}", path=str(path)) from None


def fromSystemd(unit: str, name: str) -> Iterator[Record]:
    """
    The records of the journal about `name`: by the field of entries in its own protocol, else in the unit's lines.

    Raises ConfigError if there is no journal to read.
    """
    records = list(_matching((f"WSD_ID={name}",), name))
    yield from records or _matching((f"--unit={unit}",), name)


def _matching(matches: Sequence[str], name: str) -> Iterator[Record]:
    command = ["journalctl", "--output=json", "--all", "--no-pager", "--quiet", *matches]
    try:
        journal = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    except OSError as error:
        sentence = f"journalctl cannot be run ({error.strerror}); name the log's files, or --config"
        raise ConfigError(sentence) from None
    with journal:
        assert journal.stdout is not None
        assert journal.stderr is not None
        for line in journal.stdout:
            record = fromJournal(_entryOf(line), name) if name in line else None
            if record is not None:
                yield record
        complaint = journal.stderr.read().strip()
    # It ends with 1 if nothing matches, too.
    if journal.returncode and complaint:
        raise ConfigError(f"the journal cannot be read: {complaint.splitlines()[-1]}")


def _entryOf(line: str) -> dict[str, Any]:
    found = json.loads(line)
    return found if isinstance(found, dict) else {}


def find(files: Iterable[str], unit: str | None, name: str) -> tuple[list[Record], list[str]]:
    """The records about `name` in the order of time, and the places that were searched."""
    places: list[str] = []
    records: list[Record] = []
    for file in files:
        for path in withRotated(file) or [Path(file)]:
            if str(path) not in places:
                places.append(str(path))
                records += fromFile(path, name)
    if unit is not None:
        places.append(f"the journal of {unit}")
        records += fromSystemd(unit, name)
    unique = {(record.at, record.message): record for record in records}
    return sorted(unique.values(), key=lambda record: record.at), places
