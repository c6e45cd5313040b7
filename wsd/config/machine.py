"""How much memory the daemon may use: that of its control group, or of the machine (cgroups(7), proc_meminfo(5))."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath

ROOT = Path("/")
"""Where /proc and /sys are."""

_UNKNOWN = 2 << 30
"""Bytes that are assumed where /proc cannot be read."""


@cache
def halfOfMemory() -> int:
    """Half of the memory that this process may use, in bytes."""
    return memoryOf(ROOT) // 2


def memoryOf(root: Path) -> int:
    """The memory that this process may use, in bytes: that of the machine, or less if a control group limits it."""
    return min(_limits(root), default=_UNKNOWN)


def _limits(root: Path) -> Iterator[int]:
    for line in _read(root / "proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            yield int(line.split()[1]) * 1024
    mounted = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        if not controllers:
            yield from _limitsOf(mounted, group, "memory.max")
        elif "memory" in controllers.split(","):
            yield from _limitsOf(mounted / "memory", group, "memory.limit_in_bytes")


def _limitsOf(mounted: Path, group: str, name: str) -> Iterator[int]:
    """The limits of a group and of those that it is in. In a container, the path may not exist under the mount."""
    path = PurePosixPath(group.lstrip("/"))
    for place in (path, *path.parents):
        text = _read(mounted / place / name).strip()
        if text.isdigit():
            yield int(text)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
