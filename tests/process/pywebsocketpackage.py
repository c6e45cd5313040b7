"""The released pywebsocket package, taken from the package index when it is asked for: it is no part of this tree."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

RELEASE = "pywebsocket3-4.0.2"
_KEPT = Path(__file__).parents[2] / ".cache" / "pywebsocket"


def unpacked(folder: Path) -> Path:
    """The package's sources, with its tests and examples, unpacked below `folder`."""
    archive = _KEPT / f"{RELEASE}.tar.gz"
    if not archive.exists():
        name = RELEASE.replace("-", "==")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        subprocess.run(
            [*command, "--no-binary", ":all:", "--no-deps", "--dest", str(_KEPT), name],
            check=True,
            timeout=300,
        )
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder / RELEASE
