"""The exceptions of streams. If a handler does not catch one, the connection is closed with its code."""


class ConnectionTerminatedException(Exception):
    """The connection is gone. Nothing can be received or sent."""


class InvalidFrameException(ConnectionTerminatedException):
    """The peer sent an invalid frame (RFC 6455 5). Closes with 1002."""


class BadOperationException(Exception):
    """The handler called a method that is not allowed now, or with invalid arguments. Closes with 1011."""


class UnsupportedFrameException(Exception):
    """The peer sent a frame with an unknown opcode or a reserved bit. Closes with 1003."""


class InvalidUTF8Exception(Exception):
    """The peer sent a text message that is not UTF-8. Closes with 1007."""
