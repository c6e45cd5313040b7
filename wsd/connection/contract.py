"""Deprecated: the names of this module are in `wsd.connection` and `wsd.frames.codes` now."""

from wsd.connection.deprecated import renamed

__getattr__ = renamed(
    __name__,
    {
        "Closed": "wsd.connection.Closed",
        "Contract": "wsd.connection.api.ConnectionApi",
        "checkCode": "wsd.frames.codes.checkCode",
        "maySend": "wsd.connection.maySend",
    },
)
