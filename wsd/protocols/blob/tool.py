"""`wsd blob ls`, `rm` and `verify`: commands for the owner of a store. The daemon may run or not."""

from __future__ import annotations

import os
import time
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from pathlib import Path

from wsd.commands import Commands
from wsd.config import ConfigError
from wsd.config.state import foundFolder, whoMay
from wsd.config.stores import INDEX
from wsd.config.values import printable
from wsd.protocols.blob.errors import BlobError
from wsd.protocols.blob.quota import BlobLimits
from wsd.protocols.blob.store import BlobStore


def _storeOf(arguments: Namespace) -> BlobStore:
    """Open the store. Raises SystemExit if that fails."""
    try:
        folder = Path(arguments.store or foundFolder(os.environ, "blob") / "blob")
    except ConfigError as error:
        raise SystemExit(f"wsd: {error}") from None
    try:
        os.stat(folder / INDEX)
        return BlobStore(folder, BlobLimits(), time.time)
    except (FileNotFoundError, NotADirectoryError):
        raise SystemExit(f"wsd: {folder} is not a blob store; use --store FOLDER") from None
    except (BlobError, OSError) as error:
        raise SystemExit(f"wsd: {_refusal(folder, error)}") from None


def _refusal(folder: Path, error: BlobError | OSError) -> str:
    """Returns why a store cannot be opened, and which user should run the command."""
    if isinstance(error, OSError):
        sentence = f"{error.filename or folder} cannot be read: {error.strerror}"
    elif error.code == "read_only":
        sentence = f"{folder}: {error.__cause__ or error.sentence}"
    else:
        return f"{folder}: {error.sentence}"
    return f"{sentence}; run this as {whoMay(folder)}"


def ls(arguments: Namespace) -> None:
    """Print a line for each file, oldest first: its id, size, time, type, user and name."""
    store = _storeOf(arguments)
    for blob in store.list():
        when = datetime.fromtimestamp(blob.at, UTC).isoformat(timespec="seconds")
        mediaType, user, name = map(printable, (blob.type, blob.user, blob.name))
        print(f"{blob.id}  {blob.size:>12}  {when}  {mediaType}  {user}  {name}")


def rm(arguments: Namespace) -> None:
    """Remove files. Raises SystemExit if one does not exist."""
    store = _storeOf(arguments)
    for blobId in arguments.id:
        try:
            store.blob(blobId)
            store.remove(blobId)
        except BlobError as error:
            raise SystemExit(f"wsd: {printable(blobId)}: {error.sentence}") from None


def verify(arguments: Namespace) -> None:
    """Read every file, and print those that have changed. Raises SystemExit (1) if there are any."""
    store = _storeOf(arguments)
    found = 0
    for blobId, sentence in store.verify():
        found += 1
        print(f"{printable(blobId)} {sentence}")
    if found:
        raise SystemExit(f"wsd: damaged or missing: {found} of {len(store.list())}")
    print(f"ok: {len(store.list())} checked")


def addCommands(commands: Commands) -> None:
    """Add `wsd blob ls`, `rm` and `verify`."""
    group = commands.group("blob")
    _addStore(group.add("ls", "List the files in a store.", ls))
    parser = group.add("rm", "Remove files from a store.", rm)
    _addStore(parser)
    parser.add_argument("id", metavar="ID", nargs="+", help="the ID of a file, as ls prints it")
    _addStore(group.add("verify", "Read every file in a store, and report each one that has changed.", verify))


def _addStore(parser: ArgumentParser) -> None:
    parser.add_argument("--store", metavar="FOLDER", help='the store (default: "blob" in the state folder)')
