"""
Loads the Python code that the configuration names: a protocol, or the service of a route of SOAP.

A reference is "/folder/shout.py:ShoutFactory", as `values.reference` makes it from the text in the file, or
"package.module:Name" for an installed package. A file may import the modules beside it. If a file or such a module has
changed, the next `load` reads all of them again; what is open keeps the old code. Installed packages are imported once.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module, invalidate_caches
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from traceback import walk_tb
from types import ModuleType
from typing import Any

from wsd.config.errors import ConfigError
from wsd.config.values import nearest, splitReference

_Stamp = tuple[int, int, int] | None


def load(reference: str) -> Any:
    """Returns what a reference names: a module, or an attribute of one. Raises ConfigError."""
    place, name = splitReference(reference)
    module = _folderOf(place).load(place) if place.endswith(".py") else _installed(place)
    if name is None:
        return module
    try:
        return getattr(module, name)
    except AttributeError:
        raise ConfigError(f'{place} has no "{name}"; {_others(module, name)}') from None


def versionOf(reference: str) -> int:
    """Returns a number that changes when the code has changed since it was loaded; 0 for an installed package."""
    place, _ = splitReference(reference)
    return _folderOf(place).version() if place.endswith(".py") else 0


class _CodeFolder:
    """The code that was loaded from one folder: files by path, and the modules that they imported from it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._version = 0
        self._loaded: dict[str, ModuleType] = {}
        self._stamps: dict[str, _Stamp] = {}
        self._names: set[str] = set()

    def version(self) -> int:
        """Forget everything if a file has changed. Returns how often that has happened."""
        if any(_stampOf(file) != stamp for file, stamp in self._stamps.items()):
            self._version += 1
            self._forget()
        return self._version

    def load(self, file: str) -> ModuleType:
        """Returns the module of a file. Raises ConfigError."""
        self.version()
        if file not in self._loaded:
            if not os.path.isfile(file):
                raise ConfigError(_noFile(file))
            if self._path not in sys.path:
                # Last, so that a file here cannot hide a module of Python or of an installed package.
                sys.path.append(self._path)
            before = set(sys.modules)
            stamp = _stampOf(file)
            try:
                self._loaded[file] = self._import(file)
            except (Exception, SystemExit) as error:
                self._note(before)
                self._forget()
                raise _cannotLoad(file, error) from error
            self._stamps[file] = stamp
            self._note(before)
        return self._loaded[file]

    def _import(self, file: str) -> ModuleType:
        """Import a file under its usual name or, if another module has that name, under one of its own."""
        name = os.path.relpath(file, self._path).removesuffix(".py").removesuffix("/__init__").replace(os.sep, ".")
        # Bytecode is compared by size and second only, and does not belong into a folder of configuration.
        writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        invalidate_caches()
        try:
            return import_module(name) if _fileOf(name) == file else self._importAlone(name, file)
        finally:
            sys.dont_write_bytecode = writes

    def _importAlone(self, name: str, file: str) -> ModuleType:
        name = f"{name} in {self._path}"
        spec = spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = module_from_spec(spec)
        self._names.add(name)
        spec.loader.exec_module(module)
        return module

    def _note(self, before: set[str]) -> None:
        """Note the modules of this folder that have been imported since `before`."""
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            stem = os.path.join(self._path, *name.split("."))
            if file in (f"{stem}.py", f"{stem}/__init__.py") and name.partition(".")[0] != "wsd":
                self._names.add(name)
                self._stamps.setdefault(file, _stampOf(file))

    def _forget(self) -> None:
        for name in self._names:
            sys.modules.pop(name, None)
        self._names.clear()
        self._loaded.clear()
        self._stamps.clear()


_folders: dict[str, _CodeFolder] = {}
"""The folders by path: like `sys.modules`, there is one for the whole process."""


def _folderOf(file: str) -> _CodeFolder:
    """The folder that a file is imported from: that of its outermost package, else its own."""
    path = os.path.dirname(file)
    while os.path.isfile(os.path.join(path, "__init__.py")):
        path = os.path.dirname(path)
    return _folders.setdefault(path, _CodeFolder(path))


def _installed(name: str) -> ModuleType:
    try:
        return import_module(name)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise ConfigError(
                f'there is no module "{name}", neither in the folder of the configuration nor installed; '
                f'write "{name.replace(".", "/")}.py:NAME" for a file'
            ) from None
        raise _cannotLoad(name, error) from error


def _stampOf(file: str) -> _Stamp:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _fileOf(name: str) -> str | None:
    """The file that a module is imported from, None if it is unknown."""
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return None
    return None if spec is None else spec.origin


# -- sentences --------------------------------------------------------------------------------------------------------


def _noFile(file: str) -> str:
    folder = os.path.dirname(file)
    if not os.path.isdir(folder):
        return f"there is no folder {folder}; a path is relative to the folder of the configuration"
    files = [name for name in os.listdir(folder) if name.endswith(".py")]
    hint = nearest(os.path.basename(file), files) if files else f"{folder} has no Python files"
    return f"there is no file {file}; {hint}"


def _others(module: ModuleType, name: str) -> str:
    """What else a module has: the end of a sentence about a name that it lacks."""
    own = [key for key, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
    if not own:
        return "nothing is defined there"
    return nearest(name, own)


def _cannotLoad(place: str, error: BaseException) -> ConfigError:
    """The exception of a module as one sentence, with the last line of the user's own code that took part."""
    text = " ".join(str(error).split())
    sentence = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if not isinstance(error, SyntaxError):
        folder = os.path.dirname(place)
        frames = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
        own = [(file, line) for file, line in frames if folder and file.startswith(f"{folder}/")]
        if own or (not folder and len(frames) > 1):
            file, line = (own or frames)[-1]
            sentence += f" (line {line})" if file == place else f" ({file}, line {line})"
    return ConfigError(f"{place} cannot be loaded: {sentence}")
