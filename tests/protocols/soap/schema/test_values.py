"""
Values of every feature of XML Schema that has a place in them, both ways.

What is asked is valid and becomes a value of Python; that value, answered, is the same element again, and valid. The
referee is lxml's own reading of the schema; the other client is zeep, where it knows the feature.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from tests.protocols.soap.features import CASES, Case, expected, item, plain
from tests.protocols.soap.mirror import NAMES, SPACE, Mirror, schemaOf
from wsd.protocols.soap.sample import sample

KNOWN = {name: case for name, case in CASES.items() if case.isKnownToZeep}


class TestEachFeature:
    @pytest.mark.parametrize("case", CASES.values(), ids=CASES)
    def test_it_is_read_and_comes_back(self, tmp_path: Path, case: Case) -> None:
        mirror = Mirror(tmp_path, schemaOf(case.schema))
        value = mirror.read(item(case.content))
        assert plain(value) == case.value
        assert mirror.write(value) == expected(case.answered or case.content)

    @pytest.mark.parametrize("case", CASES.values(), ids=CASES)
    def test_the_sample_of_it_is_valid(self, tmp_path: Path, case: Case) -> None:
        mirror = Mirror(tmp_path, schemaOf(case.schema))
        (body,) = etree.fromstring(sample(mirror.contract.operations["Mirror"]))[1]
        assert mirror.wrong(body) == ""

    @pytest.mark.parametrize("case", KNOWN.values(), ids=KNOWN)
    def test_zeep_says_it(self, tmp_path: Path, case: Case) -> None:
        mirror = Mirror(tmp_path, schemaOf(case.schema))
        client = mirror.zeep()
        said = etree.fromstring(f"<Mirror {NAMES}>{item(case.content)}</Mirror>")
        known = client.wsdl.types.get_element(f"{{{SPACE}}}Mirror").parse(said, client.wsdl.types)
        client.service.Mirror(known.item)
        assert plain(mirror.seen) == case.value
