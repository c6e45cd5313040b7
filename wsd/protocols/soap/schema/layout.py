"""Layout: the fields of a complex type's values, and the dataclass with these fields."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import field, make_dataclass, replace
from functools import partial
from typing import Any

from wsd.protocols.soap.schema.content import ModelGroup, OrderedContent
from wsd.protocols.soap.schema.datatypes import identifierOf
from wsd.protocols.soap.schema.fields import Field
from wsd.protocols.soap.schema.values import ComplexType, ValueTypes


def layOut(made: ComplexType, root: ModelGroup, types: ValueTypes) -> None:
    """Sets the fields of a type for its content model, and ordered content if fields are not enough."""
    layout = _Layout(made.name, types)
    made.model = root
    made.fields = layout.fieldsOf(root, isOptional=False)
    names = {"value"} if made.text is not None else set()
    for each in sorted([*made.attributes, *made.fields], key=lambda each: not each.tag):
        while each.name in names:
            each.name += "_"
        names.add(each.name)
    layout.nameTwins()
    if _isOrdered(root):
        made.content = OrderedContent(root, types)


class _Layout:
    """The fields of one type."""

    def __init__(self, typeName: str, types: ValueTypes) -> None:
        self._typeName = typeName
        self._types = types
        self._repeats = 0
        self._twins: list[tuple[Field, Field]] = []
        """Elements with the same tag in different alternatives of a choice, which share a field."""

    def fieldsOf(self, part: ModelGroup | Field, isOptional: bool) -> list[Field]:
        """Returns the fields of a particle, which may be absent if `isOptional`."""
        isOptional = isOptional or part.occurs[0] == 0
        isRepeated = part.occurs[1] > 1
        if isinstance(part, Field):
            part.least = 0 if isOptional else part.occurs[0]
            part.isList = part.isList or isRepeated
            return [part]
        leaves = part.leaves()
        if isRepeated and len(leaves) > 1 and not _isColumns(part):
            part.rows = self._rows(part, isOptional)
            return [part.rows]
        for leaf in leaves if isRepeated else ():
            leaf.isList = True
        inner = [self.fieldsOf(each, isOptional or part.kind == "choice") for each in part.parts]
        fields = self._shared(inner) if part.kind == "choice" else [each for found in inner for each in found]
        if isRepeated and len(leaves) > 1:
            self._repeats += 1
            for each in fields:
                each.repeats = self._repeats
        return fields

    def _shared(self, alternatives: list[list[Field]]) -> list[Field]:
        """Returns the fields of a choice, in which elements with the same tag share one."""
        fields: list[Field] = []
        for alternative in alternatives:
            known = {(each.tag, each.isList): each for each in fields if each.tag}
            for each in alternative:
                twin = known.get((each.tag, each.isList))
                if twin is None:
                    fields.append(each)
                else:
                    self._twins.append((each, twin))
        return fields

    def _rows(self, group: ModelGroup, isOptional: bool) -> Field:
        """Returns the field for the rows of a repeated group, whose type is that of one row."""
        row = ComplexType(f"{self._typeName}_row", self._types)
        layOut(row, ModelGroup(group.kind, group.parts), self._types)
        row.python = makeClass(row)
        return Field("rows", "", row, 0 if isOptional else 1, isList=True)

    def nameTwins(self) -> None:
        """Gives elements that share a field the name of that field."""
        # The last ones belong to the outermost choices, which pass their names on to the inner ones.
        for later, first in reversed(self._twins):
            later.name = first.name


def copied(part: Any) -> Any:
    """Returns a copy of a particle, for a type that is derived from the particle's type."""
    if isinstance(part, Field):
        return replace(part, isList=False, repeats=0)
    return ModelGroup(part.kind, list(map(copied, part.parts)), part.occurs)


# -- questions about content models -----------------------------------------------------------------------------------


def _isColumns(group: ModelGroup) -> bool:
    """Returns whether each turn of a group has each element exactly once, so that a list for each element is enough."""
    tags = [leaf.tag for leaf in group.leaves()]
    return _isOnce(group, isTop=True) and len(set(tags)) == len(tags)


def _isOnce(part: ModelGroup | Field, isTop: bool = False) -> bool:
    if not isTop and part.occurs != (1, 1):
        return False
    return isinstance(part, Field) or (part.kind == "sequence" and all(map(_isOnce, part.parts)))


def _isOrdered(root: ModelGroup) -> bool:
    """Returns whether the tag of a child is not enough to find its field."""
    leaves = root.leaves()
    wildcards = [leaf for leaf in leaves if leaf.allows is not None]
    tags = [tag for leaf in leaves if leaf.allows is None for tag in (leaf.tag, *leaf.members)]
    return (
        len(set(tags)) < len(tags)
        or len(wildcards) > 1
        or any(wildcard.takes(tag) for wildcard in wildcards for tag in tags)
        or _hasRows(root)
        or _hasBare(root, isOptional=False)
    )


def _hasRows(part: ModelGroup | Field) -> bool:
    return isinstance(part, ModelGroup) and (part.rows is not None or any(map(_hasRows, part.parts)))


def _hasBare(part: ModelGroup | Field, isOptional: bool) -> bool:
    """Returns whether None may mean an element in a group that may itself be missing."""
    if isinstance(part, Field):
        return isOptional and part.occurs[0] > 0 and part.mayBeBare
    isOptional = isOptional or part.kind == "choice" or part.occurs[0] == 0
    return any(_hasBare(each, isOptional) for each in part.parts)


# -- classes ----------------------------------------------------------------------------------------------------------


def makeClass(made: ComplexType, bases: tuple[type, ...] = ()) -> type:
    """Makes a dataclass named like the type; fields default to None, an empty list, or the attribute's default."""
    fields: list[Any] = [(each.name, Any, _attributeDefault(each)) for each in made.attributes]
    fields += [(each.name, Any, _childDefault(each)) for each in made.fields]
    if made.text is not None:
        fields.insert(0, ("value", Any, field(default=None)))
    if made.openAttributes:
        fields.append((made.openAttributes, Any, field(default_factory=dict)))
    return make_dataclass(identifierOf(made.name), fields, kw_only=True, bases=bases)


def _childDefault(each: Field) -> Any:
    return field(default_factory=list) if each.isList else field(default=None)


def _attributeDefault(each: Field) -> Any:
    if each.default is not None:
        with suppress(ValueError):
            each.type.read(each.default)
            return field(default_factory=partial(each.type.read, each.default))
    return field(default=None)
