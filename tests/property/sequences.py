"""How many sequences of steps a stateful model is tried with: a few in `make test`, many in `make soak`."""

from __future__ import annotations

from os import W_OK, access
from typing import Any

from hypothesis import HealthCheck, settings

FOLDERS = "/dev/shm" if access("/dev/shm", W_OK) else None
"""Where stores are kept: in memory, as thousands of sequences sync each of their steps."""

_SOAK = 40
"""Times as many under the profile `soak`."""


def sequences(count: int, steps: int) -> Any:
    """
    Returns the settings of a model: `count` sequences of at most `steps` steps.

    They are the same in each run, so that `make test` fails for a reason in the tree alone. Under the profile `soak`
    they are drawn anew.
    """
    isSoak = settings.get_current_profile_name() == "soak"
    return settings(
        max_examples=count * (_SOAK if isSoak else 1),
        stateful_step_count=steps,
        derandomize=not isSoak,
        deadline=None,
        database=None,
        print_blob=isSoak,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
