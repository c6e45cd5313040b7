"""A reader's terminal: a shell in a folder, in a network and with processes of its own, which end with it."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.firstuse.page import Interrupt, Run, Save, Step
from tests.test_docs import pattern, plain

PATIENCE = 120.0
"""Seconds that a command may take on a busy machine."""

_FOREGROUND = re.compile(r"wsd (serve|listen)\b|twistd -n")
_FILES = re.compile(r"python3 -m http\.server\b.* (\d+)$")
_ID = re.compile(r"\b[0-9a-f]{40}\b")
_END = "the command has ended:"


class Terminal:
    """A shell. `log` is what the daemon in the foreground has said."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.folder = folder
        self.log = folder.parent / f"{folder.name}.log"
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        alone = ["--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        asRoot = [] if os.getuid() == 0 else ["--map-root-user"]
        self._ids: dict[str, str] = {}
        self._shell = subprocess.Popen(
            ["unshare", *asRoot, *alone, "bash", "--noprofile", "--norc"],
            cwd=folder,
            env={**kept, "HOME": str(folder), "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONUNBUFFERED": "1", **environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.sent("ip link set lo up")
        # Jobs of their own, so that Ctrl-C reaches the daemon.
        self.sent("set -m")

    def close(self) -> None:
        """End it, with all that was started in it."""
        self._shell.kill()
        self._shell.wait()
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.close()
        self._shell.stdout.close()

    def sent(self, command: str) -> str:
        """The output of a command, which must succeed."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f'{command}\nprintf "\\n%s %s\\n" "{_END}" $?\n')
        self._shell.stdin.flush()
        lines: list[str] = []
        watchdog = threading.Timer(PATIENCE, self._shell.kill)
        watchdog.start()
        try:
            for line in self._shell.stdout:
                if line.startswith(_END):
                    status = int(line.rpartition(" ")[2])
                    output = "".join(lines)[:-1]
                    assert status == 0, f"{command} ends with {status}:\n{output}"
                    return output
                lines.append(line)
        finally:
            watchdog.cancel()
        raise AssertionError(f"the shell has ended at {command}:\n{''.join(lines)}")

    def follow(self, steps: list[Step]) -> None:
        """Take these steps, and compare each output that is shown."""
        for step in steps:
            match step:
                case Save(name, text):
                    path = self.folder / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(text, "utf-8")
                case Run(command, output):
                    self._run(command, output)
                case Interrupt():
                    self.sent("kill -INT %1; wait %1; true")

    def _run(self, command: str, output: str | None) -> None:
        # The reader puts the id of the receipt in the place of that on the page.
        command = _ID.sub(lambda shown: self._ids.get(shown[0], shown[0]), command)
        if _FOREGROUND.match(command):
            self.log.unlink(missing_ok=True)
            self.sent(f"{command} >{self.log} 2>&1 &")
            self.waitUntil(lambda: "listening ws://" in self._read(self.log), f"{command} listens")
            return
        if files := _FILES.match(command):
            self.sent(f"{command} >{self.folder.parent / 'files.log'} 2>&1 &")
            self.sent(f"until (: </dev/tcp/127.0.0.1/{files[1]}) 2>/dev/null; do sleep 0.05; done")
            return
        background = self.folder / "twistd.log"
        reloads = self._read(background).count("reloaded")
        said = self.sent(command)
        if output is not None:
            assert re.fullmatch(pattern(output), plain(said)), f"$ {command}\n{said}"
            self._ids.update(zip(_ID.findall(output), _ID.findall(said), strict=False))
        if command.startswith("twistd wsd"):
            self.waitUntil(lambda: "listening ws://" in self._read(background), f"{command} listens")
        elif command.startswith("kill -HUP"):
            self.waitUntil(lambda: self._read(background).count("reloaded") > reloads, "the daemon reloads")
        elif command.startswith("kill $(cat twistd.pid)"):
            self.waitUntil(lambda: not (self.folder / "twistd.pid").exists(), "the daemon ends")

    @staticmethod
    def _read(log: Path) -> str:
        return log.read_text() if log.exists() else ""

    def waitUntil(self, met: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if met():
                return
            time.sleep(0.05)
        raise AssertionError(
            f"{what} within {PATIENCE:g} seconds:\n{self.log.read_text() if self.log.exists() else ''}"
        )
