"""
Writes the manual pages: man/wsd.1 from the tree of commands, as `--help` is, and man/wsd.toml.5 from conf/wsd.toml.

`make man` runs it. The pages are part of the tree, so that building a wheel needs nothing that wsd imports.
"""

from __future__ import annotations

import re
import sys
from argparse import Action
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from wsd import __version__
from wsd.__main__ import commandsOf
from wsd.commands import CommandParser
from wsd.config import defaultText

FOLDER = Path(__file__).parent.parent / "man"

_INTRODUCTION = """\
.SH NAME
wsd \\- WebSocket daemon, and tools for WebSockets
.SH SYNOPSIS
.B wsd
.I COMMAND
[\\fIARGUMENT\\fR ...]
.br
.B twistd
[\\fB\\-n\\fR] \\fBwsd\\fR [\\fIOPTION\\fR ...]
.SH DESCRIPTION
.B wsd serve
runs a WebSocket daemon in the foreground.
.B twistd wsd
runs it in the background, with the same options.
The other commands are tools.
.PP
Without options, the daemon serves http://localhost:9998/ and ws://localhost:9998/echo to this machine only.
"""

_END = """\
.SH ENVIRONMENT
.TP
.B STATE_DIRECTORY
The state folder. Without it, wsd uses the folder wsd in \\fBXDG_STATE_HOME\\fR, or else ~/.local/state/wsd.
.TP
.B NO_COLOR
If it is set and not empty, the log on a terminal has no colours.
.SH EXIT STATUS
0 on success, 1 after an error, and 2 if the command line is wrong. An error is one line on standard error.
.SH EXAMPLES
Serve on another port, and check a configuration first:
.PP
.EX
wsd check wsd.toml
wsd serve \\-\\-config wsd.toml \\-\\-port 8080
.EE
.SH SEE ALSO
.BR wsd.toml (5),
.BR twistd (1)
"""


def commandsPage() -> str:
    """wsd(1)."""
    sections = "".join(_section(parser) for parser in commandsOf().parsers())
    return f"{_heading('WSD', 1, 'User Commands')}{_INTRODUCTION}.SH COMMANDS\n{sections}{_END}"


def _heading(name: str, section: int, title: str) -> str:
    return f'.\\" Made by tools/manual.py.\n.TH {name} {section} "" "wsd {__version__}" "{title}"\n'


def _section(parser: CommandParser) -> str:
    """The part of one command: its arguments, what it does, and each argument."""
    actions = [action for action in parser.arguments if action.dest != "help"]
    positional = " ".join(_positional(each) for each in actions if not each.option_strings)
    options = "[\\fIOPTION\\fR ...] " if any(each.option_strings for each in actions) else ""
    items = "".join(f".TP\n{_flags(action)}\n{_text(_help(parser, action))}\n" for action in actions)
    return f".SS {parser.prog} {options}{positional}".rstrip() + f"\n{_text(parser.description or '')}\n{items}"


def _positional(action: Action) -> str:
    """A positional argument, in brackets if it is optional, and with dots if there may be several."""
    name = f"\\fI{_roff(_name(action))}\\fR"
    return {"?": f"[{name}]", "*": f"[{name} ...]", "+": f"{name} ..."}.get(str(action.nargs), name)


def _name(action: Action) -> str:
    return str(action.metavar or action.dest)


def _flags(action: Action) -> str:
    if not action.option_strings:
        return f"\\fI{_roff(_name(action))}\\fR"
    value = "" if action.nargs == 0 else f" \\fI{_roff(_name(action))}\\fR"
    return ", ".join(f"\\fB{_roff(flag)}\\fR" for flag in action.option_strings) + value


def _help(parser: CommandParser, action: Action) -> str:
    text = action.help or ""
    return text % {**vars(action), "prog": parser.prog} if "%" in text else text


# -- wsd.toml(5) ------------------------------------------------------------------------------------------------------


def filePage() -> str:
    """wsd.toml(5)."""
    introduction, *sections = re.split(r"^# -- (.+?) -+\n", defaultText(), flags=re.MULTILINE)
    text = "\n".join(_paragraphs(introduction.splitlines())).removeprefix(".PP\n")
    parts = [_heading("WSD.TOML", 5, "File Formats"), ".SH NAME\nwsd.toml \\- configuration file of wsd\n"]
    parts.append(f".SH DESCRIPTION\n{text}\n")
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        content = "\n".join(_paragraphs(body.splitlines())).removeprefix(".PP\n")
        parts.append(f".SH {title.upper()}\n{content}\n")
    parts.append(".SH SEE ALSO\n.BR wsd (1)\n")
    return "".join(parts)


def _paragraphs(lines: list[str]) -> Iterator[str]:
    """The paragraphs of a part of the file: the text and the lists of comments, and keys as they stand."""
    for kind, part in groupby(lines, _kindOf):
        if kind == "text":
            yield f".PP\n{_text(' '.join(line[2:] for line in part))}"
        elif kind == "list":
            yield from _items(line.removeprefix("#").strip() for line in part)
        elif kind == "verbatim":
            yield "\n".join((".PP", ".EX", *(_roff(line) for line in part), ".EE"))


def _kindOf(line: str) -> str:
    """What a line is: "text" of a comment, "list" if the comment indents it, "verbatim" for keys, or "empty"."""
    if not line.strip("# "):
        return "empty"
    if line.startswith("#   "):
        return "list"
    return "verbatim" if not line.startswith("# ") or re.match(r"# (\[|[a-z_]+ = )", line) else "text"


def _items(lines: Iterable[str]) -> Iterator[str]:
    """A list in a comment: a term, two or more spaces, and its text, which later lines may continue."""
    for line in lines:
        item = re.fullmatch(r"(\S+(?: \S+)*) {2,}(.+)", line)
        if item is None:
            yield _text(line)
        else:
            yield f".TP\n\\fB{_roff(item[1])}\\fR\n{_text(item[2])}"


# -- roff -------------------------------------------------------------------------------------------------------------


def _text(text: str) -> str:
    """A paragraph: a sentence a line, so that roff sets the space between them."""
    return "\n".join(_roff(sentence) for sentence in re.split(r"(?<=[.;]) (?=[A-Z])", " ".join(text.split())))


def _roff(text: str) -> str:
    """Text that roff sets as it is."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


PAGES = {"wsd.1": commandsPage, "wsd.toml.5": filePage}
"""Each page by the name of its file."""

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
    print(f"written: {', '.join(PAGES)}", file=sys.stderr)
