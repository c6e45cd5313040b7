"""Simple types: each valid lexical form, even an unusual one, has the value that XML Schema (part 2) defines."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from tests.protocols.soap.features import element
from tests.protocols.soap.mirror import Mirror, schemaOf
from wsd.protocols.soap.faults import Fault

LEXICAL: dict[str, list[tuple[str, Any]]] = {
    "decimal": [("+5", 5), ("5.", 5), (".5", Decimal("0.5")), ("-0", 0), (" 5 ", 5)],
    "int": [("+5", 5), ("-0", 0), ("\n 005 ", 5)],
    "boolean": [(" 1 ", True), ("false", False)],
    "double": [("INF", float("inf")), ("-INF", float("-inf")), ("1e5", 1e5), ("+5", 5.0), (".5", 0.5), ("-0", 0.0)],
    "date": [("2026-01-31Z", date(2026, 1, 31)), ("2026-01-31+14:00", date(2026, 1, 31))],
    "dateTime": [
        ("2026-12-31T24:00:00", datetime.fromisoformat("2027-01-01T00:00")),
        ("2026-12-31T24:00:00.000Z", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2026-01-31T12:24:00", datetime.fromisoformat("2026-01-31T12:24")),
        ("2026-01-31T12:00:00.1234567", datetime.fromisoformat("2026-01-31T12:00:00.123457")),
        ("2026-01-31T12:00:00.1234564999", datetime.fromisoformat("2026-01-31T12:00:00.123456")),
        ("2026-12-31T23:59:59.9999995+01:00", datetime.fromisoformat("2027-01-01T00:00:00+01:00")),
        ("2026-01-31T12:00:00-00:00", datetime(2026, 1, 31, 12, tzinfo=UTC)),
    ],
    "time": [
        ("24:00:00", time(0)),
        ("24:00:00Z", time(0, tzinfo=UTC)),
        ("00:24:00", time(0, 24)),
        ("12:59:59.9999995Z", time(13, tzinfo=UTC)),
        ("23:59:59.9999999", time.max),
    ],
    "duration": [
        ("P0Y0M1DT0H", timedelta(1)),
        ("PT.5S", timedelta(seconds=0.5)),
        ("-PT1.2345678S", -timedelta(seconds=1, microseconds=234568)),
        ("PT36H", timedelta(1.5)),
        ("-PT0S", timedelta()),
        ("PT100000000000.000001S", timedelta(seconds=10**11, microseconds=1)),
    ],
    "hexBinary": [(" 00fF ", b"\0\xff"), ("", b"")],
    "base64Binary": [("aGVs bG8=", b"hello"), ("", b"")],
    "NMTOKENS": [(" a  b ", ["a", "b"])],
    "gYear": [("2026Z", "2026Z")],
    "anyURI": [(" http://a/b ", "http://a/b")],
    "normalizedString": [("a\t b", "a  b")],
}
UNHELD = {
    "date": ["12026-01-31", "-0001-01-31"],
    "dateTime": ["12026-01-31T00:00:00", "9999-12-31T24:00:00", "9999-12-31T23:59:59.9999995"],
    "duration": ["P1Y", "P1M", "P999999999999D"],
}


class TestLexicalForms:
    @pytest.mark.parametrize(
        ("typeName", "text", "value"), [(name, *each) for name in LEXICAL for each in LEXICAL[name]]
    )
    def test_each_is_read_as_the_schema_says(self, tmp_path: Path, typeName: str, text: str, value: Any) -> None:
        mirror = Mirror(tmp_path, schemaOf("", element("item", f"xs:{typeName}")))
        assert mirror.read(f"<item>{text}</item>") == value
        written = mirror.write(value)
        assert mirror.read(f"<item>{etree.fromstring(written).text or ''}</item>") == value

    @pytest.mark.parametrize(("typeName", "rest"), [("date", ""), ("dateTime", "T00:00:00")])
    @pytest.mark.parametrize("year", ["-0001", "12000"])
    def test_of_a_year_that_it_has_not_the_fault_says_which_it_has(
        self, tmp_path: Path, typeName: str, year: str, rest: str
    ) -> None:
        mirror = Mirror(tmp_path, schemaOf("", element("item", f"xs:{typeName}")))
        text = f"{year}-01-01{rest}"
        with pytest.raises(Fault, match=f"'{text}' has a year that is not one of 1 to 9999"):
            mirror.read(f"<item>{text}</item>")

    @pytest.mark.parametrize(("typeName", "text"), [(name, text) for name in UNHELD for text in UNHELD[name]])
    def test_what_python_cannot_hold_is_the_senders_fault(self, tmp_path: Path, typeName: str, text: str) -> None:
        mirror = Mirror(tmp_path, schemaOf("", element("item", f"xs:{typeName}")))
        with pytest.raises(Fault, match="is not supported"):
            mirror.read(f"<item>{text}</item>")
