"""The page of a route: what the service offers, a sample of each request, and a form that tries it over a WebSocket."""

from __future__ import annotations

import html
from importlib.resources import files

from wsd.protocols.soap.contract import Message, Operation
from wsd.protocols.soap.sample import kindOf, sample
from wsd.protocols.soap.service import Service
from wsd.protocols.soap.values import ComplexType
from wsd.resources import PageFiles


def pageOf(route: str, service: Service) -> PageFiles:
    """The page for the service of a route."""
    texts = {
        "route": html.escape(route.rstrip("/")),
        "name": html.escape(service.contract.name),
        "about": html.escape(service.contract.documentation),
        "operations": "".join(_operation(each) for each in _operationsOf(service)),
    }
    return PageFiles(files("wsd.protocols.soap").joinpath("page"), texts)


def _operationsOf(service: Service) -> list[Operation]:
    """Those that are answered, then those that are pushed."""
    answered = [each.operation for each in service.bound]
    return answered + [each for each in service.contract.operations.values() if each not in answered]


def _operation(operation: Operation) -> str:
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
        tried = (
            f'<details><summary data-say="sample">Sample</summary><pre class="sample">'
            f"{html.escape(sample(operation))}</pre></details>"
            f'<button type="button" class="try" data-operation="{name}" data-say="try">Try it</button>'
        )
    return (
        f'<article class="operation" id="{name}">'
        f'<h3>{name} <span class="kind {kind}" data-say="{kind}">{kind}</span></h3>'
        f'<p class="quiet">{html.escape(operation.documentation)}</p><dl>{rows}</dl>{tried}</article>'
    )


def _row(word: str, message: Message) -> str:
    fields = [*message.type.attributes, *message.type.fields] if isinstance(message.type, ComplexType) else []
    told = ", ".join(f"<code>{html.escape(each.name)}</code> {html.escape(kindOf(each))}" for each in fields)
    if not isinstance(message.type, ComplexType):
        told = html.escape(message.type.name)
    name = f"<code>{html.escape(message.element.rpartition('}')[2])}</code> " if word == "faults" else ""
    return f'<div><dt data-say="{word}">{word}</dt><dd>{name}{told}</dd></div>'
