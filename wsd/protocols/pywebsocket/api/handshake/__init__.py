"""The exceptions of opening handshakes."""

from wsd.protocols.pywebsocket.api.handshake import hybi
from wsd.protocols.pywebsocket.api.handshake.base import AbortedByUserException, HandshakeException, VersionException

__all__ = ["AbortedByUserException", "HandshakeException", "VersionException", "hybi"]
