"""What a process of its own has said, as a row: tests by their report, programs by their last line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

from tests.daemon import ROOT
from tests.soak.table import Line


@dataclass(frozen=True, slots=True)
class Tried:
    """Something that a command tries. It holds if the command says so by its exit status."""

    name: str
    about: str
    bound: str
    arguments: tuple[str, ...]
    """Of Python: `-m MODULE ...`."""

    def run(self) -> Line:
        """A row of what it has said last."""
        began = time.monotonic()
        status, output = _run(self.arguments)
        return self.line(status, output, time.monotonic() - began)

    def line(self, status: int, output: str, seconds: float) -> Line:
        """A row from the command's exit status and its output."""
        said = [line.strip() for line in output.splitlines() if line.strip()]
        last = said[-1] if said else "it said nothing"
        broken = () if status == 0 else (f"it ended with {status}: {last}",)
        counted = last if status == 0 else "see the right"
        return Line(self.name, self.about, f"{counted} ({_lasted(seconds)})", self.bound, broken)


@dataclass(frozen=True, slots=True)
class Asserted:
    """Something that tests assert. It holds if each of them has run and passed."""

    name: str
    about: str
    bound: str
    tests: tuple[str, ...]
    """Their node ids, or options of pytest."""

    def run(self) -> Line:
        """A row of what pytest reports."""
        with TemporaryDirectory(prefix="wsd-soak-") as folder:
            report = Path(folder) / "report.xml"
            always = ("-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}")
            status, output = _run((*always, "-o", "faulthandler_timeout=3600", *self.tests))
            return self.line(status, report.read_text("utf-8") if report.exists() else "", output)

    def line(self, status: int, report: str, output: str) -> Line:
        """A row from pytest's exit status, its report in XML, and what it has printed."""
        cases = list(ElementTree.fromstring(report).iter("testcase")) if report else []
        broken = [f"{case.get('name')} {told}" for case in cases for told in _faults(case)]
        if status and not broken:
            broken.append(f"pytest ended with {status}: {(output.splitlines() or ['it said nothing'])[-1]}")
        if not cases and not broken:
            broken.append("there is no such test")
        passed = len(cases) - sum(bool(_faults(case)) for case in cases)
        seconds = sum(float(case.get("time", 0)) for case in cases)
        measured = f"{passed} of {len(cases)} tests pass ({_lasted(seconds)})"
        return Line(self.name, self.about, measured, self.bound, tuple(broken[:3]))


def _faults(case: ElementTree.Element) -> list[str]:
    """What is wrong with a test: a skipped one shows nothing, so it is wrong too."""
    found = {"failure": "fails", "error": "fails", "skipped": "is skipped"}
    return [
        f"{found[each.tag]}: {(each.get('message') or '').partition(chr(10))[0][:200]}"
        for each in case
        if each.tag in found
    ]


def _lasted(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _run(arguments: Sequence[str]) -> tuple[int, str]:
    """Run Python to its end. Returns its exit status, and all it has printed, which is shown only if it fails."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate()
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)
        raise
    if process.returncode:
        print(output, file=sys.stderr, flush=True)
    return process.returncode, output
