"""The handlers of a folder: which file answers at which path, loaded at the start and again when it changes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from inspect import iscoroutinefunction
from types import CodeType
from typing import Any

from wsd.protocols.pywebsocket.loading import Loader, LoadError

SUFFIX = "_wsh.py"
_CANDIDATE = re.compile(r"_wsh\.py\Z", re.IGNORECASE)
_ALIAS = re.compile(r"(\S+)\s+(\S+)\Z")

HANDSHAKE = "web_socket_do_extra_handshake"
TRANSFER = "web_socket_transfer_data"
CLOSING = "web_socket_passive_closing_handshake"
SAVING = "web_socket_save_state"
RESUMING = "web_socket_resume"

_OPTIONAL = (CLOSING, SAVING, RESUMING)

_BYTES = ({"connection", "read"}, {"receive_bytes"}, {"parse_frame"}, {"_receive_frame"}, {"get_memorized_lines"})
"""Sets of names. A function that uses all names of one set reads the connection's bytes itself."""

Stamp = tuple[int, int, int]
"""Modification time, size and inode of a file."""


@dataclass(frozen=True, slots=True)
class Handler:
    """The functions of one file."""

    path: str
    """The file."""
    handshake: Callable[[Any], Any]
    transfer: Callable[[Any], Any]
    closing: Callable[[Any], Any] | None
    readsBytes: bool = False
    """Whether it reads the connection's bytes itself."""
    saving: Callable[[Any], Any] | None = None
    """Returns what `resuming` needs in a new process."""
    resuming: Callable[[Any, Any], Any] | None = None
    """Goes on with a connection that an upgrade has moved here."""

    @property
    def canMove(self) -> bool:
        """Whether it is a coroutine that can go on in a new process."""
        return self.isAsync and iscoroutinefunction(self.resuming)

    @property
    def isAsync(self) -> bool:
        """Whether it is a coroutine, and runs on the reactor."""
        return iscoroutinefunction(self.transfer)


def handlerOf(names: dict[str, Any], path: str, readsBytes: bool = False) -> Handler:
    """Returns the handler that a file defines. Raises LoadError if a function is missing."""
    for name in (HANDSHAKE, TRANSFER):
        if name not in names:
            raise LoadError(path, None, f"{name} is not defined.")
        if not callable(names[name]):
            raise LoadError(path, None, f"{name} is not callable.")
    closing, saving, resuming = (each if callable(each := names.get(name)) else None for name in _OPTIONAL)
    return Handler(path, names[HANDSHAKE], names[TRANSFER], closing, readsBytes, saving, resuming)


class Handlers:
    """The handlers below a folder, by path."""

    def __init__(
        self,
        root: str,
        scan: str | None = None,
        mapFile: str | None = None,
        outside: bool = False,
        encoding: str | None = None,
    ) -> None:
        """`scan` is the folder below `root` to search; with `outside`, links that lead out of `root` are followed."""
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
        """Returns the handler at a path."""
        return self._byResource.get(self._aliases.get(resource, resource))

    # -- loading --------------------------------------------------------------------------------------------------

    @property
    def resources(self) -> list[str]:
        """The resources that have a handler, with a leading slash, sorted; aliases are left out."""
        return sorted(self._byResource)

    def load(self) -> list[str]:
        """Load new and changed files, and forget files that are gone. Returns sentences for the log."""
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
                # Not after the loop: a later file may hang while it is loaded.
                self._byResource[resource] = handler
                sentences.append(f"loaded {path} at {resource}")
        sentences += [f"removed {handler.path}" for handler in gone]
        self._readMap()
        return sentences

    def hasChanged(self) -> bool:
        """Whether a file is new, has changed or is gone since the last load."""
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
                self.warnings.append(f"{path}: is a symbolic link that leads out of {self.root}, so it is ignored")

    def _loaded(self, path: str, before: Handler | None) -> Handler | None:
        """Load a file. If it is broken, returns the handler that was loaded before."""
        self._stamps[path] = _stamp(path)
        handler: Handler | None
        try:
            names = self.loader.run(path)
            handler = found = handlerOf(names, path)
        except LoadError as error:
            kept = "" if before is None else " (the previous version stays in use)"
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
            self.warnings.append(f'{self._mapFile}:{number}: is not an alias; write "/alias /existing"')
        for alias, existing in aliases:
            if existing in self._byResource:
                found[alias] = existing
            else:
                self.warnings.append(f"{self._mapFile}: {alias} refers to {existing}, which has no handler")
        self._aliases = found


def _stamp(path: str) -> Stamp | None:
    """Returns a value that changes with the file; None if there is no file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _looksAtBytes(code: CodeType) -> bool:
    if any(names <= set(code.co_names) for names in _BYTES):
        return True
    return any(_looksAtBytes(constant) for constant in code.co_consts if isinstance(constant, CodeType))


# -- paths -----------------------------------------------------------------------------------------------------------


def isUnder(path: str, folder: str) -> bool:
    """Whether a path, with symbolic links resolved, is a folder or lies in it."""
    root = os.path.realpath(folder)
    return os.path.commonpath((os.path.realpath(path), root)) == root


def candidates(folder: str) -> Iterator[str]:
    """Yields the files below a folder that look like handlers, sorted by name. Links to folders are not followed."""
    for place, folders, files in os.walk(os.path.realpath(folder)):
        folders.sort()
        yield from (os.path.join(place, name) for name in sorted(files) if _CANDIDATE.search(name))


def resourceOf(path: str, root: str) -> str | None:
    """Returns the URL path at which a file answers, /a/b for `ROOT/a/b_wsh.py`; None if it does not answer."""
    base = os.path.realpath(root).rstrip("/")
    if not path.endswith(SUFFIX) or not path.startswith(base + "/"):
        return None
    return path[len(base) : -len(SUFFIX)]


def readMap(lines: Iterable[str]) -> tuple[list[tuple[str, str]], list[int]]:
    """Returns the aliases in a map file, each with the path it stands for, and the numbers of invalid lines."""
    aliases, wrong = [], []
    for number, line in enumerate(lines, 1):
        if line.startswith("#") or not line.strip():
            continue
        match = _ALIAS.match(line.rstrip())
        if match is None:
            wrong.append(number)
        else:
            aliases.append((match[1], match[2]))
    return aliases, wrong
