"""`wsd completion SHELL`: prints the script with which a shell completes `wsd`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from functools import partial

from wsd.commands import Commands

_SHELLS = ("bash", "zsh", "fish")

_HOW = """\
bash: add eval "$(wsd completion bash)" to ~/.bashrc. \
zsh: save the script as _wsd in a folder of $fpath. \
fish: save it as ~/.config/fish/completions/wsd.fish."""


def addCommands(commands: Commands, tree: Callable[[], Commands]) -> None:
    """Add `wsd completion`. `tree` returns the tree of all commands."""
    parser = commands.add("completion", "Print a completion script for a shell.", partial(_run, tree), _HOW)
    parser.add_argument("shell", metavar="SHELL", choices=_SHELLS, help="bash, zsh or fish")


def _run(tree: Callable[[], Commands], arguments: Namespace) -> None:
    import shtab

    commands = tree()
    kinds = {"FILE": shtab.FILE, "FOLDER": shtab.DIRECTORY}
    for action in (action for parser in commands.parsers() for action in parser.arguments):
        if action.metavar in kinds:
            action.complete = kinds[action.metavar]  # type: ignore[attr-defined]
    print(shtab.complete(commands.parser, arguments.shell))
