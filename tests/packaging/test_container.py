"""
packaging/Containerfile: linted, run with this tree, and, with `make soak`, built on a Debian made by debootstrap.

The daemon is started as the image starts it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.commands import PATIENCE, ROOT, running

FILE = ROOT / "packaging/Containerfile"

LINES = re.sub(r"\\\n\s*", "", FILE.read_text(encoding="utf-8")).splitlines()


def instructions(name: str) -> list[str]:
    """The arguments of an instruction in the last stage."""
    last = max(number for number, line in enumerate(LINES) if line.startswith("FROM "))
    return [line.split(" ", 1)[1] for line in LINES[last:] if line.startswith(f"{name} ")]


def environ() -> dict[str, str]:
    return dict(word.split("=", 1) for word in shlex.split(instructions("ENV")[0]))


def test_hadolint_finds_nothing() -> None:
    tool = Path(sysconfig.get_path("scripts")) / "hadolint"
    done = subprocess.run([tool, FILE], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_it_copies_what_a_build_needs() -> None:
    copied = [
        word for line in LINES if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]
    ]
    assert all((ROOT / name).exists() for name in copied)
    assert {"setup.py", "setup.cfg", "pyproject.toml", "README.md", "CHANGES.md", "LICENSE"} <= set(copied)
    assert {"wsd", "twisted", "man"} <= set(copied)


def test_it_runs_as_an_ordinary_user_with_one_writable_folder() -> None:
    (user,) = instructions("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), "Kubernetes checks runAsNonRoot by the number"
    assert instructions("VOLUME") == [environ()["STATE_DIRECTORY"]]


class TestTheDaemon:
    def test_serves_and_is_healthy_as_the_image_runs_it(self, tmp_path: Path) -> None:
        variables = {**environ(), "STATE_DIRECTORY": str(tmp_path / "state"), "WSD_PORT": "0"}
        del variables["PATH"]
        command = json.loads(instructions("ENTRYPOINT")[0]) + json.loads(instructions("CMD")[0])
        assert command == ["wsd", "serve"]
        health = json.loads(instructions("HEALTHCHECK")[0].partition("CMD ")[2])
        assert health[0] == "wsd"
        check = [sys.executable, "-m", *health]
        with running(tmp_path, "wsd serve", **variables) as daemon:
            daemon.url(host="0.0.0.0")
            done = subprocess.run(
                check, cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True, timeout=PATIENCE
            )
            assert done.returncode == 0, done.stderr
            assert "is serving" in done.stdout
        gone = subprocess.run(check, cwd=ROOT, env={**os.environ, **variables}, capture_output=True, timeout=PATIENCE)
        assert gone.returncode == 1


@pytest.mark.soak
def test_the_image_is_built_and_serves(tmp_path: Path) -> None:
    """With buildah, without a registry: the base is made by debootstrap. Needs root, a mirror and some minutes."""
    rootfs = tmp_path / "rootfs"
    run("debootstrap", "--variant=minbase", "bookworm", str(rootfs))
    # pip inside trusts whom this machine trusts. Debian's package ca-certificates would replace its own file.
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", rootfs / "etc/pip.crt")
    (rootfs / "etc/pip.conf").write_text("[global]\ncert = /etc/pip.crt\n")
    store = (
        "buildah",
        "--storage-driver",
        "vfs",
        "--root",
        str(tmp_path / "store"),
        "--runroot",
        str(tmp_path / "run"),
    )
    try:
        base = run(*store, "from", "scratch")
        run(*store, "add", base, str(rootfs), "/")
        run(*store, "commit", base, "localhost/base")
        options = ("--isolation", "chroot", "--build-arg", "BASE=localhost/base", "--format", "docker")
        run(*store, "bud", *options, "-f", str(FILE), "-t", "localhost/wsd", ".")
        made = run(*store, "from", "localhost/wsd")
        said = run(*store, "run", "--isolation", "chroot", made, "--", "wsd", "config", "--effective")
        assert "0.0.0.0" in said
        inside = "wsd serve & for i in $(seq 100); do sleep 0.3; wsd ctl status && break; done; id -u; kill $!; wait"
        said = run(*store, "run", "--isolation", "chroot", made, "--", "sh", "-c", inside)
        assert "is serving" in said
        assert "\n9998\n" in said
    finally:
        shutil.rmtree(rootfs, ignore_errors=True)
        subprocess.run([*store, "rm", "--all"], capture_output=True, check=False)


def run(*command: str) -> str:
    """The last line and all before it of what a command says."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()
