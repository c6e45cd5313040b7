"""The exceptions of streams; each closes the connection with a code when a handler lets it through."""


class ConnectionTerminatedException(Exception):
    """The connection is gone: nothing can be received or sent."""


class InvalidFrameException(ConnectionTerminatedException):
    """The peer sent a frame that RFC 6455 does not allow: closes with 1002."""


class BadOperationException(Exception):
    """The handler asked for what cannot be done now: closes with 1011."""


class UnsupportedFrameException(Exception):
    """The peer sent a frame of an extension or a kind that is not known: closes with 1003."""


class InvalidUTF8Exception(Exception):
    """The peer sent a text that is not UTF-8: closes with 1007."""
