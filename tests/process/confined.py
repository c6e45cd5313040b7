"""
Runs a command under what a unit file restricts, as far as that can be had without systemd as process 1.

    unshare --mount python confined.py UNIT STATE KEPT... -- COMMAND...

As root. The file system is read-only but for the folder STATE; /home, /root and /tmp are empty but for the folders
KEPT; the user is nobody, without capabilities, new privileges or groups; the unit's LimitNOFILE, UMask, ProtectProc,
SystemCallFilter and RestrictAddressFamilies hold.
"""

from __future__ import annotations

import ctypes
import os
import re
import resource
import socket
import subprocess
import sys
from pathlib import Path

NOBODY = 65534
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
SCMP_ACT_ALLOW, SCMP_ACT_ERRNO, SCMP_CMP_EQ, EPERM = 0x7FFF0000, 0x00050000, 4, 1


class Compare(ctypes.Structure):
    """struct scmp_arg_cmp of libseccomp."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operation", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


def settings(unit: str, name: str) -> list[str]:
    """The values of a key of the unit, in order."""
    return re.findall(rf"^{name}=(.*)$", unit, re.MULTILINE)


def systemCalls(groups: str) -> set[str]:
    """The names of calls in groups such as @system-service, and in those these are made of."""
    listed = subprocess.run(
        ["systemd-analyze", "syscall-filter", *groups.split()], check=True, capture_output=True, text=True
    ).stdout
    names = set(re.findall(r"^    ([a-z0-9_]+)$", listed, re.MULTILINE))
    for group in re.findall(r"^    (@[a-z-]+)$", listed, re.MULTILINE):
        names |= systemCalls(group)
    return names


def allowedCalls(unit: str) -> set[str]:
    """What the lines of SystemCallFilter leave."""
    allowed: set[str] = set()
    for line in settings(unit, "SystemCallFilter"):
        allowed = allowed - systemCalls(line[1:]) if line.startswith("~") else allowed | systemCalls(line)
    return allowed


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def confineFiles(unit: str, state: str, kept: list[str]) -> None:
    """A read-only root, homes and temporary folders that are empty but for what is kept."""
    mount("-t", "tmpfs", "none", "/mnt")
    folders = [state, *kept]
    for number, folder in enumerate(folders):
        os.mkdir(f"/mnt/{number}")
        mount("--bind", folder, f"/mnt/{number}")
    for folder in ("/home", "/root", "/tmp", "/var/tmp"):
        mount("-t", "tmpfs", "-o", "mode=755", "none", folder)
    for number, folder in enumerate(folders):
        os.makedirs(folder, exist_ok=True)
        mount("--bind", f"/mnt/{number}", folder)
    (others,) = settings(unit, "ProtectProc")
    mount("-t", "proc", "-o", f"hidepid={others}", "proc", "/proc")
    for folder in ("/", "/mnt", "/home", "/root", "/tmp", "/var/tmp", *kept):
        if folder != state:
            mount("-o", "remount,bind,ro", folder)


def confineProcess(unit: str, library: ctypes.CDLL) -> None:
    """Nobody, with nothing; the unit's limits."""
    (most,) = settings(unit, "LimitNOFILE")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = min(int(most), hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    (mask,) = settings(unit, "UMask")
    os.umask(int(mask, 8))
    for capability in range(64):
        library.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    if library.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")


def confineCalls(names: set[str], families: list[str]) -> None:
    """Any other system call, and a socket of any other family, fails with EPERM."""
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(SCMP_ACT_ERRNO | EPERM))
    for name in names - {"socket"}:
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:
            seccomp.seccomp_rule_add(context, SCMP_ACT_ALLOW, number, 0)
    number = seccomp.seccomp_syscall_resolve_name(b"socket")
    for family in families:
        compare = Compare(0, SCMP_CMP_EQ, int(getattr(socket, family)), 0)
        seccomp.seccomp_rule_add_array(context, SCMP_ACT_ALLOW, number, 1, ctypes.byref(compare))
    if seccomp.seccomp_load(context):
        raise OSError("the filter of system calls was not taken")


def main() -> None:
    unit, state, *rest = sys.argv[1:]
    split = rest.index("--")
    text = Path(unit).read_text()
    names = allowedCalls(text)
    (families,) = settings(text, "RestrictAddressFamilies")
    confineFiles(text, state, rest[:split])
    os.chdir(state)
    confineProcess(text, ctypes.CDLL(None, use_errno=True))
    confineCalls(names, families.split())
    os.execvp(rest[split + 1], rest[split + 1 :])


if __name__ == "__main__":
    main()
