"""
The Debian package: built, installed, started, reloaded, upgraded, removed and purged in a chroot of Debian 12.

It needs root, debootstrap, a mirror and some minutes, so it is one of `make soak`. No systemd runs in the chroot: the
daemon is started by the unit's own command, as its user, with the notify socket and the variables that systemd sets.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.commands import PATIENCE, ROOT
from tests.process.test_systemd import Manager, manager

__all__ = ["manager"]

pytestmark = pytest.mark.soak

LONG = 1800.0
"""Seconds for a build, and for debootstrap."""


def run(*command: str | Path, timeout: float = LONG, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        env={**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "PYTHONPATH": ""},
    )
    assert not check or done.returncode == 0, done.stdout
    return done


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What tools/deb builds. $WSD_DEB names one that is there already."""
    if "WSD_DEB" in os.environ:
        return Path(os.environ["WSD_DEB"])
    folder = tmp_path_factory.mktemp("deb")
    run("tools/deb", folder)
    return next(folder.glob("wsd_*.deb"))


def newer(package: Path, folder: Path) -> Path:
    """The same package, as the next version."""
    tree = folder / "newer"
    run("dpkg-deb", "-R", package, tree)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: .*$", "Version: 99.0", control.read_text(), flags=re.MULTILINE))
    (module,) = tree.glob("opt/wsd/lib/python3*/site-packages/wsd/__init__.py")
    module.write_text(re.sub('__version__ = ".*"', '__version__ = "99.0"', module.read_text()))
    for compiled in module.parent.glob("__pycache__/__init__.*.pyc"):
        compiled.unlink()
    run("dpkg-deb", "-Zgzip", "-z1", "-b", tree, folder / "newer.deb")
    return folder / "newer.deb"


class Chroot:
    """A minimal Debian 12 in a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def run(self, command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run("chroot", self.path, "sh", "-c", command, check=check)

    def install(self, package: Path) -> None:
        shutil.copy(package, self / "tmp/package.deb")
        self.run("dpkg --install --force-confdef --force-confold /tmp/package.deb")

    def who(self, name: str) -> tuple[str, str]:
        """The owner and the mode of a file, as the chroot sees them."""
        owner, mode = self.run(f"stat -c '%U:%G %a' {name}").stdout.split()
        return owner, mode

    def unit(self, key: str) -> list[str]:
        text = (self / "lib/systemd/system/wsd.service").read_text()
        return re.findall(rf"^{key}=(.+)$", text, re.MULTILINE)

    @contextmanager
    def daemon(self, manager: Manager) -> Iterator[str]:
        """The daemon, as the unit starts it; its URL."""
        (user,) = self.unit("User")
        (group,) = self.unit("Group")
        (start,) = self.unit("ExecStart")
        self.run("install -d -m 750 -o wsd -g wsd /run/wsd")
        folders = {"STATE": "var/lib", "RUNTIME": "run", "LOGS": "var/log", "CONFIGURATION": "etc"}
        environ = {f"{name}_DIRECTORY": f"/{folder}/wsd" for name, folder in folders.items()}
        with (self / "tmp/out.log").open("wb") as out:
            process = subprocess.Popen(
                [str(shutil.which("chroot")), f"--userspec={user}:{group}", str(self.path), *shlex.split(start)],
                env={"PATH": "/usr/bin:/bin", "NOTIFY_SOCKET": manager.address, **environ},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        try:
            status = manager.hear("READY=1")
            yield re.findall(r"ws://127\S+(?=/)", status)[0]
        finally:
            os.kill(self.pid, signal.SIGTERM)
            process.wait(PATIENCE)

    @property
    def pid(self) -> int:
        """The process that serves."""
        return int((self / "var/lib/wsd/daemon.lock").read_text())


@pytest.fixture(scope="module")
def chroot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chroot]:
    path = tmp_path_factory.mktemp("debian") / "root"
    run("debootstrap", "--variant=minbase", "--include=python3,adduser", "bookworm", path)
    # Nothing is started: there is no init.
    policy = path / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    yield Chroot(path)
    shutil.rmtree(path, ignore_errors=True)


def echoes(url: str) -> bool:
    with connect(f"{url}/echo", proxy=None) as client:
        client.send("hello")
        return client.recv(PATIENCE) == "hello"


def test_the_package_has_what_an_administrator_expects(package: Path) -> None:
    names = {line.split()[-1] for line in run("dpkg-deb", "-c", package).stdout.splitlines()}
    assert {
        "./etc/wsd/wsd.toml",
        "./etc/logrotate.d/wsd",
        "./lib/systemd/system/wsd.service",
        "./lib/systemd/system/wsd.socket",
        "./usr/lib/tmpfiles.d/wsd.conf",
        "./usr/share/man/man1/wsd.1.gz",
        "./usr/share/man/man5/wsd.toml.5.gz",
        "./usr/share/bash-completion/completions/wsd",
        "./usr/share/zsh/vendor-completions/_wsd",
        "./usr/share/fish/vendor_completions.d/wsd.fish",
    } <= names
    assert run("dpkg-deb", "-I", package, "conffiles").stdout.split() == ["/etc/logrotate.d/wsd", "/etc/wsd/wsd.toml"]
    for end in ("_fast", "secure"):
        assert any(re.search(rf"/wsd/\w+/{end}\.cpython-\S+\.so$", name) for name in names), "the compiled plane"


def test_it_is_installed_started_reloaded_upgraded_and_removed(
    chroot: Chroot, package: Path, tmp_path: Path, manager: Manager
) -> None:
    # Installed.
    chroot.install(package)
    assert "wsd" in chroot.run("getent passwd wsd").stdout
    assert chroot.who("/var/lib/wsd") == ("wsd:wsd", "700")
    assert chroot.who("/var/log/wsd") == ("wsd:adm", "750")
    assert chroot.who("/etc/wsd/wsd.toml") == ("root:root", "644")
    version = chroot.run("wsd --version").stdout
    assert chroot.run("wsd check /etc/wsd/wsd.toml").stdout.splitlines()[-1] == "ok"

    # Started, and reloaded by the commands of the unit.
    config = chroot / "etc/wsd/wsd.toml"
    config.write_text("port = 0\n")
    check, reload = chroot.unit("ExecReload")
    with chroot.daemon(manager) as url:
        assert echoes(url)
        assert "dropin.cache" not in (chroot / "tmp/out.log").read_text()
        config.write_text('port = 0\n[route."/describe"]\nenabled = false\n')
        chroot.run(f"STATE_DIRECTORY=/var/lib/wsd {check}")
        assert chroot.run(reload).stdout.startswith("reloaded, changed: ")
        config.write_text("port = 0\ndrain = -1\n")
        assert chroot.run(check, check=False).returncode == 1
        assert chroot.run(reload, check=False).returncode == 1
        config.write_text("port = 0\n")

        # Upgraded: the changed conffile stays, and so does the connection.
        with connect(f"{url}/echo", proxy=None) as client:
            chroot.install(newer(package, tmp_path))
            assert config.read_text() == "port = 0\n"
            assert chroot.run("wsd ctl upgrade").stdout.startswith("upgraded: ")
            assert chroot.run("wsd --version").stdout == "wsd 99.0\n" != version
            assert json.loads(chroot.run("wsd ctl status --json").stdout)["version"] == "99.0"
            client.send("still here")
            assert client.recv(PATIENCE) == "still here"

    # Removed: the configuration and the data stay. Purged: nothing does.
    (chroot / "var/lib/wsd/mine").write_text("x")
    chroot.run("dpkg --remove wsd")
    assert not (chroot / "opt/wsd").exists()
    assert not (chroot / "usr/bin/wsd").is_symlink()
    assert config.exists()
    assert (chroot / "var/lib/wsd/mine").exists()
    chroot.run("dpkg --purge wsd")
    for name in ("etc/wsd", "etc/logrotate.d/wsd", "var/lib/wsd", "var/log/wsd"):
        assert not os.path.lexists(chroot / name), name
    assert chroot.run("getent passwd wsd", check=False).returncode == 2


def test_scripts_are_executable() -> None:
    for name in ("tools/deb", "packaging/debian/rules"):
        assert (ROOT / name).stat().st_mode & stat.S_IXUSR, name
