"""The list of protocols: a name to its factory, ours or another package's, and what is told when it cannot be had."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from wsd import protocols
from wsd.config import ConfigError
from wsd.connection import Factory
from wsd.protocols.echo import EchoFactory

ROOT = Path(__file__).parents[2]

PARROT = """
from dataclasses import dataclass
from wsd.connection import Factory

@dataclass(frozen=True)
class ParrotOptions:
    words: int = 3

class ParrotFactory(Factory):
    Options = ParrotOptions
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another package, wsd-parrot, that brings the protocols parrot, macaw, and one that it calls echo."""
    (tmp_path / "wsd_parrot.py").write_text(PARROT)
    (tmp_path / "wsd_macaw.py").write_text("import a_library_that_is_not_there")
    about = tmp_path / "wsd_parrot-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: wsd-parrot\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[wsd.protocols]\nparrot = wsd_parrot:ParrotFactory\n"
        "macaw = wsd_macaw:MacawFactory [loud]\necho = wsd_parrot:ParrotFactory\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


class TestOurs:
    def test_each_has_a_factory(self) -> None:
        for name in ("echo", "describe"):
            assert issubclass(protocols.load(name), Factory)

    def test_they_are_found_without_looking_at_installed_packages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """That takes longer than a protocol needs to load, and a daemon loads one for each of its routes."""

        def looked(**_: str) -> NoReturn:
            raise AssertionError("installed packages were searched")

        monkeypatch.setattr(protocols, "entry_points", looked)
        assert protocols.load("echo") is EchoFactory
        with pytest.raises(AssertionError, match="were searched"):
            protocols.load("zzz")

    def test_its_options_are_its_factorys(self) -> None:
        assert protocols.optionsOf("echo") is EchoFactory.Options

    def test_an_unknown_one_is_told_with_the_others(self) -> None:
        with pytest.raises(ConfigError, match=r'^there is no protocol "zzz"; known are .*"describe".*"echo"'):
            protocols.load("zzz")

    def test_a_missing_library_is_told_with_its_name(self, installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(protocols._FACTORIES, "ghost", "wsd_macaw:GhostFactory")
        with pytest.raises(ConfigError) as caught:
            protocols.load("ghost")
        assert str(caught.value) == (
            'the protocol "ghost" needs a_library_that_is_not_there, which is not installed; '
            'pip install "a_library_that_is_not_there"'
        )

    @pytest.mark.parametrize(("library", "names"), [("lxml", ["soap"]), ("puremagic", ["blob"]), ("PIL", [])])
    def test_a_library_is_needed_by_those_alone_that_use_it(self, library: str, names: list[str]) -> None:
        """Each protocol is imported when a route asks for it, and what it needs as well."""
        program = (
            "import sys\n"
            "sys.modules[sys.argv[1]] = None\n"
            "from wsd import protocols\n"
            "from wsd.config import ConfigError\n"
            "for name in protocols._FACTORIES:\n"
            "    try:\n"
            "        protocols.load(name)\n"
            "    except ConfigError as error:\n"
            "        print(error)\n"
        )
        command = [sys.executable, "-c", program, library]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert ended.stderr == ""
        assert ended.stdout == "".join(
            f'the protocol "{name}" needs {library}, which is not installed; pip install "{library}"\n'
            for name in names
        )


class TestAnothers:
    def test_it_is_found_by_its_entry_point(self, installed: Path) -> None:
        assert protocols.load("parrot").__name__ == "ParrotFactory"
        assert protocols.optionsOf("parrot")().words == 3

    def test_ours_counts_when_names_collide(self, installed: Path) -> None:
        assert protocols.load("echo") is EchoFactory

    def test_a_missing_library_is_told_with_the_package_that_needs_it(self, installed: Path) -> None:
        with pytest.raises(ConfigError, match=r'which is not installed; pip install "wsd-parrot\[loud\]"$'):
            protocols.load("macaw")

    def test_a_module_that_a_library_of_its_misses_is_told_as_the_librarys(
        self, installed: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (installed / "wsd_toucan.py").write_text("import wsd_macaw")
        monkeypatch.setitem(protocols._FACTORIES, "toucan", "wsd_toucan:ToucanFactory")
        with pytest.raises(ConfigError) as caught:
            protocols.load("toucan")
        assert str(caught.value) == (
            'the protocol "toucan" cannot be loaded: ModuleNotFoundError: '
            f"No module named 'a_library_that_is_not_there' ({installed}/wsd_macaw.py, line 1)"
        )

    def test_a_module_of_its_own_that_is_missing_is_its_fault_not_the_users(
        self, installed: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(protocols._FACTORIES, "lost", "wsd_lost:LostFactory")
        with pytest.raises(ModuleNotFoundError):
            protocols.load("lost")
