"""The table in docs/uses.md has the rows that `make bench-uses` measures."""

from __future__ import annotations

import re
from pathlib import Path

from tests.bench.uses.pages import PAGES, TABLE
from wsd.uses import NAMES

_DOC = (Path(__file__).parents[3] / "docs" / "uses.md").read_text("utf-8")


def test_every_page_is_measured() -> None:
    assert set(PAGES) == set(NAMES) == {page for page, _, _ in TABLE}


def test_the_table_has_the_rows_that_are_measured() -> None:
    row = r"^\| (\w+) \| (\d+) \| \d+% \| \d+ MiB \| [\d.]+ MB \| (.+) \|$"
    found = [(page, int(users), about) for page, users, about in re.findall(row, _DOC, re.MULTILINE)]
    assert found == list(TABLE)
