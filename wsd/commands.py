"""
The tree of `wsd COMMAND`, in which each command registers itself.

A command's module has a function `addCommands(commands)`. It calls `commands.add` with the command's name, a sentence
about it and the function that runs it, and adds the arguments to the parser that this returns. A group, such as `wsd
blob`, may get its commands from several modules. `wsd.__main__` lists these functions.

The help, the shell completion and the manual page are all made from this tree.
"""

from __future__ import annotations

from argparse import Action, ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from typing import Any


class CommandParser(ArgumentParser):
    """The parser of a command. It takes no abbreviations: one that works today would break with the next option."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)

    @property
    def arguments(self) -> list[Action]:
        """The options and positional arguments, in the order in which they were added."""
        return self._actions  # argparse has no public name for them.


class Commands:
    """The commands below a parser: below `wsd` itself, or below one of its groups."""

    def __init__(self, parser: CommandParser) -> None:
        self.parser = parser
        self._added: Any = parser.add_subparsers(
            parser_class=CommandParser,
            title="commands",
            metavar="COMMAND",
            required=True,
            description=f'"{parser.prog} COMMAND --help" describes a command.',
        )
        self._commands: dict[str, CommandParser | Commands] = {}

    def add(self, name: str, about: str, run: Callable[[Namespace], None], description: str = "") -> CommandParser:
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
        group = self._commands.get(name)
        if not isinstance(group, Commands):
            group = self._commands[name] = Commands(self._parser(name, about, about))
        return group

    def _parser(self, name: str, about: str, description: str) -> CommandParser:
        parser: CommandParser = self._added.add_parser(name, help=about, description=description)
        return parser

    def parsers(self) -> Iterator[CommandParser]:
        """The parsers of all commands, those in groups included, in the order in which they were added."""
        for each in self._commands.values():
            yield from each.parsers() if isinstance(each, Commands) else [each]

    def parse(self, argv: Sequence[str]) -> Namespace:
        """The arguments of the command that `argv` names. Raises SystemExit: 0 for help, 2 for a wrong command line."""
        named = self._commands.get(argv[0]) if argv else None
        if isinstance(named, Commands):
            return named.parse(argv[1:])
        if named is not None:
            # Options may stand among the positional arguments, which argparse can do only without subparsers.
            return named.parse_intermixed_args(argv[1:])
        return self.parser.parse_args(argv or ["--help"])
