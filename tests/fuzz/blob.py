"""Uploads by blob.wsd.v1: whatever messages say, they are answered by messages or a documented close."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzz.memory import Caller
from tests.fuzz.messages import MEMORY, converse
from tests.protocols.blob.stores import daemonOf


def check(data: bytes) -> None:
    """Takes the messages of a client, one on each line."""
    answersTo(data)


def answersTo(data: bytes) -> set[str]:
    """The names of the answers."""
    with TemporaryDirectory(dir=MEMORY, prefix="wsd-fuzz-") as folder:
        daemon = daemonOf(Path(folder), max_file=100_000, sync="each")
        with Caller(daemon) as caller:
            names = converse(caller, "/blob", "blob.wsd.v1", data)
        daemon.factories["/blob"].stopped()
        return names
