"""Particles: the content model of a complex type, from its schema, and the fields of its values."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import field, make_dataclass, replace
from functools import partial
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

from wsd.config import ConfigError
from wsd.protocols.soap.names import XSD
from wsd.protocols.soap.schema.content import Group, Ordered, shownNames
from wsd.protocols.soap.schema.documents import Schemas, keyOf, qualified
from wsd.protocols.soap.schema.fields import Field
from wsd.protocols.soap.schema.simple import BUILT_IN, memberName
from wsd.protocols.soap.schema.values import ComplexType

if TYPE_CHECKING:
    from wsd.protocols.soap.schema.types import Types

_XSD = f"{{{XSD}}}"
_TRUE = ("true", "1")
GROUPS = ("sequence", "choice", "all", "group")


class Particles:
    """Reads the particles of a contract's types."""

    def __init__(self, types: Types, schemas: Schemas) -> None:
        self._types = types
        self._schemas = schemas
        self._repeats = 0
        self._twins: list[tuple[Field, Field]] = []
        """Elements with the same tag that exclude each other and share a field."""

    # -- from the schema ------------------------------------------------------------------------------------------

    def group(self, made: ComplexType, node: Any) -> Group:
        """A sequence, choice, all or reference to a group. Raises ConfigError."""
        local = localName(node.tag)
        if local == "group":
            name = qualified(node, node.get("ref"))
            found = self._schemas.declared("group", name)
            if found is None:
                raise ConfigError(f"the contract has no group {name}")
            (inner,) = (part for part in found if localName(part.tag) in GROUPS)
            return replace(self.group(made, inner), occurs=_occurs(node))
        group = Group(local, occurs=_occurs(node))
        for part in node:
            kind = localName(part.tag)
            if kind == "element":
                group.parts.append(self._element(made, part))
            elif kind == "any":
                group.parts.append(Field("any", "*", None, occurs=_occurs(part), allows=_allowed(part)))
            elif kind in GROUPS:
                group.parts.append(self.group(made, part))
        group.parts = [part for part in group.parts if part.occurs[1]]
        return group

    def _element(self, made: ComplexType, node: Any) -> Field:
        ref = node.get("ref")
        if ref is not None:
            return replace(self.top(qualified(node, ref)), occurs=_occurs(node))
        local, form = node.get("name"), node.get("form")
        isQualified = form == "qualified" or (form is None and self._schemas.elementFormOf(node))
        space = node.getroottree().getroot().get("targetNamespace")
        tag = f"{{{space}}}{local}" if isQualified and space else local
        type = self._types.typeOf(node, keyOf(node), f"{made.name}_{local}")
        return Field(
            pythonName(local),
            tag,
            type,
            isNillable=node.get("nillable") in _TRUE,
            occurs=_occurs(node),
            default=node.get("default", node.get("fixed")),
        )

    def top(self, tag: str, withMembers: bool = True) -> Field:
        """A reference to a global element, and the elements that may substitute for it (part 1, 3.3.6)."""
        type, node = self._types.element(tag), self._schemas.declared("element", tag)
        found = Field(
            pythonName(localName(tag)),
            tag,
            type,
            isNillable=node.get("nillable") in _TRUE,
            default=node.get("default", node.get("fixed")),
            isAbstract=node.get("abstract") in _TRUE,
        )
        members = self._types.derivations.membersOf(tag) if withMembers else ()
        names = shownNames((tag, *members))
        for name in members:
            member = self.top(name, withMembers=False)
            if not member.isAbstract:
                found.members[name] = replace(member, name=names[name])
        return found

    def attributes(self, made: ComplexType, node: Any) -> None:
        """Add the attributes of a node; one with the same name replaces the base's. Raises ConfigError."""
        for part in node:
            local = localName(part.tag)
            if local == "attribute":
                found = self._attribute(made, part)
                made.attributes = [each for each in made.attributes if each.tag != found.tag]
                if part.get("use") != "prohibited":
                    made.attributes.append(found)
            elif local == "anyAttribute":
                made.openAttributes = "any_attributes"
            elif local == "attributeGroup":
                name = qualified(part, part.get("ref"))
                group = self._schemas.declared("attributeGroup", name)
                if group is None:
                    raise ConfigError(f"the contract has no attributeGroup {name}")
                self.attributes(made, group)

    def _attribute(self, made: ComplexType, node: Any) -> Field:
        least = 1 if node.get("use") == "required" else 0
        ref = node.get("ref")
        top = None
        if ref is not None:
            tag = qualified(node, ref)
            top = self._schemas.declared("attribute", tag)
            type = BUILT_IN["string"] if top is None else self._types.typeOf(top, f"attribute {tag}", localName(tag))
        else:
            tag, form = node.get("name"), node.get("form")
            type = self._types.typeOf(node, keyOf(node), f"{made.name}_{tag}")
            space = node.getroottree().getroot().get("targetNamespace")
            isQualified = form is None and self._schemas.elementFormOf(node, "attributeFormDefault")
            if space and (isQualified or form == "qualified"):
                tag = f"{{{space}}}{tag}"
        default = next((told for each in (node, top) if each is not None for told in _defaultsOf(each)), None)
        return Field(pythonName(localName(tag)), tag, type, least, isAttribute=True, default=default)

    # -- to fields ------------------------------------------------------------------------------------------------

    def _flat(self, made: ComplexType, part: Group | Field, isOptional: bool) -> list[Field]:
        isOptional = isOptional or part.occurs[0] == 0
        isMany = part.occurs[1] > 1
        if isinstance(part, Field):
            part.least = 0 if isOptional else part.occurs[0]
            part.isList = part.isList or isMany
            return [part]
        leaves = part.leaves()
        if isMany and len(leaves) > 1 and not _isColumns(part):
            part.rows = self._rows(made, part, isOptional)
            return [part.rows]
        for leaf in leaves if isMany else ():
            leaf.isList = True
        isOptional = isOptional or part.kind == "choice"
        found = [self._flat(made, inner, isOptional) for inner in part.parts]
        fields = self._shared(found) if part.kind == "choice" else [each for inner in found for each in inner]
        if isMany and len(leaves) > 1:
            self._repeats += 1
            for each in fields:
                each.repeats = self._repeats
        return fields

    def _shared(self, alternatives: list[list[Field]]) -> list[Field]:
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

    def _rows(self, made: ComplexType, group: Group, isOptional: bool) -> Field:
        row = ComplexType(f"{made.name}_row", self._types)
        self.complete(row, Group(group.kind, group.parts))
        row.python = classOf(row)
        return Field("rows", "", row, 0 if isOptional else 1, isList=True)

    def complete(self, made: ComplexType, root: Group) -> None:
        """Give a type its fields, each with a unique name, and its content if fields are not enough."""
        made.model = root
        made.fields = self._flat(made, root, False)
        names = {"value"} if made.text is not None else set()
        for each in sorted([*made.attributes, *made.fields], key=lambda each: not each.isAttribute and not each.tag):
            while each.name in names:
                each.name += "_"
            names.add(each.name)
        # The last ones belong to the outermost choices, whose names the inner ones share.
        for later, first in reversed(self._twins):
            later.name = first.name
        if _isOrdered(root):
            made.content = Ordered(root, self._types)


def _isColumns(group: Group) -> bool:
    """Whether each turn of a group has each element exactly once, so that a list for each element is enough."""
    tags = [leaf.tag for leaf in group.leaves()]
    return _isOnce(group, isTop=True) and len(set(tags)) == len(tags)


def _isOnce(part: Group | Field, isTop: bool = False) -> bool:
    if not isTop and part.occurs != (1, 1):
        return False
    return isinstance(part, Field) or (part.kind == "sequence" and all(map(_isOnce, part.parts)))


def _isOrdered(root: Group) -> bool:
    """Whether the tag of a child is not enough to find its field."""
    leaves = root.leaves()
    wildcards = [leaf for leaf in leaves if leaf.allows is not None]
    tags = [tag for leaf in leaves if leaf.allows is None for tag in (leaf.tag, *leaf.members)]
    return (
        len(set(tags)) < len(tags)
        or len(wildcards) > 1
        or any(wildcard.takes(tag) for wildcard in wildcards for tag in tags)
        or _hasRows(root)
        or _hasBare(root, False)
    )


def _hasBare(part: Group | Field, isOptional: bool) -> bool:
    """Whether None may mean an element in a group that may itself be missing."""
    if isinstance(part, Field):
        return isOptional and part.occurs[0] > 0 and part.mayBeBare
    isOptional = isOptional or part.kind == "choice" or part.occurs[0] == 0
    return any(_hasBare(each, isOptional) for each in part.parts)


def _hasRows(part: Group | Field) -> bool:
    return isinstance(part, Group) and (part.rows is not None or any(map(_hasRows, part.parts)))


def anyContent() -> Group:
    """The content of xs:anyType (part 1, 3.4.7)."""
    return Group("sequence", [Field("any", "*", None, occurs=(0, float("inf")), allows=lambda tag: True)])


def copied(part: Any) -> Any:
    """A copy of a particle, for another type."""
    if isinstance(part, Field):
        return replace(part, isList=False, repeats=0)
    return Group(part.kind, list(map(copied, part.parts)), part.occurs)


def _defaultsOf(node: Any) -> list[str]:
    return [node.get(name) for name in ("default", "fixed") if node.get(name) is not None]


def _occurs(node: Any) -> tuple[int, float]:
    most = node.get("maxOccurs", "1")
    return int(node.get("minOccurs", "1")), float("inf") if most == "unbounded" else int(most)


def _allowed(node: Any) -> Callable[[str], bool]:
    """Which tags a wildcard takes (part 1, 3.10)."""
    target = node.getroottree().getroot().get("targetNamespace", "")
    told = node.get("namespace", "##any").split()
    if told == ["##any"]:
        return lambda tag: True
    if told == ["##other"]:
        return lambda tag: spaceOf(tag) not in (target, "")
    spaces = {{"##targetNamespace": target, "##local": ""}.get(each, each) for each in told}
    return lambda tag: spaceOf(tag) in spaces


def spaceOf(tag: str) -> str:
    """The namespace of a tag."""
    return tag[1:].partition("}")[0] if tag.startswith("{") else ""


def localName(name: Any) -> str:
    """A name without its namespace."""
    return str(name).rpartition("}")[2].rpartition(" ")[2]


def pythonName(local: str) -> str:
    """A name as a Python identifier."""
    name = memberName(local)
    return f"{name}_" if iskeyword(name) or (name.startswith("__") and name.endswith("__")) else name


def classOf(made: ComplexType, bases: tuple[type, ...] = ()) -> type:
    """A dataclass with the type's name; fields default to None, an empty list, or the schema's default."""
    fields: list[Any] = [(each.name, Any, _absent(each)) for each in [*made.attributes, *made.fields]]
    if made.text is not None:
        fields.insert(0, ("value", Any, field(default=None)))
    if made.openAttributes:
        fields.append((made.openAttributes, Any, field(default_factory=dict)))
    return make_dataclass(memberName(made.name), fields, kw_only=True, bases=bases)


def _absent(each: Field) -> Any:
    if each.isList:
        return field(default_factory=list)
    if each.isAttribute and each.default is not None:
        with suppress(ValueError):
            each.type.read(each.default)
            return field(default_factory=partial(each.type.read, each.default))
    return field(default=None)
