"""Checks that the policies of the daemon or of a route are consistent."""

from __future__ import annotations

from wsd.config.schema import Policies
from wsd.config.tables import Table


def checkPolicies(policies: Policies, table: Table) -> None:
    """Raises ConfigError if they are not. It names a key of `table`, where the user can change it."""
    if policies.low_water >= policies.high_water:
        raise table.error(
            "low_water" if "low_water" in table else "high_water",
            f"low_water ({policies.low_water} bytes) must be less than high_water ({policies.high_water})",
        )
    if policies.max_unsent < policies.high_water + policies.max_message:
        raise table.error(
            next((key for key in ("max_unsent", "max_message") if key in table), "high_water"),
            f"max_unsent ({policies.max_unsent} bytes) must be at least high_water plus max_message "
            f"({policies.high_water} + {policies.max_message})",
        )
