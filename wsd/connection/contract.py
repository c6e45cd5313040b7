"""Deprecated, for one release: `wsd.connection` has these names."""

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
