"""The Timestamp of answers: where it is put, in envelopes of any origin."""

from __future__ import annotations

import pytest
from lxml import etree

from tests.protocols.soap.security.messages import DECLARED, NOW, at
from tests.protocols.soap.talk import S11, S12, envelope
from wsd.protocols.soap.names import WSSE, WSU
from wsd.protocols.soap.security.timestamps import withTimestamp


@pytest.mark.parametrize("namespace", [S12, S11])
@pytest.mark.parametrize("header", ["", "<a:Action>urn:x</a:Action>", f"<o:Security {DECLARED}><x/></o:Security>"])
def test_it_is_in_the_only_security_header(namespace: str, header: str) -> None:
    root = etree.fromstring(withTimestamp(envelope("<b>ä &lt; &#13;</b>", header, namespace), NOW))
    assert [part.tag for part in root] == [f"{{{namespace}}}Header", f"{{{namespace}}}Body"]
    (security,) = root[0].findall(f"{{{WSSE}}}Security")
    assert [each.tag for each in security] == [f"{{{WSU}}}Timestamp"]
    assert [each.text for each in security[0]] == [at(), at(300)]
    assert root[1].findtext("b") == "ä < \r"
    assert root[0].findtext("{*}Action") == ("urn:x" if "Action" in header else None)


def test_an_empty_header_of_another_writer_is_filled() -> None:
    text = f'<?xml version="1.0"?>\n<e:Envelope xmlns:e="{S12}">\n <e:Header/>\n <e:Body/>\n</e:Envelope>'
    root = etree.fromstring(withTimestamp(text, NOW))
    assert root.find(f"{{{S12}}}Header/{{{WSSE}}}Security/{{{WSU}}}Timestamp") is not None
