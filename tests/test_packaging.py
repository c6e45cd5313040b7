"""The wheel that the tree builds, and the daemon that it installs."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from shutil import copytree, ignore_patterns
from zipfile import ZipFile

import pytest

from tests.daemon import runningDaemon
from wsd import __version__

ROOT = Path(__file__).parent.parent
EXTENSION = str(sysconfig.get_config_var("EXT_SUFFIX"))
"""How the names of modules end that this Python has compiled."""

ALONE = {**os.environ, "PYTHONPATH": "", "PYTHONSAFEPATH": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
"""An environment in which Python finds what is installed, and not this tree."""


def run(*command: str | Path, cwd: Path) -> str:
    """What a command says; the test fails, and shows it, when the command does."""
    done = subprocess.run(
        command, cwd=cwd, env=ALONE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: a build folder that lies in the tree from before would be packed as well."""
    folder = tmp_path_factory.mktemp("wheel")
    ignored = ignore_patterns(".*", "build", "dist", "*.egg-info", "node_modules", "__pycache__", "dropin.cache")
    tree = copytree(ROOT, folder / "tree", ignore=ignored)
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, tree, cwd=folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a virtual environment with nothing but the wheel and what it requires."""
    folder = tmp_path_factory.mktemp("clean")
    run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    run(folder / "venv/bin/pip", "install", "--quiet", wheel, cwd=folder)
    return folder / "venv/bin"


class TestTheTree:
    def test_nothing_under_twisted_makes_it_a_package(self) -> None:
        # It would shadow all of Twisted.
        assert not list((ROOT / "twisted").rglob("__init__.py"))

    def test_pyproject_names_the_build_system_alone(self) -> None:
        # A [project] table would silently switch setup.cfg off.
        assert set(tomllib.loads((ROOT / "pyproject.toml").read_text())) == {"build-system"}


class TestTheWheel:
    def test_it_has_every_module_and_every_file_beside_them(self, wheel: Path) -> None:
        packed = set(ZipFile(wheel).namelist())
        paths = [path for path in (ROOT / "wsd").rglob("*") if path.is_file() and path.suffix != ".pyc"]
        # The tree may hold what other Pythons compiled for themselves.
        paths = [path for path in paths if path.suffix != ".so" or path.name.endswith(EXTENSION)]
        assert len(paths) > 50
        assert {str(path.relative_to(ROOT)) for path in paths} <= packed

    def test_of_twisted_it_has_the_plugin_alone(self, wheel: Path) -> None:
        packed = ZipFile(wheel).namelist()
        assert [name for name in packed if name.startswith("twisted/")] == ["twisted/plugins/wsd_plugin.py"]

    def test_it_holds_nothing_else(self, wheel: Path) -> None:
        tops = {name.split("/")[0] for name in ZipFile(wheel).namelist()}
        assert tops == {"wsd", "twisted", f"wsd-{__version__}.dist-info"}


class TestACleanInstallation:
    def test_twistd_knows_wsd(self, clean: Path, tmp_path: Path) -> None:
        assert "\n    wsd " in run(clean / "twistd", "--help", cwd=tmp_path)

    def test_its_command_checks_its_own_default_file(self, clean: Path, tmp_path: Path) -> None:
        file = tmp_path / "wsd.toml"
        file.write_text(run(clean / "wsd", "config", cwd=tmp_path))
        assert run(clean / "wsd", "check", file, cwd=tmp_path).splitlines()[-1] == "ok"

    def test_it_serves_an_echo_and_the_console(self, clean: Path, tmp_path: Path) -> None:
        with runningDaemon(python=str(clean / "python"), environ=ALONE) as daemon:
            port = daemon.port()
            assert "你好" in run(clean / "wsd", "echo", f"ws://localhost:{port}/echo", "你好", cwd=tmp_path)
            assert "<!doctype html>" in run("curl", "-sS", f"http://localhost:{port}/", cwd=tmp_path).lower()
