"""The page of a route: what the service offers, a sample of each request, and a form that tries it over a WebSocket."""

from __future__ import annotations

import html
from hashlib import sha256
from importlib.resources import files
from typing import Any

from twisted.web import http

from wsd.protocols.soap.sample import kindOf, sample
from wsd.protocols.soap.schema.values import ComplexType
from wsd.protocols.soap.service import Service
from wsd.protocols.soap.wsdl.contract import Message, Operation

_TYPES = {"index.html": "text/html", "page.css": "text/css", "page.js": "text/javascript"}

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Page:
    """Its files, from memory; what stands in braces in them is told of the service."""

    def __init__(self, route: str, service: Service) -> None:
        folder = files("wsd.protocols.soap").joinpath("page")
        self._files = {name: folder.joinpath(name).read_text("utf-8") for name in _TYPES}
        told = {
            "route": html.escape(route.rstrip("/")),
            "name": html.escape(service.contract.name),
            "about": html.escape(service.contract.documentation),
            "operations": "".join(_operation(each) for each in _told(service)),
        }
        page = self._files["index.html"]
        for name, text in told.items():
            page = page.replace(f"{{{name}}}", text)
        self._files["index.html"] = page

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def render(self, request: Any, name: str) -> bytes:
        """One of them, unless the browser has it."""
        content = self._files[name].encode()
        fields = {
            "Content-Type": f"{_TYPES[name]}; charset=utf-8",
            "Content-Security-Policy": _POLICY,
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-cache",
        }
        for field, value in fields.items():
            request.setHeader(field.encode(), value.encode())
        if request.setETag(f'"{sha256(content).hexdigest()[:32]}"'.encode()) is http.CACHED:
            return b""
        return content


def _told(service: Service) -> list[Operation]:
    """What is answered, then what is pushed."""
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
