"""`wsd completion SHELL`, tried in each shell."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.commands import environment, wsd

WORDS = [
    ("wsd ", ["serve", "check", "config", "blob", "completion"]),
    ("wsd bl", ["blob"]),
    ("wsd blob ", ["put", "get", "ls", "rm", "verify"]),
    ("wsd serve --tls-", ["--tls-port", "--tls-cert", "--tls-key", "--tls-self-signed"]),
    ("wsd serve --config sho", ["shop.toml"]),
    ("wsd completion ", ["bash", "zsh", "fish"]),
]
"""What stands on the command line, and what the shell offers then, among others."""

BASH = """
eval "$(cat script)"
read -ra COMP_WORDS <<< "$1"
[[ $1 == *' ' ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_shtab_wsd
printf '%s\\n' "${COMPREPLY[@]}"
"""
FISH = """
source script
complete -C $argv[1]
"""
PROGRAMS = {"bash": ["bash", "-c", BASH, "bash"], "fish": ["fish", "--no-config", "-c", FISH]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("completion")
    (folder / "shop.toml").write_text("")
    return folder


@pytest.mark.parametrize("shell", PROGRAMS)
@pytest.mark.parametrize(("line", "offered"), WORDS)
def test_it_completes(folder: Path, shell: str, line: str, offered: list[str]) -> None:
    (folder / "script").write_text(wsd(folder, "completion", shell).stdout)
    done = subprocess.run(
        [*PROGRAMS[shell], line], cwd=folder, capture_output=True, text=True, env=environment(HOME=str(folder))
    )
    assert done.stderr == ""
    words = [each.split("\t")[0].strip() for each in done.stdout.splitlines()]
    assert [word for word in offered if word not in words] == []


def test_zsh_reads_its_script_as_a_function_for_wsd(folder: Path) -> None:
    (folder / "_wsd").write_text(wsd(folder, "completion", "zsh").stdout)
    program = "fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D; print $_comps[wsd]; autoload +X -Uz _wsd"
    done = subprocess.run(
        ["zsh", "-f", "-c", program], cwd=folder, capture_output=True, text=True, env=environment(HOME=str(folder))
    )
    assert (done.stdout, done.stderr) == ("_wsd\n", "")
    assert "--tls-self-signed" in (folder / "_wsd").read_text()


def test_another_shell_is_told_with_those_that_work(tmp_path: Path) -> None:
    done = wsd(tmp_path, "completion", "ksh")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'bash', 'zsh', 'fish'" in done.stderr
