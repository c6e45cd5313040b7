"""Two daemons and one state folder: the second says which process has it, and nothing else is kept from it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import MODES, commandLine, environment, running
from tests.daemon import PATIENCE
from wsd.config.state import LOCK, holderOf


def start(folder: Path, mode: str, state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Another daemon, which ends by itself."""
    folder.mkdir()
    return subprocess.run(
        commandLine(mode, "--port", "0", *arguments),
        cwd=folder,
        env=environment(STATE_DIRECTORY=str(state)),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


@pytest.mark.parametrize("mode", MODES)
def test_the_second_says_which_process_has_it_and_ends(tmp_path: Path, mode: str) -> None:
    state = tmp_path / "state"
    with running(tmp_path, mode, "--port", "0", STATE_DIRECTORY=str(state)) as daemon:
        daemon.url()
        assert holderOf(state / LOCK) == str(daemon.pid)
        for other in MODES:
            done = start(tmp_path / other.replace(" ", ""), other, state)
            assert done.returncode == 1
            assert done.stderr.splitlines()[-1].startswith(
                f"wsd: {state} is in use by another daemon, process {daemon.pid}; "
            )


def test_after_a_kill_the_next_one_has_it_and_a_reload_keeps_it(tmp_path: Path) -> None:
    state = {"STATE_DIRECTORY": str(tmp_path / "state")}
    with running(tmp_path, "twistd -n", "--port", "0", **state) as daemon:
        daemon.url()
        daemon.stop(signal.SIGKILL)
    with running(tmp_path, "twistd -n", "--port", "0", **state) as daemon:
        daemon.url()
        daemon.send(signal.SIGHUP)
        daemon.logged("reloaded")
        assert holderOf(tmp_path / "state" / LOCK) == str(daemon.pid)
        assert start(tmp_path / "other", "twistd -n", tmp_path / "state").returncode == 1
        daemon.stop()
    assert holderOf(tmp_path / "state" / LOCK) is None


@pytest.mark.parametrize(("route", "name"), [("/blob", "blob"), ("/xmpp", "xmpp.sqlite")])
def test_who_names_a_store_in_the_folder_of_another_hears_so(tmp_path: Path, route: str, name: str) -> None:
    state = tmp_path / "state"
    with running(tmp_path, "twistd -n", "--port", "0", STATE_DIRECTORY=str(state)) as daemon:
        daemon.url()
        (tmp_path / "wsd.toml").write_text(f'[route."{route}"]\nstore = "{state}/{name}"\n')
        done = start(tmp_path / "other", "twistd -n", tmp_path / "elsewhere", "-c", str(tmp_path / "wsd.toml"))
        assert done.returncode == 1
        assert f"process {daemon.pid}; " in done.stderr.splitlines()[-1]


def test_a_reload_that_names_anothers_store_is_refused(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    config = tmp_path / "wsd.toml"
    config.write_text("")
    with (
        running(one, "twistd -n", "--port", "0") as daemon,
        running(two, "twistd -n", "--port", "0", "-c", str(config)) as other,
    ):
        daemon.url()
        other.url()
        config.write_text(f'[route."/blob"]\nstore = "{one}/kept"\n')
        other.send(signal.SIGHUP)
        assert other.logged(rf"not reloaded.*in use by another daemon, process {daemon.pid};")


def test_tools_work_beside_it(tmp_path: Path) -> None:
    state = {"STATE_DIRECTORY": str(tmp_path / "state")}
    with running(tmp_path, "twistd -n", "--port", "0", **state) as daemon:
        daemon.url()
        for command, password in ((["xmpp", "adduser", "alice@localhost"], "secret"), (["xmpp", "list"], "")):
            done = subprocess.run(
                [sys.executable, "-m", "wsd", *command],
                env=environment(**state),
                input=password,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
            )
            assert done.returncode == 0, done.stderr
        assert done.stdout == "alice@localhost\n"


def test_where_nothing_can_be_kept_it_says_so_and_serves(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with running(tmp_path, "twistd -n", "--port", "0", STATE_DIRECTORY=str(tmp_path / "file" / "state")) as daemon:
        daemon.url()
        daemon.logged(rf"{tmp_path}/file/state cannot be written: Not a directory; no data can be stored there")
