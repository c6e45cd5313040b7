"""The wheel that the tree builds, and the daemon that it installs."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import suppress
from pathlib import Path
from shutil import copytree, ignore_patterns, which
from zipfile import ZipFile

import pytest

from tests.commands import until
from tests.daemon import runningDaemon
from wsd import __version__

ROOT = Path(__file__).parent.parent
EXTENSION = str(sysconfig.get_config_var("EXT_SUFFIX"))
"""How the names of modules end that this Python has compiled."""

_OF_MAKE = ("ARGS", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS")
ALONE = {
    **{name: value for name, value in os.environ.items() if name not in _OF_MAKE},
    "PYTHONPATH": "",
    "PYTHONSAFEPATH": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}
"""An environment in which Python finds what is installed, and not this tree, and in which no make runs."""


def run(*command: str | Path, cwd: Path, **environ: str) -> str:
    """What a command says; the test fails, and shows it, when the command does."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**ALONE, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def copyOf(folder: Path, *without: str) -> Path:
    """The tree without what was made in it; a build folder that lies there from before would be packed as well."""
    made = (".*", "build", "dist", "*.egg-info", "node_modules", "__pycache__", "dropin.cache", *without)
    return copytree(ROOT, folder / "tree", ignore=ignore_patterns(*made))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = copyOf(folder, "lib")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, tree, cwd=folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a virtual environment with nothing but the wheel and what it requires."""
    folder = tmp_path_factory.mktemp("clean")
    run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    run(folder / "venv/bin/pip", "install", "--quiet", wheel, cwd=folder)
    return folder / "venv/bin"


def namesIn(text: str) -> list[str]:
    """The names after each `pip install` in a text, without its options. A folder (`.`) is no name."""
    commands = re.findall(r"pip\s+install\s([^`'|;\n]*)", text)
    words = [word for command in commands for word in command.replace('"', " ").split()]
    return [name for word in words if not word.startswith("-") and (name := word.strip(".,:()"))]


def textsThatPeopleRead() -> Iterator[tuple[Path, str]]:
    """Each document and page, and each string in the source; a formatted one without its values."""
    for pattern in ("*.md", "docs/**/*.md", "docs/**/*.html", "conf/*", "setup.cfg", "wsd/**/*.*"):
        for path in ROOT.glob(pattern):
            if path.suffix in (".md", ".html", ".js", ".css", ".toml", ".cfg", ".conf", ".service", ".wsdl"):
                yield path, path.read_text(encoding="utf-8")
    for path in [*ROOT.glob("wsd/**/*.py"), *ROOT.glob("twisted/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield path, node.value


def setup() -> ConfigParser:
    parser = ConfigParser()
    parser.read_string((ROOT / "setup.cfg").read_text())
    return parser


class TestTheName:
    """`wsd` is another project on PyPI: whoever installs that gets a stranger's code."""

    def test_it_is_txwsd(self) -> None:
        assert setup()["metadata"]["name"] == "txwsd"

    def test_pip_is_told_no_other_name_except_libraries_that_wsd_uses(self) -> None:
        extras = setup()["options.extras_require"]
        required = "\n".join([setup()["options"]["install_requires"], *extras.values()])
        libraries = {word.lower() for word in re.findall(r"^([A-Za-z][\w.-]*)", required, re.MULTILINE)}
        found = [(path, name) for path, text in textsThatPeopleRead() for name in namesIn(text)]
        assert len([name for _, name in found if name.startswith("txwsd")]) >= 4
        for path, name in found:
            base, _, inside = name.partition("[")
            assert base.lower() in libraries, f"{path}: pip install {name}"
            if base == "txwsd":
                assert not set(filter(None, inside.rstrip("]").split(","))) - set(extras), f"{path}: {name}"

    def test_no_text_names_extras_of_wsd(self) -> None:
        # `wsd[extra]` is what pip would be given; `wsd.x[...]` and `wsd[0]` are not.
        names = "|".join(setup()["options.extras_require"])
        assert not [path for path, text in textsThatPeopleRead() if re.search(rf"(?<![\w.-])wsd\[({names})[],]", text)]

    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("`pip install txwsd`, or", ["txwsd"]),
            ('$ pip install -U "txwsd[all]"\n', ["txwsd[all]"]),
            ("pip install zeep websockets", ["zeep", "websockets"]),
            ("pip\ninstall -e .", []),
        ],
    )
    def test_how_names_are_found(self, text: str, names: list[str]) -> None:
        assert namesIn(text) == names


class TestTheTree:
    def test_nothing_under_twisted_makes_it_a_package(self) -> None:
        # It would shadow all of Twisted.
        assert not list((ROOT / "twisted").rglob("__init__.py"))

    def test_pyproject_names_the_build_system_alone(self) -> None:
        # A [project] table would silently switch setup.cfg off.
        assert set(tomllib.loads((ROOT / "pyproject.toml").read_text())) == {"build-system"}


class TestThePureWheel:
    """With $WSD_PURE."""

    def test_is_for_every_machine_and_has_nothing_compiled(self, tmp_path: Path) -> None:
        tree = copyOf(tmp_path, "*.so")
        (tree / "wsd/uses/lib").mkdir(exist_ok=True)
        (tree / "wsd/uses/lib/LICENSES.txt").touch()
        options = ("--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path / "out")
        run(sys.executable, "-m", "pip", "wheel", *options, tree, cwd=tmp_path, WSD_PURE="1")
        (pure,) = (tmp_path / "out").iterdir()
        assert pure.name == f"txwsd-{__version__}-py3-none-any.whl"
        names = ZipFile(pure).namelist()
        assert not [name for name in names if name.endswith(".so")]
        assert "wsd/listen/secure.py" in names


class TestTheWheel:
    def test_it_has_every_module_and_every_file_beside_them(self, wheel: Path) -> None:
        packed = set(ZipFile(wheel).namelist())
        paths = [path for path in (ROOT / "wsd").rglob("*") if path.is_file() and path.suffix != ".pyc"]
        # The tree may hold what other Pythons compiled for themselves.
        paths = [path for path in paths if path.suffix != ".so" or path.name.endswith(EXTENSION)]
        # Its own libraries were bundled when the wheel was built.
        paths = [path for path in paths if path.parent != ROOT / "wsd/uses/lib"]
        assert len(paths) > 50
        assert {str(path.relative_to(ROOT)) for path in paths} <= packed

    def test_it_has_the_libraries_of_the_pages_of_uses_with_their_licences(self, wheel: Path) -> None:
        """Bundled when the wheel is built, since the copy of the tree has none."""
        packed = ZipFile(wheel)
        pinned = json.loads((ROOT / "wsd/uses/package.json").read_text("utf-8"))["dependencies"]
        licences = packed.read("wsd/uses/lib/LICENSES.txt").decode()
        assert all(f"{name} {version} (" in licences for name, version in pinned.items())
        assert {"wsd/uses/lib/yjs.js", "wsd/uses/lib/codemirror.js", "wsd/uses/lib/world.js"} <= set(packed.namelist())

    def test_of_twisted_it_has_the_plugin_alone(self, wheel: Path) -> None:
        packed = ZipFile(wheel).namelist()
        assert [name for name in packed if name.startswith("twisted/")] == ["twisted/plugins/wsd_plugin.py"]

    def test_it_holds_nothing_else(self, wheel: Path) -> None:
        tops = {name.split("/")[0] for name in ZipFile(wheel).namelist()}
        assert tops == {"wsd", "twisted", f"txwsd-{__version__}.data", f"txwsd-{__version__}.dist-info"}

    def test_its_data_is_the_manual(self, wheel: Path) -> None:
        data = [name for name in ZipFile(wheel).namelist() if ".data/" in name]
        pages = {"man1/wsd.1", "man5/wsd.toml.5"}
        assert set(data) == {f"txwsd-{__version__}.data/data/share/man/{page}" for page in pages}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheels for this Python by the tag of the Python that they are for."""
    folder = tmp_path_factory.mktemp("wheels")
    run(ROOT / "tools/wheels", folder, sys.executable, cwd=folder)
    return {path.name.split("-")[2]: path for path in folder.iterdir()}


@pytest.mark.soak
class TestTheWheels:
    """What `tools/wheels` builds. It takes some minutes."""

    def test_there_is_one_for_this_python_and_a_pure_one(self, wheels: dict[str, Path]) -> None:
        assert set(wheels) == {f"cp{sys.version_info.major}{sys.version_info.minor}", "py3"}

    def test_the_compiled_one_runs_on_other_distributions(self, wheels: dict[str, Path]) -> None:
        compiled = wheels[f"cp{sys.version_info.major}{sys.version_info.minor}"]
        assert "manylinux" in compiled.name
        modules = {name for name in ZipFile(compiled).namelist() if name.endswith(".so")}
        found = sorted(name.split(".")[0].rsplit("/", 1)[1] for name in modules)
        assert found == ["_fast", "_nbfx", "_openssl", "_turn", "records", "sealing", "secure"]

    def test_the_pure_one_is_for_every_machine(self, wheels: dict[str, Path]) -> None:
        assert wheels["py3"].name.endswith("-py3-none-any.whl")
        assert not [name for name in ZipFile(wheels["py3"]).namelist() if name.endswith(".so")]

    def test_both_have_the_same_python(self, wheels: dict[str, Path]) -> None:
        compiled, pure = (set(ZipFile(path).namelist()) for _, path in sorted(wheels.items()))
        # auditwheel adds the folders as well.
        assert {name for name in compiled ^ pure if not name.endswith((".so", "/"))} == set()

    def test_pip_prefers_the_compiled_one(self, wheels: dict[str, Path], tmp_path: Path) -> None:
        folder = wheels["py3"].parent
        options = ("--no-index", "--no-deps", "--find-links", folder, "--dest", tmp_path)
        run(sys.executable, "-m", "pip", "download", *options, "txwsd", cwd=tmp_path)
        (chosen,) = tmp_path.glob("*.whl")
        assert "manylinux" in chosen.name

    def test_the_pure_one_serves(self, wheels: dict[str, Path], tmp_path: Path) -> None:
        target = tmp_path / "installed"
        run(sys.executable, "-m", "pip", "install", "--no-deps", "--target", target, wheels["py3"], cwd=tmp_path)
        with runningDaemon(environ={**ALONE, "PYTHONPATH": str(target)}) as daemon:
            answer = run("curl", "-sS", f"http://localhost:{daemon.port()}/readyz", cwd=tmp_path)
        assert json.loads(answer)["plane"] == "fast"


def others() -> dict[str, str]:
    """The other supported Pythons of this machine, which `tools/wheels` finds as well."""
    found: dict[str, str] = {}
    for version in ("3.11", "3.12", "3.13", "3.14"):
        if version == f"{sys.version_info.major}.{sys.version_info.minor}":
            continue
        # What is on PATH may be a shim of pyenv, which does not run.
        for place in [
            *Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python3"),
            which(f"python{version}"),
        ]:
            if place is not None:
                found.setdefault(version, str(place))
    return found


@pytest.mark.soak
class TestTheWheelsOfOtherPythons:
    def test_each_installs_and_serves_with_its_compiled_modules(self, tmp_path: Path) -> None:
        pythons = others()
        if not pythons:
            pytest.skip("needs another supported Python on PATH or in ~/.pyenv/versions")
        run(ROOT / "tools/wheels", tmp_path / "dist", *pythons.values(), cwd=tmp_path)
        for version, python in pythons.items():
            tag = f"cp{version.replace('.', '')}"
            (built,) = (tmp_path / "dist").glob(f"txwsd-*-{tag}-{tag}-*manylinux*.whl")
            venv = tmp_path / version
            run(python, "-m", "venv", venv, cwd=tmp_path)
            run(venv / "bin/pip", "install", "--quiet", built, cwd=tmp_path)
            with runningDaemon(python=str(venv / "bin/python"), environ=ALONE) as daemon:
                answer = run("curl", "-sS", f"http://localhost:{daemon.port()}/readyz", cwd=tmp_path)
                assert json.loads(answer)["plane"] == "_fast", version
                assert "你好" in run(
                    venv / "bin/wsd", "echo", f"ws://localhost:{daemon.port()}/echo", "你好", cwd=tmp_path
                )


class TestACleanInstallation:
    def test_twistd_knows_wsd(self, clean: Path, tmp_path: Path) -> None:
        assert "\n    wsd " in run(clean / "twistd", "--help", cwd=tmp_path)

    def test_man_finds_its_pages_and_shells_its_completion(self, clean: Path, tmp_path: Path) -> None:
        found = run("man", "-M", clean.parent / "share/man", "-w", "wsd", "wsd.toml", cwd=tmp_path)
        assert [Path(line).name for line in found.splitlines()] == ["wsd.1", "wsd.toml.5"]
        assert "complete -o" in run(clean / "wsd", "completion", "bash", cwd=tmp_path)

    def test_its_command_checks_its_own_default_file(self, clean: Path, tmp_path: Path) -> None:
        file = tmp_path / "wsd.toml"
        file.write_text(run(clean / "wsd", "config", cwd=tmp_path))
        assert run(clean / "wsd", "check", file, cwd=tmp_path).splitlines()[-1] == "ok"

    def test_it_serves_an_echo_and_the_console(self, clean: Path, tmp_path: Path) -> None:
        with runningDaemon(python=str(clean / "python"), environ=ALONE) as daemon:
            port = daemon.port()
            assert "你好" in run(clean / "wsd", "echo", f"ws://localhost:{port}/echo", "你好", cwd=tmp_path)
            assert "<!doctype html>" in run("curl", "-sS", f"http://localhost:{port}/", cwd=tmp_path).lower()


_WITHOUT_HEADERS = """#!/bin/sh
for word; do
    shift
    case "$word" in -I*) test -e "${word#-I}/Python.h" && continue ;; esac
    set -- "$@" "$word"
done
exec cc "$@"
"""
"""A compiler that finds no Python.h, as on a machine that has gcc and not Python's development files."""


class TestWithoutACompiler:
    """What is compiled is left out, and all works in Python."""

    @pytest.fixture(params=["no compiler", "no Python.h"])
    def compiler(self, request: pytest.FixtureRequest, tmp_path: Path) -> str:
        if request.param == "no compiler":
            return str(tmp_path / "missing")
        path = tmp_path / "cc"
        path.write_text(_WITHOUT_HEADERS)
        path.chmod(0o755)
        return str(path)

    @pytest.fixture
    def tree(self, tmp_path: Path) -> Path:
        return copyOf(tmp_path, "*.so")

    def test_an_installation_from_source_succeeds_and_serves(self, compiler: str, tree: Path, tmp_path: Path) -> None:
        target = tmp_path / "installed"
        options = ("--quiet", "--no-deps", "--no-build-isolation", "--target", target)
        run(sys.executable, "-m", "pip", "install", *options, tree, cwd=tmp_path, CC=compiler)
        assert not list(target.rglob("*.so"))
        with runningDaemon(environ={**ALONE, "PYTHONPATH": str(target)}) as daemon:
            answer = run("curl", "-sS", f"http://localhost:{daemon.port()}/readyz", cwd=tmp_path)
        assert json.loads(answer)["plane"] == "fast"

    def test_make_run_serves(self, compiler: str, tree: Path, tmp_path: Path) -> None:
        # An environment that make finds made, with what this one has.
        venv = tmp_path / "venv"
        venv.mkdir()
        for name in ("bin", "lib", "pyvenv.cfg"):
            (venv / name).symlink_to(Path(sys.prefix) / name)
        (venv / "run").touch()
        process = subprocess.Popen(
            ["make", "run", f"VENV={venv}", "PORT=0"],
            cwd=tree,
            env={**ALONE, "CC": compiler, "XDG_STATE_HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"},
            stdout=(tmp_path / "out").open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            until(
                lambda: process.poll() is not None or "listening ws://" in (tmp_path / "out").read_text(), "it serves"
            )
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)
        said = (tmp_path / "out").read_text()
        assert "not compiled: frames are read in Python" in said
        assert "listening ws://127.0.0.1:" in said, said
