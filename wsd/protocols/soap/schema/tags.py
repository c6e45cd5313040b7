"""Tags: writes start and end tags, attributes and texts of XML."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from xml.sax.saxutils import escape

from wsd.protocols.soap.names import XML, XSI, splitTag


@dataclass(frozen=True, slots=True)
class Tags:
    """The start tag of an element, up to its attributes, and its end tag."""

    start: str
    end: str


@lru_cache(4096)
def tagsOf(tag: str, namespace: str) -> Tags:
    """Returns the tags of an element of the contract. The prefix n stands for `namespace`."""
    return newTagsOf(tag, namespace)


def newTagsOf(tag: str, namespace: str) -> Tags:
    """Returns the tags of any element, without caching them. The prefix n stands for `namespace`."""
    own, local = splitTag(tag)
    if not own:
        return Tags(f"<{local}", f"</{local}>")
    if own == namespace:
        return Tags(f"<n:{local}", f"</n:{local}>")
    return Tags(f'<m:{local} xmlns:m="{_quoted(own)}"', f"</m:{local}>")


@lru_cache(4096)
def rootTagsOf(tag: str, namespace: str) -> Tags:
    """Returns the tags of the outermost element, which declares the prefix n."""
    tags = tagsOf(tag, namespace)
    return Tags(f'{tags.start} xmlns:n="{_quoted(namespace)}"', tags.end) if namespace else tags


def attribute(tag: str, value: str, name: str) -> str:
    """Returns an attribute for a start tag. `name` must be unique in the element."""
    namespace, local = splitTag(tag)
    if not namespace:
        return f' {local}="{_quoted(value)}"'
    if namespace == XML:
        return f' xml:{local}="{_quoted(value)}"'
    # The prefix is the attribute's own, since others may have other namespaces.
    return f' xmlns:a-{name}="{_quoted(namespace)}" a-{name}:{local}="{_quoted(value)}"'


def escaped(text: str) -> str:
    """Escapes a text for the content of an element."""
    if "&" in text or "<" in text or ">" in text or "\r" in text:
        return escape(text, {"\r": "&#13;"})
    return text


def _quoted(text: str) -> str:
    return escape(text, {'"': "&quot;", "\r": "&#13;", "\n": "&#10;", "\t": "&#9;"})


def nilAttributes(declaration: str = "") -> str:
    """Returns the attributes of a nil element, after `declaration`, which declares its type."""
    return f'{declaration} i:nil="true"' if declaration else f' xmlns:i="{XSI}" i:nil="true"'


def typeAttributes(name: str, namespace: str) -> str:
    """Returns the attributes that declare a type (xsi:type). The prefix n stands for `namespace`."""
    own, local = splitTag(name)
    if not own:
        return f' xmlns:i="{XSI}" i:type="{local}"'
    if own == namespace:
        return f' xmlns:i="{XSI}" i:type="n:{local}"'
    return f' xmlns:i="{XSI}" xmlns:t="{_quoted(own)}" i:type="t:{local}"'
