"""The page of a route: the operations of the service, each with a sample request that can be edited and sent."""

from __future__ import annotations

import html
from collections.abc import Mapping
from importlib.resources import files

from wsd.protocols.soap.encodings import nbfs
from wsd.protocols.soap.names import localName
from wsd.protocols.soap.sample import kindOf, sample
from wsd.protocols.soap.schema.values import ComplexType
from wsd.protocols.soap.service import Service
from wsd.protocols.soap.wsdl.contract import Message, Operation
from wsd.resources import PageFiles


def pageOf(route: str, service: Service, hasLogin: bool = False) -> PageFiles:
    """Returns the page for the service of a route; with `hasLogin`, its samples have a UsernameToken to fill in."""
    contract = service.contract
    texts = {
        "route": html.escape(route.rstrip("/")),
        "name": html.escape(contract.name),
        "about": _about(contract.documentation, contract.translations),
        "operations": "\n".join(_operation(each, hasLogin) for each in _operationsOf(service)),
    }
    return PageFiles(files("wsd.protocols.soap").joinpath("page"), texts, more=(nbfs.FILE,))


def _operationsOf(service: Service) -> list[Operation]:
    """Returns the operations that are answered, then those that are pushed."""
    answered = [each.operation for each in service.bound]
    return answered + [each for each in service.contract.operations.values() if each not in answered]


def _operation(operation: Operation, hasLogin: bool) -> str:
    name = html.escape(operation.name)
    kind = "push" if operation.input is None else "oneway" if operation.output is None else "call"
    rows = ""
    if operation.input is not None:
        rows += _row("takes", operation.input)
    if operation.output is not None:
        rows += _row("gives", operation.output)
    for fault in {each.element: each for each in operation.faults.values()}.values():
        rows += _row("faults", fault)
    tried = ""
    if operation.input is not None:
        tried = f'<pre class="sample" hidden>{html.escape(sample(operation, hasLogin=hasLogin))}</pre>'
    return (
        f'<article class="operation" id="{name}" data-kind="{kind}">'
        f"<h2>{name}</h2>{_about(operation.documentation, operation.translations)}<dl>{rows}</dl>{tried}</article>"
    )


def _about(text: str, translations: Mapping[str, str]) -> str:
    """A paragraph in all languages that there are; the script chooses one."""
    others = "".join(f' data-{html.escape(name)}="{html.escape(words)}"' for name, words in translations.items())
    return f'<p class="about" data-text="{html.escape(text)}"{others}>{html.escape(text)}</p>' if text else ""


def _row(word: str, message: Message) -> str:
    if isinstance(message.type, ComplexType):
        fields = [*message.type.attributes, *message.type.fields]
        values = ", ".join(f"<code>{html.escape(each.name)}</code> {html.escape(kindOf(each))}" for each in fields)
    else:
        values = html.escape(message.type.name)
    name = f"<code>{html.escape(localName(message.element))}</code> " if word == "faults" else ""
    return f'<div><dt data-say="{word}">{word}</dt><dd>{name}{values}</dd></div>'
