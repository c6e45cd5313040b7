"""`wsd serve`: the daemon in the foreground, with the options of `twistd wsd`."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import Collection, Iterator
from typing import Any

from wsd.commands import Commands
from wsd.tap.foreground import runForeground
from wsd.tap.options import Options

_METAVARS = {
    "port": "PORT",
    "tls-port": "PORT",
    "tls-cert": "FILE",
    "tls-key": "FILE",
    "config": "FILE",
    "handlers": "FOLDER",
    "log-format": "FORMAT",
    "log-level": "LEVEL",
    "workers": "NUMBER",
    "host": "ADDRESS",
    "listen": "ENDPOINT",
}
"""What the values of the options are called. Completion offers files for FILE, and folders for FOLDER."""


def addCommands(commands: Commands) -> None:
    """Add `wsd serve`."""
    addOptions(
        commands.add(
            "serve",
            "Run the daemon in the foreground.",
            run,
            "Without options, it serves http://localhost:9998/ and ws://localhost:9998/echo to this machine only. "
            "It is the same daemon as twistd -n wsd, and writes nothing to the current folder.",
        )
    )


def addOptions(parser: ArgumentParser) -> None:
    """Add the options of the daemon, which are declared in `Options` in the form that twistd needs."""
    values: Any = [(name, short, about, "store") for name, short, _, about in Options.optParameters]
    flags = [(name, short, about, "store_true") for name, short, about in Options.optFlags]
    for name, short, about, action in [*values, *_repeatable(), *flags]:
        _addOption(parser, name, short, about, action)


def _addOption(parser: ArgumentParser, name: str, short: str | None, about: str, action: str) -> None:
    metavar: Any = {} if action == "store_true" else {"metavar": _METAVARS.get(name, name.upper())}
    flags = [f"-{short}", f"--{name}"] if short else [f"--{name}"]
    about = " ".join(about.split()).replace("%", "%%")
    parser.add_argument(*flags, dest=name, action=action, default=SUPPRESS, help=about, **metavar)


def _repeatable() -> Iterator[tuple[str, str | None, str, str]]:
    """The options that `Options` has as methods: long name, letter, help and action of each."""
    methods = {name.removeprefix("opt_"): each for name, each in vars(Options).items() if name.startswith("opt_")}
    for name, method in methods.items():
        if len(name) > 1 and name != "version":
            letter = next((other for other, each in methods.items() if each is method and len(other) == 1), None)
            yield name.replace("_", "-"), letter, method.__doc__, "append"


def run(arguments: Namespace) -> None:
    """Serve until a signal ends it. Raises SystemExit with one line for an error."""
    options = Options()
    options.parseOptions(list(argumentsOf(arguments)))
    runForeground(options)


def argumentsOf(arguments: Namespace, others: Collection[str] = ()) -> Iterator[str]:
    """The parsed arguments as a command line for `Options`, without those that it does not have."""
    for name, value in vars(arguments).items():
        if name == "run" or name in others:
            continue
        if value is True:
            yield f"--{name}"
        else:
            yield from (f"--{name}={each}" for each in (value if isinstance(value, list) else [value]))
