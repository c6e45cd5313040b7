"""The list of protocols: a name to its factory, ours or another package's, and what is told when it cannot be had."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
    """Another package, wsd-parrot, that brings the protocols parrot, macaw, cockatoo, and one that it calls echo."""
    (tmp_path / "wsd_parrot.py").write_text(PARROT)
    (tmp_path / "wsd_macaw.py").write_text("import a_library_that_is_not_there")
    (tmp_path / "wsd_cockatoo.py").write_text("import feathers")
    (tmp_path / "feathers.py").write_text("import a_library_that_is_not_there")
    about = tmp_path / "wsd_parrot-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: wsd-parrot\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[wsd.protocols]\nparrot = wsd_parrot:ParrotFactory\n"
        "macaw = wsd_macaw:MacawFactory [loud]\ncockatoo = wsd_cockatoo:CockatooFactory\n"
        "echo = wsd_parrot:ParrotFactory\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


class TestOurs:
    def test_each_has_a_factory(self) -> None:
        for name in ("echo", "describe"):
            assert issubclass(protocols.load(name), Factory)

    def test_its_options_are_its_factorys(self) -> None:
        assert protocols.optionsOf("echo") is EchoFactory.Options

    def test_an_unknown_one_is_told_with_the_others(self) -> None:
        with pytest.raises(ConfigError, match=r'^there is no protocol "zzz"; known are .*"describe".*"echo"'):
            protocols.load("zzz")

    def test_a_missing_library_is_told_with_the_extra_that_brings_it(
        self, installed: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(protocols._FACTORIES, "ghost", "wsd_macaw:GhostFactory [xmpp]")
        with pytest.raises(ConfigError) as caught:
            protocols.load("ghost")
        assert str(caught.value) == (
            'the protocol "ghost" needs a_library_that_is_not_there, which is not installed; pip install "wsd[xmpp]"'
        )

    def test_without_lxml_all_but_soap_are_there(self) -> None:
        """Each is imported when a route asks for it, and what it needs as well."""
        program = (
            "import sys\n"
            "sys.modules['lxml'] = None\n"
            "from wsd import protocols\n"
            "from wsd.config import ConfigError\n"
            "for name in protocols._FACTORIES:\n"
            "    try:\n"
            "        protocols.load(name)\n"
            "    except ConfigError as error:\n"
            "        print(error)\n"
        )
        ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert ended.stderr == ""
        assert ended.stdout == 'the protocol "soap" needs lxml, which is not installed; pip install "wsd"\n'


class TestAnothers:
    def test_it_is_found_by_its_entry_point(self, installed: Path) -> None:
        assert protocols.load("parrot").__name__ == "ParrotFactory"
        assert protocols.optionsOf("parrot")().words == 3

    def test_ours_counts_when_names_collide(self, installed: Path) -> None:
        assert protocols.load("echo") is EchoFactory

    def test_a_missing_library_is_told_with_the_package_that_needs_it(self, installed: Path) -> None:
        with pytest.raises(ConfigError, match=r'which is not installed; pip install "wsd-parrot\[loud\]"$'):
            protocols.load("macaw")

    def test_a_library_that_another_library_misses_is_not_told_as_its_own(self, installed: Path) -> None:
        with pytest.raises(ConfigError) as caught:
            protocols.load("cockatoo")
        assert str(caught.value) == (
            'the protocol "cockatoo" cannot be loaded: ModuleNotFoundError: '
            f"No module named 'a_library_that_is_not_there' ({installed / 'feathers.py'}, line 1)"
        )

    def test_a_module_of_its_own_that_is_missing_is_its_fault_not_the_users(
        self, installed: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(protocols._FACTORIES, "lost", "wsd_lost:LostFactory")
        with pytest.raises(ModuleNotFoundError):
            protocols.load("lost")
