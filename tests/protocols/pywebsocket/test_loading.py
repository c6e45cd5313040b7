"""What handlers import, and where a file that cannot be loaded is wrong."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from wsd.protocols.pywebsocket import api
from wsd.protocols.pywebsocket.api import common, handshake, msgutil
from wsd.protocols.pywebsocket.loading import Loader, LoadError


def run(folder: Path, text: str, encoding: str | None = None) -> dict[str, Any]:
    return Loader(str(folder), encoding).runText(text.encode(encoding or "utf-8"), str(folder / "a_wsh.py"))


class TestImports:
    @pytest.mark.parametrize("name", ["pywebsocket3", "mod_pywebsocket"])
    def test_of_the_package_are_ours(self, tmp_path: Path, name: str) -> None:
        names = run(
            tmp_path,
            f"import {name}\nimport {name}.common\nfrom {name} import msgutil, handshake as h\n"
            f"from {name}.handshake.hybi import compute_accept\nfrom {name}.common import OPCODE_TEXT\n",
        )
        assert names[name] is api
        assert (names["msgutil"], names["h"]) == (msgutil, handshake)
        assert names["OPCODE_TEXT"] == common.OPCODE_TEXT
        assert callable(names["compute_accept"])

    def test_are_ours_though_another_of_that_name_is_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "elsewhere" / "pywebsocket3").mkdir(parents=True)
        (tmp_path / "elsewhere" / "pywebsocket3" / "__init__.py").write_text("common = 'not ours'")
        monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
        assert run(tmp_path, "from pywebsocket3 import common")["common"] is common

    def test_of_the_folder_are_kept_apart_from_all_others(self, tmp_path: Path) -> None:
        (tmp_path / "helper.py").write_text("from pywebsocket3 import common\nfrom sub import inner\nNAME = 'helper'\n")
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "__init__.py").touch()
        (tmp_path / "sub" / "inner.py").write_text("from . import other\nNAME = other.NAME\n")
        (tmp_path / "sub" / "other.py").write_text("NAME = 'other'\n")
        before = dict(sys.modules)
        names = run(tmp_path, "import helper\nimport sub.inner\nfrom sub.other import NAME\n")
        assert (names["helper"].NAME, names["sub"].inner.NAME, names["NAME"]) == ("helper", "other", "other")
        assert sys.modules == before

    def test_in_a_function_come_later(self, tmp_path: Path) -> None:
        names = run(tmp_path, "def later():\n    from mod_pywebsocket import msgutil\n    return msgutil\n")
        assert names["later"]() is msgutil

    def test_of_what_is_not_there_are_errors(self, tmp_path: Path) -> None:
        with pytest.raises(
            LoadError, match=r"a_wsh\.py:2: ModuleNotFoundError: No module named 'pywebsocket3\.nothing'"
        ):
            run(tmp_path, "\nimport pywebsocket3.nothing")


class TestWhatIsWrong:
    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("def (", ":1: SyntaxError: "),
            ("\n\n1/0", ":3: ZeroDivisionError: division by zero"),
            ("def f():\n    raise KeyError\n\nf()", ":2: KeyError"),
            ("import sys\nsys.exit(3)", ": calls exit while it is loaded"),
            ("\nraise GeneratorExit", ":2: GeneratorExit"),
        ],
    )
    def test_is_told_with_its_line(self, tmp_path: Path, text: str, sentence: str) -> None:
        with pytest.raises(LoadError) as caught:
            run(tmp_path, text)
        assert str(caught.value).startswith(f"{tmp_path}/a_wsh.py{sentence}")

    def test_ctrl_c_is_what_the_main_thread_gets_and_no_other(self, tmp_path: Path) -> None:
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, "raise KeyboardInterrupt")
        with ThreadPoolExecutor(1) as pool, pytest.raises(LoadError, match=r"a_wsh\.py:1: KeyboardInterrupt"):
            pool.submit(run, tmp_path, "raise KeyboardInterrupt").result()

    def test_in_another_file_is_told_where_it_was_imported(self, tmp_path: Path) -> None:
        (tmp_path / "helper.py").write_text("\n\n1/0\n")
        with pytest.raises(LoadError, match=r"a_wsh\.py:2: ZeroDivisionError"):
            run(tmp_path, "\nimport helper")


class TestEncoding:
    def test_is_the_files_own(self, tmp_path: Path) -> None:
        text = "# -*- coding: latin-1 -*-\nNAME = 'é'".encode("latin-1")
        assert Loader(str(tmp_path)).runText(text, "x")["NAME"] == "é"

    def test_or_what_is_said(self, tmp_path: Path) -> None:
        assert run(tmp_path, "NAME = '文字'", "euc-jp")["NAME"] == "文字"
