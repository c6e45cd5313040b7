"""docs/topics.md: every conversation on the page takes place as it is written."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.protocols.topics.routes import daemonOf, heard
from tests.protocols.topics.test_enveloped import enveloped
from wsd.protocols.topics.errors import CODES
from wsd.protocols.topics.messages import REQUESTS
from wsd.protocols.topics.options import TopicsOptions

PAGE = (Path(__file__).parents[3] / "docs" / "topics.md").read_text("utf-8")
CONVERSATIONS = re.findall(r"```topics\n(.*?)```", PAGE, re.DOTALL)
EPOCH, MEMBER = "4f2c81d0", "8c1d3e5f70"


def read(line: str) -> Any:
    """A message of the page: JSON, or bytes in hexadecimal digits."""
    return json.loads(line) if line.startswith("{") else bytes.fromhex(line)


class Names:
    """The epoch and the member of a conversation, which are drawn at random, under the names that the page has."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def there(self, text: str) -> str:
        """With the names of the page."""
        for position in re.findall(r'"position":"([0-9a-f]{8})-', text):
            self._known[position] = EPOCH
        for member in re.findall(r'"(?:member|from)":"([0-9a-f]{10})"', text):
            self._known[member] = MEMBER
        for name, shown in self._known.items():
            text = text.replace(name, shown)
        return text

    def here(self, text: str) -> str:
        """With those of the conversation."""
        for name, shown in self._known.items():
            text = text.replace(shown, name)
        return text


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda text: text[2:40])
def test_a_conversation_takes_place_as_it_is_written(conversation: str) -> None:
    client, names = enveloped(daemonOf()), Names()
    expected: list[Any] = []
    got: list[Any] = []
    for line in [*conversation.splitlines(), "> "]:
        mark, _, text = line.partition(" ")
        if mark == "<":
            expected.append(read(text))
            continue
        assert got == expected
        if text:
            message = read(names.here(text))
            client.say(message if isinstance(message, bytes) else json.dumps(message))
            got = [each if isinstance(each, bytes) else json.loads(names.there(each)) for each in heard(client)]
            expected = []


def test_every_message_is_shown() -> None:
    shown = {name for text in CONVERSATIONS for name in re.findall(r'^> \{"(\w+)"', text, re.MULTILINE)}
    assert shown | {"token"} == set(REQUESTS)
    assert '{"token": {' in PAGE


def test_every_code_is_listed_with_its_status_and_its_close_code() -> None:
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| (\d+) \| (\d+) \|", PAGE, re.MULTILINE)
    listed = {
        code: (int(status), int(close)) for names, status, close in rows for code in re.findall(r"`(\w+)`", names)
    }
    assert listed == {code: (shown.status, shown.closeCode) for code, shown in CODES.items()}


def test_every_key_is_listed_with_its_default() -> None:
    table = PAGE[PAGE.index("## The route") :]
    for name in TopicsOptions.__dataclass_fields__:
        assert f"`{name}`" in table
