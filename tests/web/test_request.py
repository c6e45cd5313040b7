"""The old names in `wsd.web.request`, which work for one release."""

from __future__ import annotations

import pytest

import wsd.web.request
from wsd import resources


def test_the_request_has_its_old_name_with_a_warning() -> None:
    with pytest.warns(DeprecationWarning, match="is now wsd.web.request.HttpRequest"):
        assert wsd.web.request.Request is wsd.web.request.HttpRequest


def test_the_interfaces_of_bodies_are_found_where_they_were() -> None:
    with pytest.warns(DeprecationWarning, match=r"is now wsd\.resources\.IBody"):
        assert wsd.web.request.IBody is resources.IBody
    with pytest.warns(DeprecationWarning, match=r"is now wsd\.resources\.IStreamed"):
        assert wsd.web.request.IStreamed is resources.IStreamed
