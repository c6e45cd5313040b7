"""Old names work for one release, with a warning that has the new name."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest

import wsd.connection
from wsd.connection.api import ConnectionApi
from wsd.connection.backpressure import Backpressure
from wsd.connection.deprecated import renamed


@pytest.mark.parametrize(
    ("module", "name", "current"),
    [
        ("wsd.connection", "Contract", ConnectionApi),
        ("wsd.connection", "Flow", Backpressure),
        ("wsd.connection.contract", "Contract", ConnectionApi),
        ("wsd.connection.contract", "Closed", wsd.connection.Closed),
        ("wsd.connection.contract", "maySend", wsd.connection.maySend),
    ],
)
def test_an_old_name_is_the_new_one_with_a_warning(module: str, name: str, current: object) -> None:
    found = importlib.import_module(module)
    with pytest.warns(DeprecationWarning, match=rf"^{module}\.{name} is now wsd\.\S+$"):
        assert getattr(found, name) is current


def test_any_other_name_is_none() -> None:
    module = ModuleType("old")
    module.__getattr__ = renamed("old", {})  # type: ignore[method-assign]
    with pytest.raises(AttributeError, match="module 'old' has no attribute 'missing'"):
        _ = module.missing
