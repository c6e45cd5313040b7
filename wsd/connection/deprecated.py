"""Old names: each works for one release, with a DeprecationWarning that has the new name."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def renamed(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """Returns a `__getattr__` for `module`. `names` maps each old name to the full new one."""

    def moved(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(f"{module}.{name} is now {names[name]}", DeprecationWarning, stacklevel=2)
        home, _, current = names[name].rpartition(".")
        return getattr(import_module(home), current)

    return moved
