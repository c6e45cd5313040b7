"""Opening handshakes, as handlers meet them: their exceptions."""

from wsd.protocols.pywebsocket.api.handshake import hybi
from wsd.protocols.pywebsocket.api.handshake.base import AbortedByUserException, HandshakeException, VersionException

__all__ = ["AbortedByUserException", "HandshakeException", "VersionException", "hybi"]
