"""`wsd blob ls`, `rm` and `verify`: the store is the daemon's, and stays its owner's."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from tests.protocols.blob.test_store import put
from wsd.__main__ import main
from wsd.config import state
from wsd.protocols.blob.index import Blob, BlobIndex
from wsd.protocols.blob.quota import BlobLimits
from wsd.protocols.blob.store import BlobStore


def stored(folder: Path) -> Blob:
    """A file in the store of a state folder."""
    store = BlobStore(folder / "blob", BlobLimits(), lambda: 1000.0)
    blob = put(store, b"content", type='text/csv; header="a\u0085b"')
    store.close()
    return blob


@pytest.fixture(autouse=True)
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "SYSTEM", tmp_path / "system")
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def fails(*arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["blob", *arguments])
    return str(ended.value)


@pytest.mark.parametrize("place", ["wsd", "system"])
def test_the_store_is_found_where_the_daemon_has_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    blob = stored(tmp_path / place)
    main(["blob", "ls"])
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(blob.id)
    assert line.isprintable()
    main(["blob", "verify"])
    assert capsys.readouterr().out == "ok: 1 checked\n"


def test_where_there_is_none_it_is_named(tmp_path: Path) -> None:
    assert fails("ls") == f"wsd: {tmp_path}/wsd/blob is not a blob store; use --store FOLDER"


def test_where_it_cannot_be_told_which_is_meant_it_asks(tmp_path: Path) -> None:
    stored(tmp_path / "wsd")
    stored(tmp_path / "system")
    assert "set STATE_DIRECTORY" in fails("ls")


def test_one_that_cannot_be_opened_is_named_with_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(tmp_path / "wsd")

    def refuse(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(BlobIndex, "_addColumns", refuse)
    folder = tmp_path / "wsd" / "blob"
    assert fails("ls") == (
        f"wsd: {folder}: {folder}/index.sqlite: attempt to write a readonly database; "
        f"run this as {state.whoMay(folder)}"
    )


if os.geteuid() == 0:  # who is not root makes nothing for others, and has no way to be refused

    def test_what_root_makes_in_it_is_the_daemons(tmp_path: Path) -> None:
        blob = stored(tmp_path / "wsd")
        folder = tmp_path / "wsd" / "blob"
        (folder / "files" / blob.id[:2] / blob.id).unlink()
        (folder / "files" / blob.id[:2]).rmdir()
        (folder / "parts").rmdir()
        for path in (folder, *folder.rglob("*")):
            os.chown(path, 12345, 23456)
        main(["blob", "rm", blob.id])
        made = [path.stat() for path in folder.rglob("*")]
        assert (folder / "files" / blob.id[:2]).exists()
        assert {(each.st_uid, each.st_gid) for each in made} == {(12345, 23456)}

    def test_who_may_not_read_it_hears_whose_it_is(tmp_path: Path) -> None:
        stored(tmp_path / "wsd")
        (tmp_path / "wsd").chmod(0o700)
        os.seteuid(12345)
        try:
            told = fails("ls", "--store", str(tmp_path / "wsd" / "blob"))
        finally:
            os.seteuid(0)
        path = tmp_path / "wsd" / "blob" / "index.sqlite"
        assert told == f"wsd: {path} cannot be read: Permission denied; run this as root"
