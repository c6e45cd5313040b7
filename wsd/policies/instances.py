"""What the instances of a class share, of which there is one for each connection."""

from __future__ import annotations

from typing import Any


def shareNames(kind: type[Any], names: tuple[str, ...]) -> None:
    """
    Let the instances of a class share one table of the names of these attributes.

    CPython makes this table while there are few instances. An instance that is given another name later has a table of
    its own from then on, of several hundred bytes. So does each of many connections that are accepted at once, since
    most attributes are set later.
    """
    first: object = object.__new__(kind)
    for name in names:
        # A subclass may have a property of that name.
        if not hasattr(getattr(kind, name, None), "__set__"):
            object.__setattr__(first, name, None)
