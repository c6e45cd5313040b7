"""Where the daemon keeps things: which folder a tool takes, whose its files are, and which process has it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from wsd.config import ConfigError, state
from wsd.config.state import (
    LOCK,
    Lock,
    Locks,
    foundFolder,
    holderOf,
    makeFile,
    makeFolder,
    ownerOf,
    stateFolder,
    whoMay,
)


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's state folder, which is not there yet."""
    monkeypatch.setattr(state, "SYSTEM", tmp_path / "system")
    return tmp_path / "system"


def made(folder: Path, *names: str) -> Path:
    makeFolder(folder)
    for name in names:
        makeFile(folder / name)
    return folder


class TestTheStateFolder:
    def test_systemds_comes_first(self) -> None:
        assert stateFolder({"STATE_DIRECTORY": "/var/lib/wsd:/other", "HOME": "/h"}) == "/var/lib/wsd"

    def test_then_the_users(self) -> None:
        assert stateFolder({"XDG_STATE_HOME": "/s", "HOME": "/h"}) == "/s/wsd"
        assert stateFolder({"HOME": "/h"}) == "/h/.local/state/wsd"


class TestTheFolderOfATool:
    """`own` is what the environment says, `system` that of the unit for systemd."""

    @pytest.fixture
    def environ(self, tmp_path: Path) -> dict[str, str]:
        return {"XDG_STATE_HOME": str(tmp_path)}

    @pytest.fixture
    def own(self, tmp_path: Path) -> Path:
        return tmp_path / "wsd"

    def test_it_is_the_environments(self, environ: dict[str, str], own: Path, system: Path) -> None:
        assert foundFolder(environ, "xmpp.sqlite") == own

    def test_one_that_is_told_is_taken_whatever_else_there_is(self, own: Path, system: Path) -> None:
        made(system, LOCK)
        assert foundFolder({"STATE_DIRECTORY": str(own)}, "xmpp.sqlite") == own

    @pytest.mark.parametrize("name", [None, "xmpp.sqlite", LOCK])
    def test_it_is_the_systems_where_the_other_has_never_been_a_daemons(
        self, environ: dict[str, str], own: Path, system: Path, name: str | None
    ) -> None:
        made(own, "uploads")
        made(system, *([name] if name else []))
        assert foundFolder(environ, "xmpp.sqlite") == system

    @pytest.mark.parametrize("name", ["xmpp.sqlite", LOCK])
    def test_it_is_not_where_that_has_never_been_one(
        self, environ: dict[str, str], own: Path, system: Path, name: str
    ) -> None:
        made(own, name)
        made(system)
        assert foundFolder(environ, "xmpp.sqlite") == own

    def test_of_two_it_is_that_of_the_daemon_which_runs(self, environ: dict[str, str], own: Path, system: Path) -> None:
        made(own, LOCK)
        made(system, LOCK)
        for folder in (own, system):
            lock = Lock(folder / LOCK)
            assert foundFolder(environ, "xmpp.sqlite") == folder
            lock.close()

    def test_where_there_is_no_telling_it_asks(self, environ: dict[str, str], own: Path, system: Path) -> None:
        made(own, LOCK)
        made(system, LOCK)
        with pytest.raises(ConfigError, match="both exist; set STATE_DIRECTORY"):
            foundFolder(environ, "xmpp.sqlite")


class TestWhoseItIs:
    def test_a_folder_is_its_owners_alone_and_so_is_what_is_above_it(self, tmp_path: Path) -> None:
        makeFolder(tmp_path / "a" / "b")
        assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b")] == [0o700, 0o700]

    def test_a_file_is_its_owners_alone_and_one_that_is_there_stays(self, tmp_path: Path) -> None:
        makeFile(tmp_path / "a")
        assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
        (tmp_path / "a").write_text("kept")
        makeFile(tmp_path / "a")
        assert (tmp_path / "a").read_text() == "kept"

    def test_it_has_a_name(self, tmp_path: Path) -> None:
        assert ownerOf(tmp_path / "not" / "there") == ownerOf(tmp_path) == ownerOf(Path(f"/proc/{os.getpid()}"))

    if os.geteuid() == 0:  # who is not root makes nothing for others

        def test_what_root_makes_is_the_owners_of_the_folder(self, tmp_path: Path) -> None:
            os.chown(tmp_path, 12345, 23456)
            makeFolder(tmp_path / "a" / "b")
            makeFile(tmp_path / "a" / "b" / "c")
            Lock(tmp_path / LOCK).close()
            made = [os.stat(tmp_path / name) for name in ("a", "a/b", "a/b/c", LOCK)]
            assert {(each.st_uid, each.st_gid) for each in made} == {(12345, 23456)}
            assert ownerOf(tmp_path / "a") == "the user 12345"
            assert whoMay(tmp_path / "a") == "the user 12345 or root"

    def test_who_may_not_open_it_hears_who_may(self) -> None:
        assert whoMay(Path("/")) == "root"


class TestALock:
    @pytest.fixture(autouse=True)
    def _atOnce(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(state, "_MOMENT", 0)

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "state" / LOCK

    @pytest.fixture
    def held(self, path: Path) -> Iterator[Lock]:
        lock = Lock(path)
        yield lock
        lock.close()

    def test_who_comes_second_hears_which_process_has_it(self, path: Path, held: Lock) -> None:
        with pytest.raises(ConfigError) as refused:
            Lock(path)
        assert str(refused.value) == (
            f"{path.parent} is in use by another daemon, process {os.getpid()}; "
            "stop that daemon, or use another folder (STATE_DIRECTORY, or the route's store)"
        )

    def test_it_tells_who_holds_it_and_holds_nothing_by_that(self, path: Path, held: Lock) -> None:
        assert holderOf(path) == str(os.getpid())
        held.close()
        assert holderOf(path) is None
        Lock(path).close()

    def test_a_number_that_a_process_has_left_there_holds_nothing(self, path: Path) -> None:
        makeFolder(path.parent)
        path.write_text("4194304123456\n")
        assert holderOf(path) is None
        lock = Lock(path)
        assert holderOf(path) == str(os.getpid())
        lock.close()

    def test_a_child_that_goes_on_with_it_says_so(
        self, path: Path, held: Lock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "getpid", lambda: 7)
        held.sign()
        assert holderOf(path) == "7"

    def test_a_full_disk_does_not_let_go_of_it(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "pwrite", full)
        lock = Lock(path)
        assert holderOf(path) == "unknown"
        lock.close()

    def test_who_only_looks_keeps_nobody_out(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """`holderOf` has it for a moment."""
        looks = Lock(path)
        monkeypatch.setattr("time.sleep", lambda seconds: looks.close())
        Lock(path).close()

    def test_a_daemon_holds_what_it_has_once_until_the_end(self, tmp_path: Path) -> None:
        one, two = tmp_path / "one" / LOCK, tmp_path / "two" / LOCK
        locks = Locks()
        locks.take([one, one])
        locks.take([one, two])
        locks.take([])
        assert holderOf(one) == holderOf(two) == str(os.getpid())
        locks.close()
        assert holderOf(one) is holderOf(two) is None

    def test_what_another_has_is_refused_as_a_whole(self, tmp_path: Path, path: Path, held: Lock) -> None:
        locks, new = Locks(), tmp_path / "new" / LOCK
        with pytest.raises(ConfigError):
            locks.take([new, path])
        assert holderOf(new) is None

    def test_a_place_where_nothing_can_be_kept_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("no folder")
        locks = Locks()
        locks.take([tmp_path / "file" / "state" / LOCK])
        assert locks.notices == [
            f"{tmp_path}/file/state cannot be written: Not a directory; no data can be stored there"
        ]
