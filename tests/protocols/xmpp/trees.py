"""Elements of every kind that XML has, for tests of parsers and writers."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from wsd.protocols.xmpp.stanza import CLIENT, STREAMS, XML, Element, isText

ANY_SPEED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For tests that must pass on a busy machine too."""

CHARACTERS = st.characters(codec="utf-8").filter(isText)
TEXT = st.text(CHARACTERS, max_size=20) | st.text("<>&'\"\r\n\t ]", max_size=10)
NAME = st.from_regex(r"[A-Za-z_é][A-Za-z0-9_.é-]{0,7}", fullmatch=True) | st.sampled_from(
    ["xmlns", "lang", "xml", "a0"]
)
NAMESPACE = st.sampled_from(["", "a", "b", CLIENT, STREAMS, XML, "urn:a?b&c=<'\">", "ü"])
ATTRIBUTE = NAME.filter(lambda name: name != "xmlns") | st.builds(
    lambda namespace, name: "xml:lang" if (namespace, name) == (XML, "lang") else f"{namespace} {name}",
    NAMESPACE.filter(bool),
    NAME,
)
ATTRIBUTES = st.dictionaries(ATTRIBUTE, TEXT, max_size=4)
TREE = st.recursive(
    st.builds(Element, NAMESPACE, NAME, ATTRIBUTES),
    lambda inner: st.builds(
        lambda ns, name, attrs, children: Element(ns, name, attrs, *children),
        NAMESPACE,
        NAME,
        ATTRIBUTES,
        st.lists(inner | TEXT.filter(bool), max_size=4),
    ),
    max_leaves=12,
)


def flat(element: Element) -> object:
    """An element as plain data, neighbouring texts joined."""
    children: list[object] = []
    for child in element.children:
        if isinstance(child, Element):
            children.append(flat(child))
        elif children and isinstance(children[-1], str):
            children[-1] += child
        else:
            children.append(child)
    return (element.ns, element.name, element.attrs, children)
