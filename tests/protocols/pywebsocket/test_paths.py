"""Which file answers at which path."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsd.protocols.pywebsocket.paths import candidates, isUnder, readMap, resourceOf


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        ("/r/a_wsh.py", "/a"),
        ("/r/a/b_wsh.py", "/a/b"),
        ("/r/_wsh.py", "/"),
        ("/r/a_WSH.py", None),
        ("/r/a.py", None),
        ("/other/a_wsh.py", None),
        ("/rr/a_wsh.py", None),
    ],
)
def test_a_file_answers_at_its_name_below_the_folder(path: str, resource: str | None) -> None:
    assert resourceOf(path, "/r") == resource
    assert resourceOf(path, "/r/x/..///") == resource


def test_files_are_found_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b_wsh.py", "a_wsh.py", "sub/c_wsh.py", "other.py", "d_wsh.pyc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [str(Path(path).relative_to(tmp_path)) for path in candidates(str(tmp_path))]
    assert found == ["a_wsh.py", "b_wsh.py", "sub/c_wsh.py"]


def test_a_link_is_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out.py").touch()
    (tmp_path / "in" / "link.py").symlink_to(tmp_path / "out.py")
    assert not isUnder(str(tmp_path / "in" / "link.py"), str(tmp_path / "in"))
    assert isUnder(str(tmp_path / "in" / "link.py"), str(tmp_path))
    assert isUnder(str(tmp_path / "in"), str(tmp_path / "in"))
    assert not isUnder(str(tmp_path / "inner"), str(tmp_path / "in"))


def test_a_map_has_aliases_comments_and_wrong_lines() -> None:
    lines = ["# of the course\n", "\n", "/a  /b\n", "/only\n", "/c\t/d", "/e /f /g\n"]
    assert readMap(lines) == ([("/a", "/b"), ("/c", "/d")], [4, 6])
