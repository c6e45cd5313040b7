"""The servers that browsers need to find each other beyond one network, at `/uses/call/ice.json`."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha1
from hmac import digest

VALID = 86400
"""Seconds for which the credentials of TURN are valid."""


def iceServers(stun: Sequence[str], turn: Sequence[str], secret: str | None, now: float) -> list[dict[str, object]]:
    """
    Returns the `iceServers` of an RTCPeerConnection.

    A visitor gets credentials of TURN that expire: the user is the time of that in seconds since 1970, and the password
    its HMAC with the secret that the TURN servers have as well (draft-uberti-behave-turn-rest-00).
    """
    servers: list[dict[str, object]] = []
    if stun:
        servers.append({"urls": list(stun)})
    if turn and secret is not None:
        user = str(int(now) + VALID)
        password = b64encode(digest(secret.encode(), user.encode(), sha1)).decode()
        servers.append({"urls": list(turn), "username": user, "credential": password})
    return servers
