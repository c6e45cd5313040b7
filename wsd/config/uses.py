"""What the pages of uses offer: their routes, and whether the daemon has them by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UsesOffer:
    """The routes of the pages of uses, in the form of a file."""

    routes: Mapping[str, Mapping[str, object]]
    needed: tuple[str, ...]
    """The keys of the built-in routes that the pages need as well."""
    byDefault: bool = True
    """False if the daemon has listeners that other machines can reach, whatever the configuration says now."""
