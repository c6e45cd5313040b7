"""The suite itself: where `wstest` is found, and one run of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.conformance.report import Results, endedByClock, faults

ROOT = Path(__file__).parents[2]
BUILT = ROOT / ".cache" / "wstest"
IMAGE = "crossbario/autobahn-testsuite:25.10.1"
AGENT = "wsd"
PATIENCE = 3600.0  # seconds for a whole run, on a slow machine


@dataclass(frozen=True)
class Run:
    """What is asked of the suite: cases, at a URL; over TLS the server is checked with the file `certificate`."""

    url: str
    cases: Sequence[str]
    certificate: Path | None = None

    def inquiry(self) -> dict[str, object]:
        """What goes into fuzzingclient.json."""
        server = {"agent": AGENT, "url": self.url, "options": {"version": 18}}
        if self.certificate is not None:
            server["hostname"] = "localhost"  # without it the suite checks no certificate
        return {"outdir": "reports", "servers": [server], "cases": [*self.cases]}


def command(folder: Path, environ: dict[str, str]) -> list[str]:
    """How `wstest` is started: from PATH, or built here, or, where it cannot be built, in its container image.

    Raises SystemExit with a sentence when none of the three can be had.
    """
    if (found := shutil.which("wstest")) is not None:
        return [found]
    if (
        subprocess.run([ROOT / "tools/setup-wstest", BUILT], env={**os.environ, "PYTHON": sys.executable}).returncode
        == 0
    ):
        return [str(BUILT / "bin" / "wstest")]
    if shutil.which("docker") is not None:
        variables = [word for name, value in environ.items() for word in ("-e", f"{name}={value}")]
        mount = ["-v", f"{folder}:{folder}", "-w", str(folder)]
        return ["docker", "run", "--rm", "--network", "host", *mount, *variables, IMAGE, "wstest"]
    raise SystemExit("conformance: no wstest on PATH, none could be built, and no docker to run its image with")


def perform(run: Run, folder: Path) -> Results:
    """
    Let the suite talk to the server, and return what its report holds; nothing when it wrote none.

    A case that failed because the suite's own time for it was over is tried once more, alone: on a busy machine, that
    happens to good servers. A server that does not answer fails again.
    """
    results = _performOnce(run, folder)
    wrong = {fault.partition(":")[0] for fault in faults(results, run.cases)}
    late = [case for case in run.cases if case in wrong and _wasEndedByClock(results.get(case, {}), folder)]
    if late:
        print("once more, since the suite's time for them was over:", *late, flush=True)
        results = {**results, **_performOnce(replace(run, cases=late), folder / "again")}
    return results


def _wasEndedByClock(result: Mapping[str, object], folder: Path) -> bool:
    name = result.get("reportfile")
    return name is not None and endedByClock(json.loads((folder / "reports" / str(name)).read_text(encoding="utf-8")))


def _performOnce(run: Run, folder: Path) -> Results:
    """One run of the suite.

    Its exit status says nothing: it is 0 even when no case ran.
    """
    shutil.rmtree(folder / "reports", ignore_errors=True)  # it is written at the end only: an old one would be read
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fuzzingclient.json").write_text(json.dumps(run.inquiry()), encoding="utf-8")
    environ = {} if run.certificate is None else {"SSL_CERT_FILE": str(run.certificate)}
    with (folder / "wstest.log").open("w") as log:
        subprocess.run(
            [*command(folder, environ), "-m", "fuzzingclient", "-s", "fuzzingclient.json"],
            cwd=folder,
            env={**os.environ, **environ},
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE,
        )
    index = folder / "reports" / "index.json"
    if not index.exists():
        print("the suite wrote no report; its log ends with", *_lastLines(folder / "wstest.log"), sep="\n")
        return {}
    results: dict[str, Results] = json.loads(index.read_text(encoding="utf-8"))
    return results.get(AGENT, {})


def _lastLines(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
