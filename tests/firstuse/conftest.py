"""One installation of the wheel for all pages, and a terminal in an empty folder for each."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.firstuse.libraries import copyLibraries
from tests.firstuse.page import Run, stepsOf
from tests.firstuse.terminal import Terminal
from tests.test_packaging import copyOf, run


def isInstallation(command: str) -> bool:
    """Whether a command makes the environment, or installs wsd into it."""
    return command.startswith(("python3 -m venv", "pip install txwsd"))


@pytest.fixture(scope="session")
def links(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what pip finds first: the wheel, and what a package of a reader's is built with."""
    folder = tmp_path_factory.mktemp("links")
    # Nothing is compiled, which takes long and makes no difference here.
    tree, missing = copyOf(folder, "*.so"), str(folder / "no-compiler")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, tree, cwd=folder, CC=missing)
    run(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, "setuptools", cwd=folder)
    return folder


@pytest.fixture(scope="session")
def installation(links: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment, made by the commands of docs/protocols.md."""
    folder = tmp_path_factory.mktemp("installation")
    commands = [step.command for step in stepsOf("docs/protocols.md", "Six steps") if isinstance(step, Run)][:3]
    assert commands == ["python3 -m venv .venv", ". .venv/bin/activate", "pip install txwsd"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    run("bash", "-ec", commands[0], cwd=folder, PATH=path)
    copyLibraries(next(links.glob("txwsd-*.whl")), folder / ".venv")
    run("bash", "-ec", "\n".join(commands[1:]), cwd=folder, PATH=path, PIP_FIND_LINKS=str(links), PIP_NO_INDEX="1")
    return folder / ".venv"


@pytest.fixture
def terminal(installation: Path, links: Path, tmp_path: Path) -> Iterator[Terminal]:
    """A terminal in a folder that has nothing but the environment, in which the installation is done already."""
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / ".venv").symlink_to(installation)
    before = freeze(installation)
    terminal = Terminal(folder, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(links))
    try:
        yield terminal
    finally:
        terminal.close()
        added = freeze(installation) - before
        if added:
            run(installation / "bin/pip", "uninstall", "--quiet", "--yes", *added, cwd=tmp_path)


def freeze(environment: Path) -> set[str]:
    """The names of the packages in an environment."""
    listed = subprocess.run(
        [environment / "bin/pip", "list", "--format=freeze"], capture_output=True, text=True, check=True, timeout=60
    )
    return {line.partition("==")[0] for line in listed.stdout.splitlines()}
