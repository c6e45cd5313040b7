"""Marks: tags, attributes and texts, as they are written in XML."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from xml.sax.saxutils import escape

from wsd.protocols.soap.names import XML, XSI


@dataclass(frozen=True, slots=True)
class Marks:
    """The beginning of an element, up to its attributes, and its end."""

    opened: str
    closed: str


@lru_cache(4096)
def marksOf(tag: str, space: str) -> Marks:
    """The marks of a tag of the contract; the prefix n stands for `space`."""
    return newMarksOf(tag, space)


def newMarksOf(tag: str, space: str) -> Marks:
    """The marks of any tag."""
    own, _, local = tag[1:].rpartition("}") if tag.startswith("{") else ("", "", tag)
    if not own:
        return Marks(f"<{local}", f"</{local}>")
    if own == space:
        return Marks(f"<n:{local}", f"</n:{local}>")
    return Marks(f'<m:{local} xmlns:m="{_quoted(own)}"', f"</m:{local}>")


@lru_cache(4096)
def rootMarksOf(tag: str, space: str) -> Marks:
    """The marks of the outermost element, which declares the prefix n."""
    marks = marksOf(tag, space)
    return Marks(f'{marks.opened} xmlns:n="{_quoted(space)}"', marks.closed) if space else marks


def attribute(tag: str, value: str, name: str) -> str:
    """An attribute as it is written in a tag; `name` must be unique in the element."""
    space, _, local = tag[1:].rpartition("}") if tag.startswith("{") else ("", "", tag)
    if not space:
        return f' {local}="{_quoted(value)}"'
    if space == XML:
        return f' xml:{local}="{_quoted(value)}"'
    # The prefix is the attribute's own, since others may have other namespaces.
    return f' xmlns:a-{name}="{_quoted(space)}" a-{name}:{local}="{_quoted(value)}"'


def escaped(text: str) -> str:
    """A text, escaped for the content of an element."""
    if "&" in text or "<" in text or ">" in text or "\r" in text:
        return escape(text, {"\r": "&#13;"})
    return text


def _quoted(text: str) -> str:
    return escape(text, {'"': "&quot;", "\r": "&#13;", "\n": "&#10;", "\t": "&#9;"})


def nilMark(told: str = "") -> str:
    """The attributes that mark an element as nil, besides those that declare its type."""
    return f'{told} i:nil="true"' if told else f' xmlns:i="{XSI}" i:nil="true"'


def typeMark(name: str, space: str) -> str:
    """The attributes that declare a derived type; the prefix n stands for `space`."""
    own, _, local = name[1:].rpartition("}") if name.startswith("{") else ("", "", name)
    if not own:
        return f' xmlns:i="{XSI}" i:type="{local}"'
    if own == space:
        return f' xmlns:i="{XSI}" i:type="n:{local}"'
    return f' xmlns:i="{XSI}" xmlns:t="{_quoted(own)}" i:type="t:{local}"'
