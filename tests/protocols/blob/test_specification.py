"""docs/blob.md and docs/blob-protocol.md: the examples are played against a daemon, and the tables are complete."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from tests.protocols.blob.stores import ask, daemonOf, told
from tests.test_docs import TEXTS, Block, of
from tests.wire import Client, Daemon
from wsd.config.values import GIB, MIB
from wsd.protocols.blob.errors import CODES
from wsd.protocols.blob.options import BlobOptions

PAGES = ("docs/blob.md", "docs/blob-protocol.md")
TEXT = "".join(TEXTS[page] for page in PAGES)
EXAMPLES = [block for block in of("", *PAGES) if block.text[0] in "<>"]
ID = "1f4b6377d321550d272283a317299c8391aa3213"
"""Of the file on the pages. Another store gives another."""
CONTENT = b"hello world\n"


def bytesIn(line: str) -> bytes | None:
    """A line of bytes in hex, each with two digits."""
    return bytes.fromhex(line) if re.fullmatch(r"[0-9a-f]{2}( [0-9a-f]{2})*", line) else None


class Played:
    """An example, line by line, with the id that this store gives."""

    def __init__(self, daemon: Daemon, example: str, blobId: str) -> None:
        self.daemon = daemon
        self.lines = example.replace(ID, blobId).splitlines()

    def overWebSocket(self) -> None:
        subprotocols = ["blob.wsd.v1"] if self.lines[0].startswith('< {"hello"') else None
        client = self.daemon.open("/blob", subprotocols=subprotocols)
        heard = self.read(client, client.messages())
        for line in self.lines:
            if line.startswith("> "):
                assert heard == [], line
                given = bytesIn(line[2:])
                heard = self.read(client, client.messages(client.say(line[2:] if given is None else given)))
            else:
                given = bytesIn(line[2:])
                assert heard.pop(0) == (json.loads(line[2:]) if given is None else given), line
        assert heard == []

    @staticmethod
    def read(client: Client, messages: list[str | bytes]) -> list[Any]:
        return [json.loads(each) if isinstance(each, str) else each for each in messages]

    def overHttp(self) -> None:
        request = [line[2:] for line in self.lines if line.startswith("> ")]
        status, *labels = [line[2:] for line in self.lines if line.startswith("< ")]
        answer = ask(self.daemon, *request)
        assert answer.status == int(status)
        for label in labels:
            name, _, value = label.partition(": ")
            assert answer.headers[name.lower()] == value


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_each_example_is_what_happens(tmp_path: Path, example: Block) -> None:
    """In a store that has the file already, so that its id is known."""
    daemon = daemonOf(tmp_path, sync="each", list=True, delete=True)
    client = daemon.open("/blob")
    client.say('{"name": "hello.txt"}')
    client.say(CONTENT)
    (receipt,) = told(client)
    played = Played(daemon, example.text, receipt["id"])
    if "> GET " in example.text:
        played.overHttp()
    else:
        played.overWebSocket()


class TestTables:
    def rows(self, title: str) -> list[list[str]]:
        section = TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
        rows = re.findall(r"^\|.*\|$", section, re.MULTILINE)[2:]
        return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]

    def test_each_error_is_told_with_its_status_and_close_code(self) -> None:
        codes = {row[0].strip("` "): (int(row[1]), int(row[2])) for row in self.rows("Errors")}
        assert codes == CODES

    def test_each_key_of_the_route_is_told_with_its_default(self) -> None:
        keys: dict[str, str] = {}
        for row in self.rows("The route"):
            names, defaults = re.findall(r"`(\w+)`", row[0]), row[1].split(", ")
            keys.update(zip(names, defaults * (len(names) // len(defaults)), strict=True))
        assert keys == {field.name: self.written(field) for field in fields(BlobOptions)}

    @staticmethod
    def written(field: Any) -> str:
        """A default, as a person writes it."""
        value = field.default
        if value is None:
            return "`blob` in the state folder"
        if isinstance(value, bool):
            return str(value).lower()
        if field.metadata.get("unit") == "seconds":
            return f"{value:g} s"
        if field.metadata.get("size") and value:
            return f"{value // GIB} GiB" if value >= GIB else f"{value // MIB} MiB"
        return f"`{value}`" if isinstance(value, str) else str(value)
