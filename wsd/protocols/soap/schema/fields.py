"""Fields: the parts of a value of a complex type, one for each child and attribute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from wsd.protocols.soap.names import localName


@dataclass(frozen=True, slots=True)
class Named:
    """A value with the name of its element, for a substitution group or for mixed content."""

    name: str
    """The name without its namespace, or {namespace}name."""
    value: Any


@dataclass(slots=True)
class Field:
    """A child or an attribute: its name in Python and in XML, its type, and how often it occurs."""

    name: str
    tag: str
    type: Any
    """A SimpleType or a ComplexType; None for a wildcard, whose values are elements."""
    least: int = 1
    isList: bool = False
    isNillable: bool = False
    repeats: int = 0
    """The number of the repeated sequence whose elements have a list each, 0 for none."""
    occurs: tuple[int, float] = (1, 1)
    """minOccurs and maxOccurs."""
    default: str | None = None
    """The text that an empty element or a missing attribute stands for."""
    isAbstract: bool = False
    members: dict[str, Field] = field(default_factory=dict)
    """The members of its substitution group, by tag."""
    allows: Callable[[str], bool] | None = None
    """For a wildcard: returns whether it takes a tag."""

    @property
    def mayBeBare(self) -> bool:
        """Whether None can be written as an element: a nil one, or an empty one that stands for the default."""
        return not self.isList and (self.isNillable or self.default is not None)

    def takes(self, tag: str) -> bool:
        """Returns whether an element with this tag may stand here."""
        return self.allows(tag) if self.allows is not None else tag == self.tag or tag in self.members

    def member(self, name: str) -> Field:
        """Returns the element with this name, itself or a member of its substitution group. Raises ValueError."""
        known = [each for each in (self, *self.members.values()) if not each.isAbstract]
        found = [each for each in known if name in (each.tag, localName(each.tag))]
        if len(found) != 1:
            raise ValueError(f"{name} is not one of {', '.join(each.tag for each in known)}")
        return found[0]
