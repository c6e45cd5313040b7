"""The handlers of a folder: loaded at the start, and each again when its file changes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from inspect import iscoroutinefunction
from types import CodeType
from typing import Any

from wsd.protocols.pywebsocket.loading import Loader, LoadError
from wsd.protocols.pywebsocket.paths import SUFFIX, candidates, isUnder, readMap, resourceOf

HANDSHAKE = "web_socket_do_extra_handshake"
TRANSFER = "web_socket_transfer_data"
CLOSING = "web_socket_passive_closing_handshake"

_BYTES = ({"connection", "read"}, {"receive_bytes"}, {"parse_frame"}, {"_receive_frame"}, {"get_memorized_lines"})
"""Names that, together in one function, tell that a handler reads the connection's bytes itself."""

Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Handler:
    """One file's functions."""

    path: str
    """The file."""
    handshake: Callable[[Any], Any]
    transfer: Callable[[Any], Any]
    closing: Callable[[Any], Any] | None
    readsBytes: bool = False
    """Whether it reads the connection's bytes itself."""

    @property
    def isAsync(self) -> bool:
        """Whether it is a coroutine's: then all of it runs on the reactor."""
        return iscoroutinefunction(self.transfer)


def handlerOf(names: dict[str, Any], path: str, readsBytes: bool = False) -> Handler:
    """The handler that a file's names make. Raises LoadError when one is missing."""
    for name in (HANDSHAKE, TRANSFER):
        if name not in names:
            raise LoadError(path, None, f"{name} is not defined.")
        if not callable(names[name]):
            raise LoadError(path, None, f"{name} is not callable.")
    closing = names.get(CLOSING)
    return Handler(path, names[HANDSHAKE], names[TRANSFER], closing if callable(closing) else None, readsBytes)


class Handlers:
    """What answers below a folder, by path."""

    def __init__(
        self,
        root: str,
        scan: str | None = None,
        mapFile: str | None = None,
        outside: bool = False,
        encoding: str | None = None,
    ) -> None:
        """`scan` is the part of `root` in which files are looked for; `outside` follows links that lead out of it."""
        self.root = os.path.realpath(root)
        self.loader = Loader(self.root, encoding)
        self.warnings: list[str] = []
        self._scan = scan or root
        self._mapFile = mapFile
        self._outside = outside
        self._byResource: dict[str, Handler] = {}
        self._aliases: dict[str, str] = {}
        self._stamps: dict[str, Stamp | None] = {}
        self._refused: set[str] = set()

    def find(self, resource: str) -> Handler | None:
        """The handler at a path."""
        return self._byResource.get(self._aliases.get(resource, resource))

    # -- loading --------------------------------------------------------------------------------------------------

    def load(self) -> list[str]:
        """Load what is new or has changed, let go of what is gone: what to log of it, one sentence each."""
        self.warnings = []
        changed = {path for path, stamp in self._stamps.items() if _stamp(path) != stamp}
        for path in changed:
            self.loader.forget(path)
        self._stamps = {path: stamp for path in self._stamps if (stamp := _stamp(path)) is not None}
        files = {resource: path for path in self._files() if (resource := resourceOf(path, self.root)) is not None}
        gone = [self._byResource.pop(resource) for resource in self._byResource.keys() - files.keys()]
        sentences = []
        for resource, path in files.items():
            if path in self._stamps and changed.isdisjoint({path, *self.loader.uses(path)}):
                continue
            before = self._byResource.get(resource)
            handler = self._loaded(path, before)
            if handler is not None and handler is not before:
                # At once: a file that hangs while it is loaded does not keep those before it from answering.
                self._byResource[resource] = handler
                sentences.append(f"{path} answers at {resource}")
        sentences += [f"{handler.path} is gone" for handler in gone]
        self._readMap()
        return sentences

    def hasChanged(self) -> bool:
        """Whether a file has changed, come or gone since it was looked at."""
        files = set(self._files())
        if any(_stamp(path) != stamp for path, stamp in self._stamps.items()):
            return True
        return any(path not in self._stamps for path in files if resourceOf(path, self.root) is not None)

    def _files(self) -> Iterator[str]:
        for path in candidates(self._scan):
            if self._outside or isUnder(path, self.root):
                yield path
            elif path not in self._refused:
                self._refused.add(path)
                self.warnings.append(f"{path}: is a link that leads out of {self.root}; it is not followed")

    def _loaded(self, path: str, before: Handler | None) -> Handler | None:
        """Load a file; a broken one leaves what was there before."""
        self._stamps[path] = _stamp(path)
        handler: Handler | None
        try:
            names = self.loader.run(path)
            handler = found = handlerOf(names, path)
        except LoadError as error:
            kept = "" if before is None else " (what was loaded before stays)"
            self.warnings.append(f"{error}{kept}")
            handler = before
        else:
            handler = replace(found, readsBytes=not found.isAsync and self._readsBytes(names, path))
        for used in self.loader.uses(path):
            self._stamps.setdefault(used, _stamp(used))
            self._stamps[used] = _stamp(used)
        return handler

    def _readsBytes(self, names: dict[str, Any], path: str) -> bool:
        codes = [value.__code__ for value in names.values() if hasattr(value, "__code__")]
        codes += [code for used in self.loader.uses(path) if (code := self.loader.codeOf(used)) is not None]
        return any(map(_looksAtBytes, codes))

    def _readMap(self) -> None:
        if self._mapFile is None:
            return
        found: dict[str, str] = {}
        try:
            with open(self._mapFile, encoding="utf-8") as file:
                aliases, wrong = readMap(file)
        except (OSError, UnicodeDecodeError) as error:
            self.warnings.append(f"{self._mapFile}: cannot be read: {error}")
            return
        for number in wrong:
            self.warnings.append(f'{self._mapFile}:{number}: is no alias; write "/alias /existing"')
        for alias, existing in aliases:
            if existing in self._byResource:
                found[alias] = existing
            else:
                self.warnings.append(f"{self._mapFile}: {alias} stands for {existing}, where no handler answers")
        self._aliases = found


def _stamp(path: str) -> Stamp | None:
    """What changes when a file does; None when it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _looksAtBytes(code: CodeType) -> bool:
    if any(names <= set(code.co_names) for names in _BYTES):
        return True
    return any(_looksAtBytes(constant) for constant in code.co_consts if isinstance(constant, CodeType))


__all__ = ["CLOSING", "HANDSHAKE", "SUFFIX", "TRANSFER", "Handler", "Handlers", "handlerOf"]
