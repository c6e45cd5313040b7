"""The writer of stanzas: whatever an element is made of, what is written parses to that element."""

from __future__ import annotations

from tests.protocols.xmpp.trees import flat
from wsd.protocols.xmpp.framing import XmlLimits, parse
from wsd.protocols.xmpp.stanza import CLIENT, LANG, STREAMS, XML, Element, replaceForbidden

_NAMES = ("a", "message", "xmlns", "lang", "xml", "a0", "é.-_1", "stream")
_NAMESPACES = ("", "a", CLIENT, STREAMS, XML, "urn:a?b&c=<'\">", "ü", "\t\n")
_LIMITS = XmlLimits(size=1 << 20, depth=200, attributes=500)


def check(data: bytes) -> None:
    """Takes lines that make an element: each adds to the one that is open, or opens or closes one."""
    root = _made(data)
    written = root.toXml()
    assert flat(parse(written.encode(), _LIMITS)) == flat(root), written


def _made(data: bytes) -> Element:
    """
    The element that lines describe by their first bytes.

    "<" opens an element and ">" closes it, "=" adds an attribute, and any other line is a text. Of an opened element or
    an attribute, the next byte says which namespace and name it has, and the rest is a namespace of its own or a value.
    """
    root = Element(CLIENT, "message")
    opened = [root]
    for line in data.split(b"\n"):
        kind, code, rest = line[:1], line[1] if line[1:] else 0, replaceForbidden(line[2:].decode("utf-8", "replace"))
        name, namespace = _NAMES[code % 8], _NAMESPACES[code // 8 % 8]
        if kind == b"<" and len(opened) < 100:
            child = Element(rest if code & 64 and _isNamespace(rest) else namespace, name)
            opened[-1].children.append(child)
            opened.append(child)
        elif kind == b">" and len(opened) > 1:
            opened.pop()
        elif kind == b"=" and len(opened[-1].attrs) < 100:
            key = _keyOf(namespace, name)
            if key is not None:
                opened[-1].attrs[key] = rest
        elif text := replaceForbidden(line.decode("utf-8", "replace")):
            opened[-1].children.append(text)
    return root


def _keyOf(namespace: str, name: str) -> str | None:
    """The key of an attribute; None for a declaration, which is none."""
    if (namespace, name) == (XML, "lang"):
        return LANG
    if namespace:
        return f"{namespace} {name}"
    return None if name == "xmlns" else name


def _isNamespace(text: str) -> bool:
    """Whether the parser takes this namespace: it separates namespace and name by a space."""
    return " " not in text and text not in ("http://www.w3.org/2000/xmlns/", XML)
