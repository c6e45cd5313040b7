"""What the daemon says if it is not upgraded: in the log, and to whoever has asked."""

from __future__ import annotations

from twisted.logger import Logger

_log = Logger(namespace="wsd")


class UpgradeRefused(Exception):
    """An upgrade has failed, or has not begun: the old process is still the daemon. The message is one sentence."""


def refuseUpgrade(reason: str, isStopping: bool = False) -> UpgradeRefused:
    """
    Log why there is no upgrade, and return the exception that says so.

    `isStopping` says whether the old process ends anyway.
    """
    sentence = f"not upgraded: {reason}" if isStopping else f"not upgraded, this process serves on: {reason}"
    _log.error("{sentence}", event="upgrade.refused", sentence=sentence)
    return UpgradeRefused(sentence)
