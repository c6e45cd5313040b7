"""The keys of the route `/uses/*`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wsd.config.fields import path, strings


def readStun(text: str) -> str:
    """The URL of a STUN server (RFC 7064). Raises ValueError."""
    if not text.startswith(("stun:", "stuns:")):
        raise ValueError(f'"{text}" is not a STUN server; write "stun:stun.example.com:3478"')
    return text


def readTurn(text: str) -> str:
    """The URL of a TURN server (RFC 7065). Raises ValueError."""
    if not text.startswith(("turn:", "turns:")):
        raise ValueError(f'"{text}" is not a TURN server; write "turn:turn.example.com:3478"')
    return text


@dataclass(frozen=True)
class UsesOptions:
    """Servers that video calls need beyond one network."""

    stun: tuple[str, ...] = strings(each=readStun)
    """STUN servers, which tell a browser its public address."""
    turn: tuple[str, ...] = strings(each=readTurn)
    """TURN servers, which pass calls on where firewalls allow nothing else."""
    turn_secret: str | None = path()
    """The file with the secret that is shared with the TURN servers (coturn's static-auth-secret)."""

    def __post_init__(self) -> None:
        if self.turn and self.turn_secret is None:
            raise ValueError("turn_secret: is missing; name the file with the secret of the TURN servers")

    def check(self) -> tuple[str, ...]:
        """Check that the secret can be read. Raises ValueError."""
        self.secret()
        return ()

    def secret(self) -> str | None:
        """The secret. Raises ValueError."""
        if self.turn_secret is None:
            return None
        try:
            secret = Path(self.turn_secret).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"turn_secret: cannot be read: {error}") from None
        if not secret:
            raise ValueError(f"turn_secret: {self.turn_secret} is empty; write the secret of the TURN servers there")
        return secret
