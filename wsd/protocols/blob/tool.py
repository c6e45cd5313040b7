"""`wsd blob ls`, `rm` and `verify`: for who owns a store, beside the daemon or without it."""

from __future__ import annotations

import os
import time
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from pathlib import Path

from wsd.config import ConfigError
from wsd.config.state import foundFolder, whoMay
from wsd.config.values import printable
from wsd.protocols.blob.errors import BlobError
from wsd.protocols.blob.store import INDEX, Limits, Store


def _storeOf(arguments: Namespace) -> Store:
    try:
        folder = Path(arguments.store or foundFolder(os.environ, "blob") / "blob")
    except ConfigError as error:
        raise SystemExit(f"wsd: {error}") from None
    try:
        os.stat(folder / INDEX)
        return Store(folder, Limits(), time.time)
    except (FileNotFoundError, NotADirectoryError):
        raise SystemExit(f"wsd: {folder} is not a blob store; name one with --store FOLDER") from None
    except (BlobError, OSError) as error:
        raise SystemExit(f"wsd: {_refusal(folder, error)}") from None


def _refusal(folder: Path, error: BlobError | OSError) -> str:
    """A sentence on what is wrong with a store, and which user to run the tool as."""
    if isinstance(error, OSError):
        sentence = f"{error.filename or folder} cannot be read: {error.strerror}"
    elif error.code == "read_only":
        sentence = f"{folder}: {error.__cause__ or error.sentence}"
    else:
        return f"{folder}: {error.sentence}"
    return f"{sentence}; run this as {whoMay(folder)}"


def ls(arguments: Namespace) -> None:
    """A line for each file, oldest first: id, size, time, type, whose it is, name."""
    store = _storeOf(arguments)
    for blob in store.list():
        when = datetime.fromtimestamp(blob.at, UTC).isoformat(timespec="seconds")
        kind, user, name = map(printable, (blob.type, blob.user, blob.name))
        print(f"{blob.id}  {blob.size:>12}  {when}  {kind}  {user}  {name}")


def rm(arguments: Namespace) -> None:
    """Remove files. Raises SystemExit when one is not there."""
    store = _storeOf(arguments)
    for id in arguments.id:
        try:
            store.blob(id)
            store.remove(id)
        except BlobError as error:
            raise SystemExit(f"wsd: {printable(id)}: {error.sentence}") from None


def verify(arguments: Namespace) -> None:
    """Read every file, and say which is not what was uploaded. Raises SystemExit (1) when there is one."""
    store = _storeOf(arguments)
    found = 0
    for id, sentence in store.verify():
        found += 1
        print(f"{printable(id)} {sentence}")
    if found:
        raise SystemExit(f"wsd: not as it should be: {found} of {len(store.list())}")
    print(f"ok: {len(store.list())} checked")


def _takesStore(parser: ArgumentParser) -> None:
    parser.add_argument("--store", metavar="FOLDER", help='the store (default: "blob" in the state folder)')


def _takesIds(parser: ArgumentParser) -> None:
    _takesStore(parser)
    parser.add_argument("id", metavar="ID", nargs="+", help="the file's id, as ls shows it")


COMMANDS = {
    "ls": ("List the files of a store.", _takesStore, ls),
    "rm": ("Remove files from a store.", _takesIds, rm),
    "verify": ("Read every file of a store, and say which is not what was uploaded.", _takesStore, verify),
}
"""As in `wsd.__main__`."""
