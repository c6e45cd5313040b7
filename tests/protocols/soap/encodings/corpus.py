"""The corpus of documents and conversations that WCF wrote, and the .NET peer that made it."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

FOLDER = Path(__file__).with_name("corpus")
PEER = Path(os.environ.get("NETPEER", Path(__file__).parents[5] / "shared" / "netpeer" / "netpeer"))
"""A program with WCF's own client and reader, which `NETPEER` names."""

needsPeer = pytest.mark.skipif(
    not PEER.exists(), reason=f"there is no .NET peer at {PEER}; name the program netpeer in NETPEER"
)


def lines(name: str) -> Iterator[dict[str, Any]]:
    """Returns the documents or conversations of a file."""
    with gzip.open(FOLDER / name, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def canonical(document: str | bytes) -> bytes:
    """Returns a document as Canonical XML, without comments."""
    data = document.encode() if isinstance(document, str) else document
    canon: bytes = etree.tostring(etree.fromstring(data, etree.XMLParser(remove_comments=True)), method="c14n")
    return canon


def asked(*arguments: str, lines: list[str] | None = None) -> list[dict[str, Any]]:
    """Runs the peer. Returns the JSON lines of its output."""
    said = "".join(f"{line}\n" for line in lines or [])
    done = subprocess.run([PEER, *arguments], input=said, capture_output=True, text=True, timeout=120, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]
