"""
The tree of `wsd COMMAND`, in which each command registers itself.

A command's module has a function `addCommands(commands)`. It calls `commands.add` with the command's name, a sentence
about it and the function that runs it, and adds the arguments to the parser that this returns. A group, such as `wsd
blob`, may get its commands from several modules. `wsd.__main__` lists these functions.

The help, the shell completion and the manual page are all made from this tree.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from typing import Any


class CommandParser(ArgumentParser):
    """The parser of a command. It takes no abbreviations: one that works today would break with the next option."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)


class Commands:
    """The commands below a parser: below `wsd` itself, or below one of its groups."""

    def __init__(self, parser: ArgumentParser) -> None:
        self.parser = parser
        self._added: Any = parser.add_subparsers(
            parser_class=CommandParser,
            title="commands",
            metavar="COMMAND",
            required=True,
            description=f'"{parser.prog} COMMAND --help" describes one of them.',
        )
        self._commands: dict[str, ArgumentParser] = {}
        self._groups: dict[str, Commands] = {}

    def add(self, name: str, about: str, run: Callable[[Namespace], None], description: str = "") -> ArgumentParser:
        """
        Add a command, and return the parser for its arguments.

        `about` is one sentence for the list of commands; `description` follows it in the command's own help. `run` gets
        the arguments. It may raise SystemExit, and ConfigError for a mistake in a configuration.
        """
        parser = self._parser(name, about, f"{about} {description}".rstrip())
        parser.set_defaults(run=run)
        self._commands[name] = parser
        return parser

    def group(self, name: str, about: str = "") -> Commands:
        """The group of this name. The first module that asks for it adds it, with a sentence about it."""
        if name not in self._groups:
            self._groups[name] = Commands(self._parser(name, about, about))
        return self._groups[name]

    def _parser(self, name: str, about: str, description: str) -> ArgumentParser:
        parser: ArgumentParser = self._added.add_parser(name, help=about, description=description)
        return parser

    def parse(self, argv: Sequence[str]) -> Namespace:
        """The arguments of the command that `argv` names. Raises SystemExit: 0 for help, 2 for a wrong command line."""
        first, rest = argv[:1], argv[1:]
        if first and first[0] in self._groups:
            return self._groups[first[0]].parse(rest)
        if first and first[0] in self._commands:
            # Options may stand among the positional arguments, which argparse can do only without subparsers.
            return self._commands[first[0]].parse_intermixed_args(rest)
        return self.parser.parse_args(argv or ["--help"])
