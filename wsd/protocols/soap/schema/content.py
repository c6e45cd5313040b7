"""
Content: children whose order or place in a model group is part of the value (XML Schema part 1, 3.8).

Valid content matches its content model in only one way (3.8.6, unique particle attribution). So the tag of the next
child is enough to find its place. A repeated group is read as a list of rows. A row holds the elements of one turn of
the group, which is one of its repetitions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from lxml import etree

from wsd.protocols.soap.names import shortNames
from wsd.protocols.soap.schema.fields import Field, Named
from wsd.protocols.soap.schema.tags import escaped
from wsd.protocols.soap.schema.values import ValueTypes, readField, writeColumns, writeField, writeFields


@dataclass(slots=True, eq=False)
class ModelGroup:
    """A model group: a sequence, a choice or an all group, with its particles."""

    kind: str
    parts: list[Field | ModelGroup] = field(default_factory=list)
    occurs: tuple[int, float] = (1, 1)
    rows: Field | None = None
    """The field for the rows of a repeated group, unless each of its elements has a list."""
    _starts: dict[str, Field | ModelGroup] | None = None
    _fields: list[Field] | None = None

    def takes(self, tag: str) -> bool:
        """Returns whether the group may begin with an element with this tag."""
        return self.starting(tag) is not None

    def starting(self, tag: str) -> Field | ModelGroup | None:
        """Returns the part that matches an element with this tag at the beginning of the group, or None."""
        if self._starts is None:
            self._starts = {}
            for part in _mayBeFirst(self):
                for leaf in _firstOf(part):
                    for each in (leaf.tag, *leaf.members) if leaf.allows is None else ():
                        self._starts.setdefault(each, part)
        found = self._starts.get(tag)
        return found or next((part for part in _mayBeFirst(self) if part.takes(tag)), None)

    def leaves(self) -> list[Field]:
        """Returns all elements and wildcards in the group."""
        return [leaf for part in self.parts for leaf in (part.leaves() if isinstance(part, ModelGroup) else [part])]

    def fields(self) -> list[Field]:
        """Returns the fields that hold the values of the group."""
        if self.rows is not None:
            return [self.rows]
        if self._fields is None:
            found = [part.fields() if isinstance(part, ModelGroup) else [part] for part in self.parts]
            self._fields = [each for fields in found for each in fields]
        return self._fields

    def names(self) -> set[str]:
        """Returns the names of these fields."""
        return {each.name for each in self.fields()}

    def needed(self) -> set[str]:
        """Returns the names of the fields that every turn of the group must have."""
        if self.rows is not None:
            return {self.rows.name} if self.occurs[0] else set()
        if self.kind == "choice":
            return set()
        found: set[str] = set()
        for part in self.parts:
            if part.occurs[0]:
                found |= part.needed() if isinstance(part, ModelGroup) else {part.name}
        return found


def _firstOf(part: Field | ModelGroup) -> list[Field]:
    """Returns the elements and wildcards that a part may begin with."""
    if isinstance(part, Field):
        return [part]
    return [leaf for each in _mayBeFirst(part) for leaf in _firstOf(each)]


def _mayBeFirst(group: ModelGroup) -> list[Field | ModelGroup]:
    """Returns the parts that may come first: those up to the first required one in a sequence, else all."""
    if group.kind != "sequence":
        return group.parts
    end = next((at for at, each in enumerate(group.parts) if not mayBeEmpty(each)), len(group.parts))
    return group.parts[: end + 1]


def mayBeEmpty(part: Field | ModelGroup) -> bool:
    """Returns whether a part may be left out or empty."""
    if part.occurs[0] == 0:
        return True
    if isinstance(part, Field):
        return False
    return (any if part.kind == "choice" else all)(map(mayBeEmpty, part.parts))


class OrderedContent:
    """Content with rows, or with elements of the same tag in several places."""

    def __init__(self, root: ModelGroup, types: ValueTypes) -> None:
        self.root = root
        self._types = types

    def read(self, element: Any, values: dict[str, Any]) -> None:
        """Reads the children into `values`. Raises ValueError."""
        children = list(element)
        end = self._readPart(self.root, children, 0, values)
        if end < len(children):
            raise ValueError(f"{children[end].tag} is not allowed here")

    def _readPart(self, part: Field | ModelGroup, children: list[Any], at: int, values: dict[str, Any]) -> int:
        """Reads all turns of a part from index `at` on. Returns the index after them."""
        turns = 0
        while turns < part.occurs[1] and at < len(children) and part.takes(children[at].tag):
            turns += 1
            if isinstance(part, ModelGroup):
                at = self._readTurn(part, children, at, values)
                continue
            value = readField(part, self._types, children[at])
            if part.isList:
                values.setdefault(part.name, []).append(value)
            else:
                values[part.name] = value
            at += 1
        return at

    def _readTurn(self, group: ModelGroup, children: list[Any], at: int, values: dict[str, Any]) -> int:
        """Reads one turn of a group, into a row if the group has rows. Returns the index after it."""
        if group.rows is None:
            return self._readParts(group, children, at, values)
        row: dict[str, Any] = {}
        at = self._readParts(group, children, at, row)
        values.setdefault(group.rows.name, []).append(group.rows.type.python(**row))
        return at

    def _readParts(self, group: ModelGroup, children: list[Any], at: int, values: dict[str, Any]) -> int:
        """Reads each part of a group once. Returns the index after them."""
        if group.kind == "sequence":
            for part in group.parts:
                at = self._readPart(part, children, at, values)
            return at
        while at < len(children):
            fitting = group.starting(children[at].tag)
            if fitting is None:
                break
            at = self._readPart(fitting, children, at, values)
            if group.kind == "choice":
                break
        return at

    def write(self, out: list[str], get: Callable[..., Any]) -> None:
        """Writes the children in order. Raises ValueError."""
        self._writePart(out, self.root, get)

    def _writePart(self, out: list[str], part: Field | ModelGroup, get: Callable[..., Any]) -> None:
        if isinstance(part, Field):
            given = get(part.name, None)
            if given is None and part.occurs[0] and part.mayBeBare:
                writeField(out, part, None, self._types)
            else:
                writeFields(out, part, given, self._types)
        elif part.rows is not None:
            for row in _rowsOf(part.rows, get(part.rows.name, None)) or self._fromColumns(part.rows, get):
                self._writeRow(out, part.rows, row)
        elif part.occurs[1] > 1 and len(part.leaves()) > 1:
            writeColumns(out, part.leaves(), get, self._types)
        elif part.kind == "choice":
            self._writeChoice(out, part, get)
        elif part.occurs[0] or any(_isGiven(each, get(each.name, None)) for each in part.fields()):
            for each in part.parts:
                self._writePart(out, each, get)

    def _fromColumns(self, rows: Field, get: Callable[..., Any]) -> list[dict[str, Any]]:
        """Makes rows from a list for each element: one after another for a choice, side by side for a sequence."""
        turn: ModelGroup = rows.type.model
        own = self.root.names()
        columns = {
            each.name: get(each.name, None) for each in turn.fields() if not each.isList and each.name not in own
        }
        given = {name: column for name, column in columns.items() if isinstance(column, (list, tuple)) and column}
        if turn.kind == "choice":
            return [{name: item} for name, column in given.items() for item in column]
        if len(set(map(len, given.values()))) > 1:
            raise ValueError(f"{rows.name}: {_listed(set(given))} differ in length; give {rows.name}")
        return [dict(zip(given, items, strict=True)) for items in zip(*given.values(), strict=True)]

    def _writeRow(self, out: list[str], rows: Field, row: Any) -> None:
        turn: ModelGroup = rows.type.model
        if isinstance(row, Mapping):
            unknown = [str(name) for name in row if name not in turn.names()]
            if unknown:
                raise ValueError(f"{rows.name}: a row has no {', '.join(unknown)}; it has {_listed(turn.names())}")
        before = len(out)
        self._writePart(out, turn, row.get if isinstance(row, Mapping) else partial(getattr, row))
        if len(out) == before and not mayBeEmpty(turn):
            raise ValueError(
                f"{rows.name}: a row is a mapping or an object with {_listed(turn.names())}; {row!r} has none"
            )

    def _writeChoice(self, out: list[str], group: ModelGroup, get: Callable[..., Any]) -> None:
        given = {each.name for each in group.fields() if _isGiven(each, get(each.name, None))}
        if not given:
            bare = sorted(filter(_mayBeBare, group.parts), key=lambda each: isinstance(each, ModelGroup))
            if bare and not mayBeEmpty(group):
                self._writeBare(out, bare[0], get)
            return
        fitting = [each for each in group.parts if given <= _namesOf(each)]
        if not fitting:
            raise ValueError(f"{_listed(given)} exclude each other; give one of them")
        whole = [each for each in fitting if isinstance(each, Field) or each.needed() <= given]
        self._writePart(out, (whole or fitting)[0], get)

    def _writeBare(self, out: list[str], part: Field | ModelGroup, get: Callable[..., Any]) -> None:
        """Writes a part for which no value is given."""
        if isinstance(part, Field):
            writeField(out, part, None, self._types)
        else:
            self._writePart(out, part, get)


def _mayBeBare(part: Field | ModelGroup) -> bool:
    """Returns whether a part can be written without a value, since None can be written for all required elements."""
    if isinstance(part, Field):
        return part.mayBeBare
    if part.rows is not None or mayBeEmpty(part):
        return False
    if part.kind == "choice":
        return any(map(_mayBeBare, part.parts))
    return all(mayBeEmpty(each) or _mayBeBare(each) for each in part.parts)


def _namesOf(part: Field | ModelGroup) -> set[str]:
    return part.names() if isinstance(part, ModelGroup) else {part.name}


def _rowsOf(rows: Field, given: Any) -> Any:
    """Returns the given rows, or an empty tuple. Raises TypeError."""
    if isinstance(given, (str, bytes, Mapping)):
        raise TypeError(f"{rows.name}: {type(given).__name__} is not a list of rows")
    return given or ()


def _isGiven(each: Field, value: Any) -> bool:
    return bool(value) if each.isList else value is not None


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))


class MixedContent:
    """
    Mixed content (XML Schema part 1, 3.4.2): a list of texts and named elements, in document order.

    Without the list, the content is written from the fields of its elements.
    """

    def __init__(self, name: str, ordered: OrderedContent, types: ValueTypes) -> None:
        self.name = name
        self._ordered = ordered
        self._types = types
        self._byTag: dict[str, Field] = {}
        for leaf in ordered.root.leaves():
            if leaf.type is not None:
                self._byTag.setdefault(leaf.tag, replace(leaf, members={}))
                self._byTag |= leaf.members
        names = shortNames(self._byTag)
        for tag, each in self._byTag.items():
            self._byTag[tag] = replace(each, name=names[tag])

    def read(self, element: Any, values: dict[str, Any]) -> None:
        """Reads the list into `values`. Raises ValueError."""
        pieces: list[Any] = [element.text] if element.text else []
        for child in element:
            each = self._byTag.get(child.tag)
            pieces.append(child if each is None else Named(each.name, readField(each, self._types, child)))
            if child.tail:
                pieces.append(child.tail)
        values[self.name] = pieces

    def write(self, out: list[str], get: Callable[..., Any]) -> None:
        """Writes the texts and elements. Raises ValueError or TypeError."""
        pieces = get(self.name, None)
        if pieces is None:
            self._ordered.write(out, get)
            return
        for piece in [pieces] if isinstance(pieces, str) else pieces:
            if isinstance(piece, str):
                out.append(escaped(piece))
            elif isinstance(piece, Named):
                writeField(out, self._fieldOf(piece.name), piece.value, self._types)
            elif etree.iselement(piece):
                self._types.writeAny(out, piece)
            else:
                raise TypeError(f"{self.name}: {piece!r} is neither a text, a Named nor an element")

    def _fieldOf(self, name: str) -> Field:
        for tag, each in self._byTag.items():
            if name in (each.name, tag):
                return each
        raise ValueError(f"{self.name}: {name} is not one of {_listed({each.name for each in self._byTag.values()})}")
