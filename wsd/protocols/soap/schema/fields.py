"""Fields: the parts of a value of a complex type, and elements whose names are part of the value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Named:
    """An element with its name, needed in a substitution group and in mixed content."""

    name: str
    """Without its namespace, or as {namespace}name."""
    value: Any


@dataclass(slots=True)
class Field:
    """A child or an attribute: its name in Python and in XML, its type, and how often it is there."""

    name: str
    tag: str
    type: Any
    """A SimpleType or a ComplexType; None takes any element as it is."""
    least: int = 1
    isList: bool = False
    isNillable: bool = False
    isAttribute: bool = False
    repeats: int = 0
    """The number of its repeated sequence of columns, 0 for none."""
    occurs: tuple[int, float] = (1, 1)
    """How often it occurs, at least and at most."""
    default: str | None = None
    """The text of an empty element or a missing attribute."""
    isAbstract: bool = False
    members: dict[str, Field] = field(default_factory=dict)
    """The elements that may substitute for it, by tag."""
    allows: Callable[[str], bool] | None = None
    """Of a wildcard: which tags it takes."""

    @property
    def mayBeBare(self) -> bool:
        """Whether None may be written as an element: as nil, or empty for its default."""
        return not self.isList and (self.isNillable or self.default is not None)

    def takes(self, tag: str) -> bool:
        """Whether an element of this tag may stand here."""
        return self.allows(tag) if self.allows is not None else tag == self.tag or tag in self.members

    def member(self, name: str) -> Field:
        """The member with this name. Raises ValueError."""
        known = [each for each in (self, *self.members.values()) if not each.isAbstract]
        found = [each for each in known if name in (each.tag, each.tag.rpartition("}")[2])]
        if len(found) != 1:
            raise ValueError(f"{name} is not one of {', '.join(each.tag for each in known)}")
        return found[0]
