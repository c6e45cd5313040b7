"""The programs in C# that docs/soap.md shows have the contract of the demonstration, which netpeer's modes ask for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.protocols.soap.encodings.test_encodings import encodingOf, postBytes
from tests.protocols.soap.talk import DEMO, addressed, daemonOf, text
from wsd.protocols.soap.encodings.choice import encodingOfRequest
from wsd.protocols.soap.protocol import SoapFactory
from wsd.protocols.soap.schema.values import ComplexType
from wsd.protocols.soap.wsdl.contract import Contract, Message

DOCS = (Path(__file__).parents[3] / "docs" / "soap.md").read_text()
PROGRAMS = re.findall(r"```csharp\n(using System\.ServiceModel;\n.*?)```", DOCS, re.DOTALL)
FIRST = PROGRAMS[0]

_OPERATION = re.compile(
    r"\[OperationContract\((.*?)\)\]\s*(?:\[return: .*?\(Name = \"(\w+)\"\)\]\s*)?\w+ (\w+)\((.*?)\);"
)
"""Matches an operation: what its attribute says, the name of its result, its name, and its parameters."""


def operations(program: str) -> list[tuple[str, str, str, list[str]]]:
    """Returns the Action, the name of the result, the name and the parameters of each operation of a program."""
    found = []
    for told, result, name, parameters in _OPERATION.findall(re.sub(r"\s+", " ", program)):
        action = re.search(r"(?<!Reply)Action = \"(.*?)\"", told)
        assert action is not None
        found.append((action[1], result, name, [each.split()[-1] for each in parameters.split(", ")]))
    return found


def contract() -> Contract:
    factory: SoapFactory = daemonOf().factories["/soap"]
    assert factory.service is not None
    return factory.service.contract


def namesIn(message: Message | None) -> list[str]:
    assert message is not None
    assert isinstance(message.type, ComplexType)
    return [each.name for each in message.type.fields]


class TestThePrograms:
    def test_are_found(self) -> None:
        assert [len(operations(each)) for each in PROGRAMS[:2]] == [1, 2]

    @pytest.mark.parametrize("program", PROGRAMS[:2])
    def test_have_the_contract_of_the_demonstration(self, program: str) -> None:
        known = contract()
        assert f'[ServiceContract(Namespace = "{DEMO}"' in program
        for action, result, name, parameters in operations(program):
            operation = known.operations[name]
            message = operation.input or operation.output
            assert message is not None
            assert (message.element, message.action) == (f"{{{DEMO}}}{name}", action)
            # A program may leave out what is optional.
            assert namesIn(message)[: len(parameters)] == parameters
            assert not result or namesIn(operation.output) == [result]


class TestTheFirstProgram:
    """It has what netpeer's mode httpbinary has: `new NetHttpBinding()`, a URL with http:, and no callback."""

    def test_has_ten_lines_and_sets_nothing(self) -> None:
        assert len([line for line in FIRST.splitlines() if line]) <= 10
        assert "new NetHttpBinding()" in FIRST
        assert 'new EndpointAddress("http://localhost:9998/soap")' in FIRST
        assert "Callback" not in FIRST

    def test_gets_its_sum_in_the_binary_encoding_over_http(self) -> None:
        ((action, result, name, parameters),) = operations(FIRST)
        values = "".join(f"<{each}>{value}</{each}>" for each, value in zip(parameters, (2, 3), strict=True))
        request = addressed(f'<{name} xmlns="{DEMO}">{values}</{name}>', "urn:uuid:1", action)
        body = encodingOfRequest("application/soap+msbin1").write(request)
        answer = encodingOf(postBytes(daemonOf(), "application/soap+msbin1", body))
        assert text(answer, f"//d:{name}Response/d:{result}") == "5"
