"""Functions: the arguments for values that a request leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lxml import etree

from tests.protocols.soap.mirror import SPACE
from wsd.protocols.soap.service import Service
from wsd.protocols.soap.wsdl.reader import readContract

SCHEMA = f"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="{SPACE}">
<xs:element name="Take"><xs:complexType><xs:sequence>
<xs:element name="many" type="xs:string" minOccurs="0" maxOccurs="unbounded"/>
<xs:element name="one" type="xs:string" minOccurs="0"/>
</xs:sequence><xs:anyAttribute/></xs:complexType></xs:element></xs:schema>"""


def test_what_is_left_out_is_made_for_each_call(tmp_path: Path) -> None:
    """A function may change a list that it gets. The next call gets a new one."""
    path = tmp_path / "take.xsd"
    path.write_text(SCHEMA, "utf-8")

    def take(many: list[str], one: str | None, any_attributes: dict[str, str]) -> tuple[Any, ...]:
        taken = list(many), one, dict(any_attributes)
        many.append("changed")
        any_attributes["changed"] = "too"
        return taken

    service = Service(readContract(path), {"take": take})
    body = etree.fromstring(f'<Take xmlns="{SPACE}"/>')
    bound = service.select(body, "")
    for _ in range(2):
        assert bound.function(**service.arguments(bound, body)) == ([], None, {})
