"""docs/soap.md, docs/soap-protocol.md: the services are served, and the clients call the demonstration."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import zeep
import zeep.wsse

from tests.auth.helpers import hashed
from tests.daemon import ROOT, RunningDaemon, runningDaemon
from tests.test_docs import TEXTS, of
from tests.test_docs import steps as stepsOf
from wsd.protocols.soap import demonstration
from wsd.protocols.soap.options import SoapOptions
from wsd.protocols.soap.schema.values import ComplexType
from wsd.protocols.soap.wsdl.reader import readContract
from wsd.protocols.soap.zeeptransport import WebSocketTransport

PAGES = ("docs/soap.md", "docs/soap-protocol.md")
CLIENT = next(block for block in of("python", *PAGES) if block.text.startswith("import zeep"))
SERVICES = {block.text.split('"""')[1]: block for block in of("python", *PAGES) if block is not CLIENT}
"""Each service by the name that its file has."""
SECRET = "the file secret.txt is forbidden; there is hello.txt"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    """With the services of the page, in files of the names that it gives them."""
    folder = tmp_path_factory.mktemp("services")
    for name, block in SERVICES.items():
        (folder / name).write_text(block.text, "utf-8")
    for schema in of("xml", *PAGES):
        (name,) = re.findall('targetNamespace="urn:example:(.*?)"', schema.text)
        (folder / f"{name}.xsd").write_text(schema.text, "utf-8")
    config = "".join(block.text for block in of("toml", *PAGES)).replace('contract = "', f'contract = "{folder}/')
    config = config.replace('"greeter.py:', f'"{folder}/greeter.py:').replace('"users.', f'"{folder}/users.')
    (folder / "users.htpasswd").write_text(f"ann:{hashed('secret')}\n")
    with runningDaemon(config=config, environ={"PYTHONPATH": f"{ROOT}:{folder}"}) as daemon:
        yield daemon


def bound(daemon: RunningDaemon, route: str, pushed: Any = None) -> tuple[zeep.Client, WebSocketTransport]:
    soap = WebSocketTransport(f"ws://localhost:{daemon.port()}{route}", pushed)
    contract = f"http://localhost:{daemon.port()}{route}?wsdl&transport=http"
    return zeep.Client(contract, transport=soap, plugins=[soap]), soap


def test_the_first_service(daemon: RunningDaemon) -> None:
    steps = {command: output for block in of("console", *PAGES) for command, output in stepsOf(block)}
    (call,) = (command for command in steps if "/greeter; echo" in command)
    done = subprocess.run(
        ["bash", "-c", call.replace("9998", str(daemon.port()))], stdout=subprocess.PIPE, text=True, timeout=30
    )
    assert done.stdout == steps[call]


def test_the_service_of_annotated_functions(daemon: RunningDaemon) -> None:
    came: list[Any] = []
    client, soap = bound(daemon, "/quotes", came.append)
    assert client.service.Price("WSD") == Decimal("1.50")
    assert client.service.Value([{"symbol": "WSD", "amount": 4}]) == Decimal("6.00")
    with pytest.raises(zeep.exceptions.Fault, match="nobody deals in X") as caught:
        client.service.Price("X")
    assert caught.value.detail.findtext(".//{*}symbol") == "X"
    assert client.service.Note("x") is None
    client.service.Follow("WSD")
    assert came[0].findtext(".//{*}Tick/{*}price") == "1.50"
    soap.close()


def test_the_service_for_users_tells_others_what_to_send(daemon: RunningDaemon) -> None:
    client, soap = bound(daemon, "/members")
    with pytest.raises(zeep.exceptions.Fault, match="over TLS only"):
        client.service.Greet("Ada")
    soap.close()


def test_a_client_of_zeep_logs_in_with_a_digest(tmp_path: Path) -> None:
    """As zeep writes it, without a Timestamp; basic_without_tls spares the certificate."""
    users = tmp_path / "users"
    users.write_text("ann:{CLEARTEXT}secret\n")
    users.chmod(0o600)
    auth = f'auth = {{ methods = ["basic"], htpasswd = "{users}", basic_without_tls = true }}'
    config = f'[route."/soap"]\nusername_token = true\n{auth}\n'
    with runningDaemon(config=config) as daemon:
        contract = f"http://localhost:{daemon.port()}/soap?wsdl&transport=http"
        for password, isDigest in (("secret", True), ("secret", False)):
            token = zeep.wsse.UsernameToken("ann", password, use_digest=isDigest)
            assert zeep.Client(contract, wsse=token).service.Add(2, 3) == 5
        wrong = zeep.wsse.UsernameToken("ann", "wrong", use_digest=True)
        with pytest.raises(zeep.exceptions.Fault, match="the user name or the password is wrong"):
            zeep.Client(contract, wsse=wrong).service.Add(2, 3)


def test_the_service_behind_a_schema(daemon: RunningDaemon) -> None:
    client, soap = bound(daemon, "/library")
    assert client.service.GetBook(3).tags == ["novel", "1815"]
    for number, told in ((-1, "an id is not negative"), (11, "there is no such book")):
        with pytest.raises(zeep.exceptions.Fault, match=told):
            client.service.GetBook(number)
    soap.close()


def test_the_service_with_values_of_every_shape(daemon: RunningDaemon) -> None:
    client, soap = bound(daemon, "/ledger")
    days = [date(2026, 1, 30), date(2026, 1, 31)]
    rows = [{"day": days[0], "credit": Decimal("2.50")}, {"day": days[1], "debit": Decimal(1)}]
    answer = client.service.Book(_value_1=rows, about=zeep.xsd.AnyObject(zeep.xsd.Int(), 5))
    assert answer.total == Decimal("1.50")
    card, cash = answer.payment
    assert (type(card).__name__, card.amount, card.number) == ("Card", Decimal("1.50"), "4711")
    assert (type(cash).__name__, cash.amount) == ("Cash", Decimal(2))
    assert answer.thanks.name == "Emma"
    assert [(each.tag, each.text) for each in answer.about] == [
        ("days", "2026-01-30"), ("days", "2026-01-31"), ("asked", "5"),
    ]  # fmt: skip
    soap.close()


def test_the_client_of_zeep(daemon: RunningDaemon) -> None:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(CLIENT.text.replace("9998", str(daemon.port())), str(CLIENT), "exec"), {})
    assert said.getvalue() == f"{SECRET}\n"


def test_the_client_of_node(daemon: RunningDaemon, tmp_path: Path) -> None:
    (block,) = of("javascript", *PAGES)
    (tmp_path / "client.cjs").write_text(block.text.replace("9998", str(daemon.port())), "utf-8")
    environ = {**os.environ, "NODE_PATH": str(ROOT / "tests/node_modules")}
    done = subprocess.run(
        ["node", tmp_path / "client.cjs"], env=environ, stdout=subprocess.PIPE, stderr=sys.stderr, text=True, timeout=30
    )
    assert done.stdout.splitlines()[0] == "11 12 13"
    assert SECRET in done.stdout.splitlines()[1]


def test_the_contracts_in_csharp_are_those_of_the_demonstration() -> None:
    contract = readContract(Path(demonstration.__file__).with_suffix(".wsdl"))
    blocks = "".join(block.text for block in of("csharp") if block.page == "docs/soap.md")
    operations = re.findall(r'Action = "([^"]+)"[^;]*?(?:Name = "(\w+)"\)\] )?\w+ (\w+)\(([^)]*)\);', blocks)
    assert [name for *_, name, _ in operations] == ["Add", "Watch", "Quote"]
    for action, result, name, parameters in operations:
        operation = contract.operations[name]
        message = operation.input or operation.output
        assert message is not None
        assert isinstance(message.type, ComplexType)
        given = [each.split()[1] for each in parameters.split(",")]
        assert (message.action, [each.name for each in message.type.fields][: len(given)]) == (action, given)
        if result:
            assert operation.output is not None
            assert isinstance(operation.output.type, ComplexType)
            assert [each.name for each in operation.output.type.fields] == [result]


def test_each_key_is_told() -> None:
    table = TEXTS["docs/soap.md"].partition("## Keys")[2]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == {each.name for each in fields(SoapOptions)}
