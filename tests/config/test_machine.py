"""The memory that the daemon may use: the least of what the machine and its control groups allow."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsd.config.machine import memoryOf

MACHINE = "MemTotal:        8000000 kB\nMemFree:  1 kB\n"


@pytest.mark.parametrize(
    ("files", "memory"),
    [
        pytest.param({}, 8000000 * 1024, id="no control group"),
        pytest.param(
            {"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n"}, 8000000 * 1024, id="no limit"
        ),
        pytest.param({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "1000\n"}, 1000, id="its own"),
        pytest.param(
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/memory.max": "1000\n",
                "sys/fs/cgroup/a/memory.max": "900\n",
            },
            900,
            id="a lower one above it",
        ),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "700"}, 700, id="in a container"),
        pytest.param(
            {
                "proc/self/cgroup": "5:cpu,memory:/x\n0::/y\n",
                "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "600\n",
            },
            600,
            id="version 1",
        ),
    ],
)
def test_it_is_the_least_limit(tmp_path: Path, files: dict[str, str], memory: int) -> None:
    for name, text in {"proc/meminfo": MACHINE, **files}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert memoryOf(tmp_path) == memory


def test_without_proc_something_modest_is_assumed(tmp_path: Path) -> None:
    assert memoryOf(tmp_path) == 2 << 30
