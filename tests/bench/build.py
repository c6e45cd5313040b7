"""What a measurement needs: the load generator, compiled, and the peers, installed; all of it under .cache/bench."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PEERS = HERE / "peers"
CACHE = ROOT / ".cache" / "bench"
GENERATOR = CACHE / "wsload"
PYTHON = CACHE / "venv" / "bin" / "python"
MODULES = CACHE / "node_modules"


def generator() -> Path:
    """The compiled load generator."""
    return _compiled(GENERATOR, "-lssl", "-lcrypto", "-lz")


def canvas() -> Path:
    """The compiled painter and viewers of a canvas."""
    return _compiled(CACHE / "canvas")


def python() -> Path:
    """The Python of the peers' own virtual environment."""
    wanted = PEERS / "requirements.txt"

    def install() -> None:
        _run([sys.executable, "-m", "venv", CACHE / "venv"], "apt-get install python3-venv")
        _run([PYTHON, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-U", "-r", wanted], "see above")

    _once("python", [wanted], install)
    return PYTHON


def spyne() -> Path:
    """A Python that has Spyne, which needs 3.11 or older."""
    wanted = PEERS / "spyne.txt"
    folder = CACHE / "spyne"

    def install() -> None:
        own = sys.executable if sys.version_info < (3, 12) else "python3.11"
        _run([own, "-m", "venv", folder], "a Python 3.11, of pyenv for instance")
        _run([folder / "bin/python", "-m", "pip", "install", "-q", "-r", wanted], "see above")

    _once("spyne", [wanted], install)
    return folder / "bin/python"


def modules() -> Path:
    """Where node finds ws and soap."""
    wanted = PEERS / "package.json"

    def install() -> None:
        (CACHE / "package.json").write_text(wanted.read_text("utf-8"), "utf-8")
        quiet = ["--no-package-lock", "--no-audit", "--no-fund", "--silent"]
        _run(["npm", "install", "--prefix", CACHE, *quiet], "apt-get install nodejs npm")

    _once("node", [wanted], install)
    return MODULES


def _compiled(made: Path, *libraries: str) -> Path:
    source = HERE / f"{made.name}.c"
    if _isOlder(made, source):
        CACHE.mkdir(parents=True, exist_ok=True)
        flags = ["-O3", "-march=native", "-Wall", "-Wextra"]
        _run(["gcc", *flags, "-o", made, source, *libraries], "apt-get install gcc libssl-dev")
    return made


def _isOlder(made: Path, source: Path) -> bool:
    return not made.exists() or made.stat().st_mtime < source.stat().st_mtime


def _once(name: str, sources: Iterable[Path], install: Callable[[], None]) -> None:
    mark = CACHE / f"{name}.installed"
    if any(_isOlder(mark, source) for source in sources):
        CACHE.mkdir(parents=True, exist_ok=True)
        print(f"installing the peers on {name} into {CACHE}", flush=True)
        install()
        mark.touch()


def _run(command: Iterable[str | Path], remedy: str) -> None:
    try:
        subprocess.run([*command], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(f"bench: {error}; what it needs comes with: {remedy}") from error
