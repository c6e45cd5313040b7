"""Python code that the configuration names: where it is looked for, its mistakes, and when it is read again."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsd.config import ConfigError
from wsd.config.code import load, versionOf
from wsd.config.values import reference


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of code."""
    (tmp_path / "shout.py").write_text('class Shout:\n    mark = "!"\n\n\nclass Other:\n    pass\n')
    return tmp_path


def told(text: str, folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(reference(text, str(folder)))
    return str(caught.value)


class TestReference:
    """A text in the file, as an absolute reference."""

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("shout.py:Shout", "{}/shout.py:Shout"),
            ("shout:Shout", "{}/shout.py:Shout"),
            ("shout", "{}/shout.py"),
            ("./shout.py", "{}/shout.py"),
            ("package.inner:X", "{}/package/inner.py:X"),
            ("package:X", "{}/package/__init__.py:X"),
            ("/else where/x.py:X", "/else where/x.py:X"),
            ("json.tool:main", "json.tool:main"),
        ],
    )
    def test_it_is_a_file_of_the_folder_or_an_installed_module(self, folder: Path, text: str, found: str) -> None:
        (folder / "package").mkdir()
        (folder / "package/__init__.py").touch()
        (folder / "package/inner.py").touch()
        assert reference(text, str(folder)) == found.format(folder)

    @pytest.mark.parametrize("text", ["shout.py:", "a b", "1:2", ":Shout", "a..b:X", "shout.py:A.B"])
    def test_anything_else_is_told_with_an_example(self, text: str) -> None:
        with pytest.raises(ValueError, match=r'does not name Python code; write "shout.py:ShoutFactory", or "shout:Sh'):
            reference(text, "/folder")


class TestLoad:
    def test_a_class_of_a_file(self, folder: Path) -> None:
        assert load(f"{folder}/shout.py:Shout").mark == "!"

    def test_a_whole_file(self, folder: Path) -> None:
        assert load(f"{folder}/shout.py").Shout.mark == "!"

    def test_a_class_is_the_same_each_time(self, folder: Path) -> None:
        assert load(f"{folder}/shout.py:Shout") is load(reference("shout:Shout", str(folder)))

    def test_an_installed_one(self) -> None:
        assert load("json:loads")("1") == 1

    def test_a_file_imports_what_lies_beside_it(self, folder: Path) -> None:
        (folder / "a_neighbour.py").write_text("word = 'hi'")
        (folder / "user.py").write_text("from a_neighbour import word")
        assert load(f"{folder}/user.py:word") == "hi"

    def test_a_file_of_a_package_imports_relatively(self, folder: Path) -> None:
        (folder / "birds").mkdir()
        (folder / "birds/__init__.py").touch()
        (folder / "birds/song.py").write_text("word = 'tweet'")
        (folder / "birds/parrot.py").write_text("from .song import word\nfrom birds import song")
        assert load(reference("birds.parrot:word", str(folder))) == "tweet"

    def test_a_file_may_have_the_name_of_a_module_of_python(self, folder: Path) -> None:
        (folder / "queue.py").write_text("word = 'mine'")
        assert load(f"{folder}/queue.py:word") == "mine"
        import queue

        assert hasattr(queue, "Queue")

    def test_a_dataclass_with_postponed_annotations_works(self, folder: Path) -> None:
        (folder / "queue.py").write_text(
            "from __future__ import annotations\nfrom dataclasses import dataclass\n\n"
            "@dataclass\nclass O:\n    n: int = 1\n"
        )
        assert load(f"{folder}/queue.py:O")().n == 1

    def test_no_bytecode_is_written_into_the_folder(self, folder: Path) -> None:
        load(f"{folder}/shout.py")
        assert [path.name for path in folder.iterdir()] == ["shout.py"]


class TestMistakes:
    """Each is one sentence that says what is wrong, and where."""

    def test_no_such_file(self, folder: Path) -> None:
        assert told("shot.py:Shout", folder) == f'there is no file {folder}/shot.py; did you mean "shout.py"?'

    def test_no_such_folder(self, folder: Path) -> None:
        assert told("lib/shout.py:Shout", folder) == (
            f"there is no folder {folder}/lib; a path is relative to the folder of the configuration"
        )

    def test_an_empty_folder(self, folder: Path) -> None:
        (folder / "shout.py").unlink()
        assert told("shout.py:X", folder) == f"there is no file {folder}/shout.py; {folder} has no Python files"

    def test_no_such_class(self, folder: Path) -> None:
        assert told("shout.py:Shuot", folder) == f'{folder}/shout.py has no "Shuot"; did you mean "Shout"?'

    def test_a_file_that_defines_nothing(self, folder: Path) -> None:
        (folder / "empty.py").touch()
        assert told("empty.py:X", folder) == f'{folder}/empty.py has no "X"; nothing is defined there'

    def test_no_such_module(self, folder: Path) -> None:
        assert told("no_such.module:X", folder) == (
            'there is no module "no_such.module", neither in the folder of the configuration nor installed; '
            'write "no_such/module.py:NAME" for a file'
        )

    def test_an_exception_is_told_with_its_line(self, folder: Path) -> None:
        (folder / "bad.py").write_text("import json\n\njson.loads('{')\n")
        assert told("bad.py:X", folder).startswith(f"{folder}/bad.py cannot be loaded: JSONDecodeError: Expecting")
        assert told("bad.py:X", folder).endswith(" (line 3)")

    def test_that_of_a_neighbour_with_its_file(self, folder: Path) -> None:
        (folder / "worse.py").write_text("\nNone.x")
        (folder / "bad.py").write_text("import worse")
        assert told("bad.py:X", folder).endswith(
            f"AttributeError: 'NoneType' object has no attribute 'x' ({folder}/worse.py, line 2)"
        )

    def test_a_missing_library(self, folder: Path) -> None:
        (folder / "bad.py").write_text("import no_such_library")
        assert told("bad.py:X", folder) == (
            f"{folder}/bad.py cannot be loaded: ModuleNotFoundError: No module named 'no_such_library' (line 1)"
        )

    def test_a_syntax_error(self, folder: Path) -> None:
        (folder / "bad.py").write_text("x = 1\nclass (\n")
        assert (
            told("bad.py:X", folder)
            == f"{folder}/bad.py cannot be loaded: SyntaxError: invalid syntax (bad.py, line 2)"
        )

    def test_a_file_that_exits(self, folder: Path) -> None:
        (folder / "bad.py").write_text("exit(3)")
        assert told("bad.py:X", folder) == f"{folder}/bad.py cannot be loaded: SystemExit: 3 (line 1)"


class TestChanges:
    """A changed file is read again."""

    def test_one_that_has_not_changed_is_kept(self, folder: Path) -> None:
        text = f"{folder}/shout.py:Shout"
        before, version = load(text), versionOf(text)
        assert (load(text), versionOf(text)) == (before, version)

    def test_one_that_has_changed_is_read_again(self, folder: Path) -> None:
        text = f"{folder}/shout.py:Shout"
        before, version = load(text), versionOf(text)
        (folder / "shout.py").write_text("class Shout:\n    mark = '?'\n")
        assert versionOf(text) != version
        assert (load(text).mark, before.mark) == ("?", "!")

    def test_so_is_one_of_the_same_length_and_second(self, folder: Path) -> None:
        load(f"{folder}/shout.py")
        (folder / "shout.py").write_text((folder / "shout.py").read_text().replace("!", "?"))
        assert load(f"{folder}/shout.py:Shout").mark == "?"

    def test_so_is_one_that_imports_a_changed_neighbour(self, folder: Path) -> None:
        (folder / "a_neighbour.py").write_text("word = 'hi'")
        (folder / "user.py").write_text("from a_neighbour import word")
        (folder / "another.py").write_text("from a_neighbour import word")
        assert load(f"{folder}/user.py:word") == load(f"{folder}/another.py:word") == "hi"
        (folder / "a_neighbour.py").write_text("word = 'hello'")
        assert load(f"{folder}/user.py:word") == load(f"{folder}/another.py:word") == "hello"

    def test_a_broken_one_is_told_until_it_is_mended(self, folder: Path) -> None:
        load(f"{folder}/shout.py")
        version = versionOf(f"{folder}/shout.py")
        (folder / "shout.py").write_text("class (")
        assert "SyntaxError" in told("shout.py:Shout", folder)
        assert "SyntaxError" in told("shout.py:Shout", folder)
        (folder / "shout.py").write_text("class Shout:\n    mark = '?'\n")
        assert load(f"{folder}/shout.py:Shout").mark == "?"
        assert versionOf(f"{folder}/shout.py") != version

    def test_one_that_is_gone_is_told(self, folder: Path) -> None:
        load(f"{folder}/shout.py")
        (folder / "shout.py").unlink()
        assert told("shout.py", folder).startswith("there is no file ")

    def test_installed_code_has_always_the_same_version(self) -> None:
        assert versionOf("json:loads") == 0
