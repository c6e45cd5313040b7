"""Marks: tags, attributes and texts of XML, as they are written."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from xml.sax.saxutils import escape

from wsd.protocols.soap.names import XML, XSI


@dataclass(frozen=True, slots=True)
class Marks:
    """What an element begins with, up to its attributes, and ends with."""

    opened: str
    closed: str


@lru_cache(4096)
def marksOf(tag: str, space: str) -> Marks:
    """Those of a tag of the contract's, where the prefix n stands for `space`."""
    return newMarksOf(tag, space)


def newMarksOf(tag: str, space: str) -> Marks:
    """Those of any tag."""
    own, _, local = tag[1:].rpartition("}") if tag.startswith("{") else ("", "", tag)
    if not own:
        return Marks(f"<{local}", f"</{local}>")
    if own == space:
        return Marks(f"<n:{local}", f"</n:{local}>")
    return Marks(f'<m:{local} xmlns:m="{_quoted(own)}"', f"</m:{local}>")


@lru_cache(4096)
def rootMarksOf(tag: str, space: str) -> Marks:
    """The same of the outermost element, which says what n stands for."""
    marks = marksOf(tag, space)
    return Marks(f'{marks.opened} xmlns:n="{_quoted(space)}"', marks.closed) if space else marks


def attribute(tag: str, value: str, name: str) -> str:
    """An attribute as it stands behind the name of an element, in which no other has the same `name`."""
    space, _, local = tag[1:].rpartition("}") if tag.startswith("{") else ("", "", tag)
    if not space:
        return f' {local}="{_quoted(value)}"'
    if space == XML:
        return f' xml:{local}="{_quoted(value)}"'
    # The prefix is the attribute's own, since another may be of another namespace.
    return f' xmlns:a-{name}="{_quoted(space)}" a-{name}:{local}="{_quoted(value)}"'


def escaped(text: str) -> str:
    """A text as an element holds it."""
    if "&" in text or "<" in text or ">" in text or "\r" in text:
        return escape(text, {"\r": "&#13;"})
    return text


def _quoted(text: str) -> str:
    return escape(text, {'"': "&quot;", "\r": "&#13;", "\n": "&#10;", "\t": "&#9;"})


def nilMark(told: str = "") -> str:
    """What says that an element is nil, beside what says its type."""
    return f'{told} i:nil="true"' if told else f' xmlns:i="{XSI}" i:nil="true"'


def typeMark(name: str, space: str) -> str:
    """What says that an element is of a narrower type; the prefix n stands for `space`."""
    own, _, local = name[1:].rpartition("}") if name.startswith("{") else ("", "", name)
    if not own:
        return f' xmlns:i="{XSI}" i:type="{local}"'
    if own == space:
        return f' xmlns:i="{XSI}" i:type="n:{local}"'
    return f' xmlns:i="{XSI}" xmlns:t="{_quoted(own)}" i:type="t:{local}"'
