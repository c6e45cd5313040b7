"""The handlers of a folder: which file answers at which path, loaded and loaded again."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from wsd.protocols.pywebsocket.handlers import Handlers, candidates, isUnder, readMap, resourceOf

TWO = "def web_socket_do_extra_handshake(request): pass\ndef web_socket_transfer_data(request): return {!r}\n"


def write(path: Path, says: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(TWO.format(says))
    # A file is told from what it was by its time, too; here all is written within a tick of the clock.
    write.times += 1_000_000_000  # type: ignore[attr-defined]
    os.utime(path, ns=(write.times, write.times))  # type: ignore[attr-defined]


write.times = 0  # type: ignore[attr-defined]


def loaded(folder: Path, **more: object) -> Handlers:
    handlers = Handlers(str(folder), **more)  # type: ignore[arg-type]
    handlers.load()
    return handlers


def says(handlers: Handlers, path: str) -> object:
    handler = handlers.find(path)
    return None if handler is None else handler.transfer(None)


class TestFinding:
    def test_only_below_the_part_that_is_scanned(self, tmp_path: Path) -> None:
        write(tmp_path / "a_wsh.py", "a")
        write(tmp_path / "sub" / "b_wsh.py", "b")
        assert [bool(loaded(tmp_path).find(path)) for path in ("/a", "/sub/b")] == [True, True]
        assert [bool(loaded(tmp_path, scan=str(tmp_path / "sub")).find(path)) for path in ("/a", "/sub/b")] == [
            False,
            True,
        ]

    def test_by_other_names_of_a_map(self, tmp_path: Path) -> None:
        write(tmp_path / "a_wsh.py", "a")
        (tmp_path / "map").write_text("# names\n/ /a\n/other /a\n/lost /nowhere\nwrong\n")
        handlers = loaded(tmp_path, mapFile=str(tmp_path / "map"))
        assert (says(handlers, "/"), says(handlers, "/other"), says(handlers, "/lost")) == ("a", "a", None)
        assert handlers.warnings == [
            f'{tmp_path}/map:5: is not an alias; write "/alias /existing"',
            f"{tmp_path}/map: /lost refers to /nowhere, which has no handler",
        ]

    def test_a_map_that_is_not_there_is_a_warning(self, tmp_path: Path) -> None:
        assert (
            loaded(tmp_path, mapFile=str(tmp_path / "none")).warnings[0].startswith(f"{tmp_path}/none: cannot be read")
        )

    def test_no_link_out_of_the_folder_unless_it_is_allowed(self, tmp_path: Path) -> None:
        write(tmp_path / "out_wsh.py", "out")
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "link_wsh.py").symlink_to(tmp_path / "out_wsh.py")
        handlers = loaded(tmp_path / "in")
        assert handlers.find("/link") is None
        assert handlers.warnings == [
            f"{tmp_path}/in/link_wsh.py: is a symbolic link that leads out of {tmp_path}/in, so it is ignored"
        ]
        assert says(loaded(tmp_path / "in", outside=True), "/link") == "out"


class TestWhatAHandlerHas:
    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("", "web_socket_do_extra_handshake is not defined."),
            ("web_socket_do_extra_handshake = 1", "web_socket_do_extra_handshake is not callable."),
            ("def web_socket_do_extra_handshake(r): pass", "web_socket_transfer_data is not defined."),
        ],
    )
    def test_are_two_functions(self, tmp_path: Path, text: str, sentence: str) -> None:
        (tmp_path / "a_wsh.py").write_text(text)
        assert loaded(tmp_path).warnings == [f"{tmp_path}/a_wsh.py: {sentence}"]

    def test_tell_how_it_runs(self, tmp_path: Path) -> None:
        opens = "def web_socket_do_extra_handshake(r): pass\n"
        (tmp_path / "a_wsh.py").write_text(opens + "async def web_socket_transfer_data(r): pass")
        (tmp_path / "b_wsh.py").write_text(opens + "def web_socket_transfer_data(r): r.connection.read(1)")
        (tmp_path / "c_wsh.py").write_text(opens + "def web_socket_transfer_data(r): r.connection.write(b'')")
        handlers = loaded(tmp_path)
        found = {name: handlers.find(name) for name in ("/a", "/b", "/c")}
        assert {name: (each.isAsync, each.readsBytes) for name, each in found.items() if each} == {
            "/a": (True, False),
            "/b": (False, True),
            "/c": (False, False),
        }


class TestLoadingAgain:
    def test_what_has_changed_and_nothing_else(self, tmp_path: Path) -> None:
        write(tmp_path / "a_wsh.py", "a")
        write(tmp_path / "b_wsh.py", "b")
        handlers = loaded(tmp_path)
        kept = handlers.find("/b")
        assert not handlers.hasChanged()
        write(tmp_path / "a_wsh.py", "new")
        assert handlers.hasChanged()
        assert handlers.load() == [f"loaded {tmp_path}/a_wsh.py at /a"]
        assert says(handlers, "/a") == "new"
        assert handlers.find("/b") is kept
        assert not handlers.hasChanged()

    def test_what_uses_a_file_that_has_changed(self, tmp_path: Path) -> None:
        (tmp_path / "a_wsh.py").write_text("from helper import *\n")
        write(tmp_path / "helper.py", "helped")
        handlers = loaded(tmp_path)
        assert says(handlers, "/a") == "helped"
        write(tmp_path / "helper.py", "helped anew")
        handlers.load()
        assert says(handlers, "/a") == "helped anew"

    def test_of_a_broken_file_keeps_what_was(self, tmp_path: Path) -> None:
        write(tmp_path / "a_wsh.py", "a")
        handlers = loaded(tmp_path)
        (tmp_path / "a_wsh.py").write_text("def broken(:")
        handlers.load()
        assert says(handlers, "/a") == "a"
        assert handlers.warnings[0].endswith("(the previous version stays in use)")

    def test_lets_go_of_what_is_gone(self, tmp_path: Path) -> None:
        write(tmp_path / "a_wsh.py", "a")
        handlers = loaded(tmp_path)
        (tmp_path / "a_wsh.py").unlink()
        assert handlers.hasChanged()
        assert handlers.load() == [f"removed {tmp_path}/a_wsh.py"]
        assert handlers.find("/a") is None
        assert not handlers.hasChanged()


class TestLoadingThatHangs:
    def test_keeps_no_other_file_from_answering(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The second load is that of another thread, after the first has been given up."""
        begun, gate = threading.Event(), threading.Event()
        monkeypatch.setattr(threading, "wsd_gate", (begun, gate), raising=False)
        handlers = loaded(tmp_path)
        write(tmp_path / "a_wsh.py", "a")
        write(tmp_path / "c_wsh.py", "c")
        hangs = "import threading\nbegun, gate = threading.wsd_gate\nbegun.set()\ngate.wait(30)\n"
        (tmp_path / "b_wsh.py").write_text(f"{hangs}{TWO.format('late')}")
        first = threading.Thread(target=handlers.load)
        first.start()
        try:
            assert begun.wait(30)
            handlers.load()
            assert [says(handlers, path) for path in ("/a", "/b", "/c")] == ["a", None, "c"]
        finally:
            gate.set()
            first.join(30)
        assert [says(handlers, path) for path in ("/a", "/b", "/c")] == ["a", "late", "c"]


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
