"""
Runs handler files with an import of their own.

For a handler, and for the modules that it loads from its folder, `pywebsocket3` and `mod_pywebsocket` are wsd's own
modules, whether or not a package of that name is installed. `sys.modules` does not change: the modules of a folder are
kept here, by their files, and are loaded anew with the handlers that use them.
"""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from threading import RLock, current_thread, main_thread
from types import CodeType, ModuleType
from typing import Any

API = "wsd.protocols.pywebsocket.api"
NAMES = ("pywebsocket3", "mod_pywebsocket")
"""The names by which handlers import the API."""


class LoadError(Exception):
    """A file cannot be loaded; says where and why."""

    def __init__(self, path: str, line: int | None, sentence: str) -> None:
        super().__init__(f"{path}:{line}: {sentence}" if line else f"{path}: {sentence}")
        self.path = path
        self.line = line
        self.sentence = sentence


class Loader:
    """The modules of one folder."""

    def __init__(self, root: str, encoding: str | None = None) -> None:
        """`encoding` is that of the files; None is what each file declares, or UTF-8 (PEP 263)."""
        self._root = root
        self._encoding = encoding
        self._modules: dict[str, ModuleType] = {}
        self._uses: dict[str, set[str]] = {}
        self._lock = RLock()
        self._builtins = {**vars(builtins), "__import__": self._import}

    def run(self, path: str) -> dict[str, Any]:
        """Run a file. Returns the names that it defines. Raises LoadError."""
        try:
            with open(path, "rb") as file:
                content = file.read()
        except OSError as error:
            raise LoadError(path, None, f"cannot be read: {error.strerror}") from None
        return self.runText(content, path)

    def runText(self, content: bytes, path: str) -> dict[str, Any]:
        """Run the content of a file. Returns the names that it defines. Raises LoadError."""
        names = self._names(path)
        self._uses[path] = set()
        try:
            exec(self._compile(content, path), names)
        except SystemExit as error:
            raise LoadError(path, None, "calls exit while it is loaded") from error
        except BaseException as error:
            # Only the main thread gets Ctrl-C.
            if isinstance(error, KeyboardInterrupt) and current_thread() is main_thread():
                raise
            raise _loadError(error, path) from error
        return names

    def uses(self, path: str) -> set[str]:
        """Returns the files of the folder that a file imports, directly or indirectly."""
        found: set[str] = set()
        waiting = [path]
        while waiting:
            for used in self._uses.get(waiting.pop(), set()) - found:
                found.add(used)
                waiting.append(used)
        return found

    def codeOf(self, path: str) -> CodeType | None:
        """Returns the code of a module that was loaded from the folder; None if it was not."""
        module = self._modules.get(path)
        return None if module is None else module.__dict__["__wsd_code__"]

    def forget(self, path: str) -> None:
        """Forget a module and those that use it, so that the next import loads them again."""
        with self._lock:
            for other in [other for other in self._modules if other == path or path in self.uses(other)]:
                del self._modules[other]

    def _names(self, path: str) -> dict[str, Any]:
        # As in pywebsocket, a handler has no __name__ of its own and sees that of its builtins.
        return {"__builtins__": self._builtins, "__file__": path}

    def _compile(self, content: bytes, path: str) -> CodeType:
        source = content if self._encoding is None else content.decode(self._encoding)
        code: CodeType = compile(source, path, "exec", dont_inherit=True)
        return code

    # -- imports --------------------------------------------------------------------------------------------------

    def _import(
        self,
        name: str,
        names: Mapping[str, Any] | None = None,
        local: Mapping[str, Any] | None = None,
        wanted: tuple[str, ...] | None = (),
        level: int = 0,
    ) -> Any:
        """The `__import__` of files in the folder, also when their functions import something later."""
        file = (names or {}).get("__file__", "")
        if level:
            return self._relative(name, file, wanted, level)
        head = name.partition(".")[0]
        if head in NAMES:
            module = _ours(name)
            for item in wanted or ():
                if not hasattr(module, item) and item != "*":
                    _ours(f"{name}.{item}", mayLack=True)
            return module if wanted else import_module(API)
        if head not in sys.stdlib_module_names:
            for base in (os.path.dirname(file), self._root):
                if self._fileOf(base, head) is not None:
                    first, last = self._local(name, base, file)
                    self._items(last, wanted, file)
                    return last if wanted else first
        return builtins.__import__(name, names, local, wanted or (), 0)

    def _relative(self, name: str, file: str, wanted: tuple[str, ...] | None, level: int) -> ModuleType:
        base = os.path.dirname(file)
        for _ in range(level - 1):
            base = os.path.dirname(base)
        if name:
            module = self._local(name, base, file)[1]
            self._items(module, wanted, file)
            return module
        package = self._modules.get(os.path.join(base, "__init__.py")) or ModuleType(os.path.basename(base))
        for item in wanted or ():
            if not hasattr(package, item) and self._fileOf(base, item) is not None:
                setattr(package, item, self._local(item, base, file)[1])
        return package

    def _items(self, module: ModuleType, wanted: tuple[str, ...] | None, file: str) -> None:
        """Load the modules that `from package import module` names."""
        own = module.__file__ or ""
        if os.path.basename(own) == "__init__.py":
            for item in wanted or ():
                if not hasattr(module, item) and self._fileOf(os.path.dirname(own), item) is not None:
                    setattr(module, item, self._local(item, os.path.dirname(own), file)[1])

    @staticmethod
    def _fileOf(base: str, name: str) -> str | None:
        """Returns the file of a module, or the `__init__.py` of a package, in a folder; None if there is none."""
        for path in (os.path.join(base, f"{name}.py"), os.path.join(base, name, "__init__.py")):
            if os.path.isfile(path):
                return path
        return None

    def _local(self, name: str, base: str, user: str) -> tuple[ModuleType, ModuleType]:
        """Load a dotted name from a folder for the file `user`. Returns its first and its last module."""
        found: list[ModuleType] = []
        with self._lock:
            for part in name.split("."):
                path = self._fileOf(base, part)
                if path is None:
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name)
                self._uses.setdefault(user, set()).add(path)
                module = self._modules.get(path) or self._load(path, part)
                if found:
                    setattr(found[-1], part, module)
                found.append(module)
                base = os.path.dirname(path)
        return found[0], found[-1]

    def _load(self, path: str, name: str) -> ModuleType:
        with open(path, "rb") as file:
            code = self._compile(file.read(), path)
        module = ModuleType(name)
        module.__dict__.update(self._names(path), __wsd_code__=code)
        self._modules[path] = module
        self._uses[path] = set()
        try:
            exec(code, module.__dict__)
        except BaseException:
            del self._modules[path]
            raise
        return module


def _ours(name: str, mayLack: bool = False) -> Any:
    """Import the module of `api` that a handler names."""
    path = API + name[len(name.partition(".")[0]) :]
    try:
        return import_module(path)
    except ModuleNotFoundError as error:
        if error.name is None or not path.startswith(error.name):
            raise
        if not mayLack:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name) from None
        return None


def _loadError(error: BaseException, path: str) -> LoadError:
    """Returns a LoadError with the line of the file in which the error was raised."""
    kind = type(error).__name__
    if isinstance(error, SyntaxError) and error.filename:
        return LoadError(error.filename, error.lineno, f"{kind}: {error.msg}")
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    return LoadError(path, line, f"{kind}: {error}" if str(error) else kind)
