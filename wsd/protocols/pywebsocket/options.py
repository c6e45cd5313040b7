"""The configuration keys of a route of handlers."""

from __future__ import annotations

from codecs import lookup
from dataclasses import dataclass, field
from os.path import isdir, join

from wsd.config import fields
from wsd.protocols.pywebsocket.handlers import Handlers, isUnder


@dataclass(frozen=True)
class HandlerOptions:
    """Where the handlers are, and what is served beside them."""

    handlers: str | None = fields.path()
    """The folder of the handlers, files NAME_wsh.py; each answers at /NAME below the route."""
    handlers_strict: bool = False
    """Whether the daemon does not start if a file cannot be loaded. If false, it logs a warning."""
    handlers_scan: str | None = fields.path()
    """The folder below `handlers` that is searched for files; None is all of it."""
    handlers_map: str | None = fields.path()
    """A file of aliases for handlers' paths: lines "/alias /existing"."""
    handlers_outside: bool = False
    """Whether symbolic links that lead out of the folder are followed."""
    handlers_encoding: str | None = None
    """The encoding of the files; None is what each file declares, or UTF-8."""
    threads: int = field(default=2048, metadata={"unit": "threads", "least": 1, "most": 32768})
    """Threads for handlers that are not coroutines; when all are in use, handshakes are refused with 503."""

    document_root: str | None = fields.path()
    """A folder of files to serve over HTTP; None serves none."""
    cgi_paths: tuple[str, ...] = ()
    """Paths below the document root whose files are CGI programs, such as "/cgi-bin"."""
    basic_auth: str | None = field(default=None, metadata={"secret": True})
    """The name and password, "name:password", that every client needs; None admits all clients."""

    def folder(self) -> Handlers:
        """Returns the handlers of the folder, which are not loaded yet."""
        assert self.handlers is not None
        return Handlers(
            self.handlers, self.handlers_scan, self.handlers_map, self.handlers_outside, self.handlers_encoding
        )

    def check(self) -> list[str]:
        """Load the handlers. Returns what is wrong with them; with `handlers_strict` raises ValueError instead."""
        handlers = self.folder()
        handlers.load()
        if self.handlers_strict and handlers.warnings:
            raise ValueError(f"{handlers.warnings[0]}; fix it, or set handlers_strict = false")
        missing = [path for path in self.cgi_paths if not isdir(join(str(self.document_root), path.strip("/")))]
        return [*handlers.warnings, *(f"cgi_paths: {path} is not a folder in {self.document_root}" for path in missing)]

    def __post_init__(self) -> None:
        """Raises ValueError if a value is missing or invalid."""
        if self.handlers is None:
            raise ValueError('handlers: is missing; write handlers = "FOLDER", where the *_wsh.py files are')
        for name in ("handlers", "handlers_scan", "document_root"):
            folder = getattr(self, name)
            if folder is not None and not isdir(folder):
                raise ValueError(f"{name}: {folder} is not a folder; name one that is there")
        if self.cgi_paths and self.document_root is None:
            raise ValueError("cgi_paths: are below the document root; write document_root too")
        if self.handlers_scan is not None and not isUnder(self.handlers_scan, self.handlers):
            raise ValueError(f"handlers_scan: {self.handlers_scan} is not below {self.handlers}")
        if self.handlers_encoding is not None:
            try:
                lookup(self.handlers_encoding)
            except LookupError:
                raise ValueError(
                    f'handlers_encoding: "{self.handlers_encoding}" is not an encoding of Python; write "utf-8"'
                ) from None
        if self.basic_auth is not None and ":" not in self.basic_auth:
            raise ValueError('basic_auth: has no colon; write "name:password"')
