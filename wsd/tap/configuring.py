"""`wsd config`: prints the default configuration, the variables of the environment, or what is in force."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping

from wsd.commands import Commands
from wsd.config import ConfigError, defaultText
from wsd.config.effective import HIDDEN, effective
from wsd.config.files import environmentOf
from wsd.config.sources import ValueSource
from wsd.config.variables import Key, written
from wsd.protocols import optionsOf
from wsd.tap.options import Options, exitWith
from wsd.tap.serve import addOptions, argumentsOf

_ABOUT = (
    "With --effective, it prints the configuration that wsd serve would use with the same options and environment, and "
    "where each value came from. With --env, it prints the variables that set keys."
)
_FORMS = ("env", "effective")


def addCommands(commands: Commands) -> None:
    """Add `wsd config`."""
    parser = commands.add("config", "Print a configuration file with every key and its default.", run, _ABOUT)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--env", action="store_true", help="print the environment variables for all keys instead")
    form.add_argument("--effective", action="store_true", help="print what is in force, and where each value came from")
    addOptions(parser)


def run(arguments: Namespace) -> None:
    """Print one of the three. Raises SystemExit with one line for an error."""
    given = list(argumentsOf(arguments, _FORMS))
    if arguments.effective:
        print("\n".join(_effective(given)))
    elif arguments.env:
        options = _options(given)
        print("\n".join(_variables(options["config"], options.environ)))
    elif given:
        raise exitWith("options need --effective; without it, the output is always the same")
    else:
        sys.stdout.write(defaultText())


def _options(given: list[str]) -> Options:
    options = Options()
    options.parseOptions([each for each in given if each != "--check"])
    return options


def _effective(given: list[str]) -> Iterator[str]:
    options = _options(given)
    sources: dict[str, ValueSource] = {}
    config = options.reread(sources)
    file = options["config"]

    def describe(key: str, source: ValueSource | None) -> str:
        if source is None:
            return "default"
        if source.kind == "option":
            return options.optionOf(key) or "the command line"
        return {"file": str(file), "variable": source.name}.get(source.kind, "built-in route")

    return effective(config, sources, describe)


def _variables(path: str | None, environ: Mapping[str, str]) -> Iterator[str]:
    """The lines of an environment file: every variable, commented out unless it is set."""
    environment = environmentOf(path, optionsOf, environ)
    try:
        hidden = {setting.source for setting in environment.settings() if setting.isHidden}
    except ConfigError as error:
        raise exitWith(str(error)) from None
    yield from _INTRODUCTION
    last: tuple[str, ...] | None = None
    for name, key in environment.keys().items():
        if key.path[:-1] != last:
            last = key.path[:-1]
            yield from ("", f"# {_tableOf(key)}")
        yield _variable(name, key, environ, hidden)


_INTRODUCTION = (
    "# The variables that set the keys of the configuration, with their defaults; a file for docker run --env-file, or",
    "# EnvironmentFile= of systemd. What is set now has no # before it. With _FILE behind its name, a variable has the",
    "# path of a file with the value. WSD_CONFIG names the configuration file, which the variables override.",
)


def _tableOf(key: Key) -> str:
    """The heading of a table."""
    place = key.path[:-1]
    return f'[route."{place[1]}"]' if place[:1] == ("route",) else f"[{'.'.join(place)}]" if place else "the daemon"


def _variable(name: str, key: Key, environ: Mapping[str, str], hidden: set[str]) -> str:
    for given in (name, f"{name}_FILE"):
        if environ.get(given):
            return f"{given}={HIDDEN if given == name and given in hidden else environ[given]}"
    default = key.path[1] if key.path[-1] == "path" and key.path[0] == "route" else written(key.default)
    return f"#{name}={default}"
