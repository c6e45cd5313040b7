"""The log of one connection."""

from __future__ import annotations

from time import time
from typing import Any

from twisted.logger import Logger, LogLevel, globalLogPublisher
from twisted.python.failure import Failure

_logger = Logger(namespace="wsd")
_INFO = LogLevel.info


class ConnectionLog:
    """The log of one connection, which adds the connection's id to each line."""

    __slots__ = ("id",)

    traceId: str | None = None
    """The id of the trace that the connection belongs to; None without one."""

    def __init__(self, connectionId: str) -> None:
        self.id = connectionId

    def debug(self, template: str = "", /, **fields: Any) -> None:
        """Log nothing: Autobahn calls this for each frame."""

    def info(self, template: str, /, **fields: Any) -> None:
        """
        Log a normal event.

        The event is the same as a Logger's. Making it here is faster, and each handshake logs two.
        """
        self.publish(template, fields)

    def publish(self, template: str, fields: dict[str, Any]) -> None:
        """Log a normal event, of which `fields` becomes a part without a copy."""
        fields["id"] = self.id
        fields["log_logger"] = _logger
        fields["log_level"] = _INFO
        fields["log_namespace"] = "wsd"
        fields["log_source"] = None
        fields["log_format"] = template
        fields["log_time"] = time()
        globalLogPublisher(fields)

    def warn(self, template: str, /, **fields: Any) -> None:
        """Log an event that an operator should look at."""
        _logger.warn(template, id=self.id, **fields)

    def error(self, template: str, /, **fields: Any) -> None:
        """Log an error of the daemon or its machine."""
        _logger.error(template, id=self.id, **fields)

    def failure(self, template: str, /, failure: Failure, **fields: Any) -> None:
        """Log an unexpected exception with its traceback."""
        _logger.failure(template, failure, id=self.id, **fields)


class TracedLog(ConnectionLog):
    """The log of a connection that belongs to a trace, whose id is in each line, too."""

    __slots__ = ("traceId",)

    def __init__(self, connectionId: str, traceId: str) -> None:
        super().__init__(connectionId)
        self.traceId = traceId

    def publish(self, template: str, fields: dict[str, Any]) -> None:
        """Log a normal event, of which `fields` becomes a part without a copy."""
        fields["trace_id"] = self.traceId
        super().publish(template, fields)

    def warn(self, template: str, /, **fields: Any) -> None:
        """Log an event that an operator should look at."""
        super().warn(template, **fields, trace_id=self.traceId)

    def error(self, template: str, /, **fields: Any) -> None:
        """Log an error of the daemon or its machine."""
        super().error(template, **fields, trace_id=self.traceId)

    def failure(self, template: str, /, failure: Failure, **fields: Any) -> None:
        """Log an unexpected exception with its traceback."""
        super().failure(template, failure, **fields, trace_id=self.traceId)


def logOf(connectionId: str, traceId: str | None) -> ConnectionLog:
    """Returns the log of a connection, which belongs to a trace if that has an id."""
    return ConnectionLog(connectionId) if traceId is None else TracedLog(connectionId, traceId)
