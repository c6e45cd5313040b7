"""The sentences of errors, read from the source: where one is made, and its text with `…` for each value in it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent

SHOWN = frozenset(
    (
        "CannotListen",
        "CannotStart",
        "Closed",
        "CommandError",
        "ConfigError",
        "DocumentFull",
        "HandshakeFailed",
        "JobTimedOut",
        "LoadError",
        "Malformed",
        "MalformedTlv",
        "NotListening",
        "NotTakenOver",
        "PoolFull",
        "Refused",
        "SystemExit",
        "TopicsError",
        "Unanswered",
        "UpgradeRefused",
        "VariableError",
    )
)
"""Exceptions whose sentence is shown as it is."""

CODED: Mapping[str, str] = {
    "TokenError": "the code bad_token or expired",
    "BlobError": "a code in wsd.protocols.blob.errors.CODES",
    "TopicError": "a code in wsd.protocols.topics.errors.CODES",
    "CanvasError": "a code in wsd.protocols.canvas.messages.CODES",
    "ProtocolError": "the class above these",
    "StreamError": "a condition of RFC 6120",
    "StanzaError": "a condition of RFC 6120",
    "SaslFailure": "a condition of RFC 6120",
    "XmppError": "the class above these",
    "Fault": "a fault of SOAP",
    "SecurityFault": "a fault of SOAP",
}
"""Exceptions that show a code, for which the table has a row, and a sentence that explains it."""

HIDDEN: Mapping[str, str] = {
    "AbortedByUserException": "raised by handlers",
    "Abort": "a handler has ended the connection itself",
    "BadOperationException": "raised to handlers, whose traceback is in the log",
    "ConnectionTerminatedException": "raised to handlers",
    "DispatchException": "raised to handlers",
    "DocumentBroken": "in the log with its traceback",
    "ExtensionParsingException": "raised to handlers",
    "FileFault": "a fault of the demonstration, in its contract",
    "HandshakeException": "raised by handlers",
    "HelloTooLong": "becomes HandshakeFailed",
    "InflateError": "becomes a close with 1007",
    "InflateLimitExceeded": "becomes a close with 1009",
    "InvalidFrameException": "raised to handlers",
    "InvalidText": "becomes a close with 1007",
    "InvalidUTF8Exception": "raised to handlers",
    "LinkLost": "becomes the code unavailable",
    "MalformedMessage": "shown behind its close code, 1007",
    "NoSuchUser": "a ConfigError with its own constructor",
    "NoThread": "becomes a refusal with 503",
    "NobodyListens": "a ConfigError with its own constructor",
    "ChannelBroken": "a fault between processes, in the log with its traceback",
    "PushFault": "a fault of the demonstration, in its contract",
    "Refusal": "what the server has told, with its code",
    "StoreError": "becomes a condition of XMPP",
    "TooManyValues": "becomes the code too_large",
    "SessionLost": "becomes a close of SOAP over .NET's binary encoding",
    "TooLarge": "becomes a refusal with 413, or a close with 1009",
    "Unreadable": "becomes a fault of SOAP",
    "Unsatisfiable": "becomes the code range",
    "Unwelcome": "an Unanswered with the server's own sentence",
    "UnsupportedFrameException": "raised to handlers",
    "VersionException": "raised by handlers",
    "_NoMaster": "tried again",
    "_ParserIsFull": "becomes a stream error",
    "WorkerEnded": "in the log; the worker is started again",
    "_HookFailed": "in the log as auth.hook, and a 503 with a sentence of its own",
}
"""All other exceptions of wsd, each with the reason why nobody sees its sentence."""

OF_VALUES = (
    "wsd/config/",
    "wsd/frames/__init__.py",
    "wsd/uses/options.py",
    "wsd/protocols/echo.py",
    "wsd/protocols/blob/options.py",
    "wsd/protocols/pywebsocket/options.py",
    "wsd/protocols/soap/options.py",
    "wsd/protocols/topics/options.py",
    "wsd/protocols/topics/rules.py",
    "wsd/auth/hashes.py",
    "wsd/auth/htpasswd.py",
    "wsd/auth/tokens.py",
    "wsd/protocols/topics/redis/address.py",
    "wsd/protocols/xmpp/options.py",
    "wsd/client/url.py",
    "wsd/client/proxy.py",
)
"""Where a ValueError becomes an error of the configuration or of a command."""


RETURNED = frozenset(
    (
        "wsd/config/code.py _noFile",
        "wsd/head.py _faultOfField",
        "wsd/head.py _faultOfLine",
        "wsd/listen/bind.py _notHere",
        "wsd/listen/bind.py _sentence",
        "wsd/protocols/canvas/messages.py tooLarge",
        "wsd/protocols/topics/redis/link.py fault",
    )
)
"""Functions that return a sentence, by their file and name."""


NO_ERRORS = ("omitted {count} lines ", "process … serves now: ")
"""How sentences begin that are shown as well, and tell of no error."""


class Sentence(NamedTuple):
    """A sentence in the source."""

    place: str
    """The file and the line."""
    text: str


def sentences() -> Iterator[Sentence]:
    """Every sentence that is shown."""
    for path in sorted(ROOT.glob("wsd/**/*.py")):
        name = str(path.relative_to(ROOT))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for value in _values(name, node):
                for text in _texts(value):
                    # A text without words around its values repeats another sentence; keys and names are one word.
                    isSentence = " " in text.strip("…: ;") and len(re.findall(r"\w+", text)) > 1
                    if isSentence and not text.startswith(NO_ERRORS):
                        yield Sentence(f"{name}:{value.lineno}", text)


def _values(name: str, node: ast.AST) -> Iterator[ast.expr]:
    """The expressions of a statement or call that give a sentence that is shown."""
    match node:
        case ast.Call(args=args, keywords=keywords) if _isShown(name, node):
            yield from args
            yield from (keyword.value for keyword in keywords)
        case ast.Assign(targets=[ast.Name(id="sentence")], value=value):
            yield value
        case ast.FunctionDef(name=function) if f"{name} {function}" in RETURNED:
            yield from (each.value for each in ast.walk(node) if isinstance(each, ast.Return) and each.value)
        case ast.ClassDef(bases=bases) if SHOWN & {_nameOf(base) for base in bases}:
            for each in ast.walk(node):
                if isinstance(each, ast.Call) and _nameOf(each.func) == "__init__":
                    yield from each.args


def _isShown(name: str, call: ast.Call) -> bool:
    function = _nameOf(call.func)
    if function == "ValueError":
        return name.startswith(OF_VALUES)
    # self.close(CloseCode.POLICY_VIOLATION, "a sentence"), at once or later, and the farewells of a shutdown.
    isClose = function == "close" and len(call.args) > 1
    isLater = function == "callLater" and len(call.args) > 2 and _nameOf(call.args[1]) == "close"
    return function in SHOWN or function in ("Farewell", "refuseUpgrade") or isClose or isLater


def _nameOf(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _texts(node: ast.expr) -> list[str]:
    """The texts that an expression may give, with `…` for what is not known here."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=values):
            return ["".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in values)]
        case ast.IfExp(body=body, orelse=other):
            return _texts(body) + _texts(other)
        case ast.Call(func=ast.Name(id="next"), args=[_, default]):
            return _texts(default)
        case ast.BinOp(left=left, right=right):
            return [a + b for a in _texts(left) or ["…"] for b in _texts(right) or ["…"]]
    return []


def exceptions() -> Iterator[tuple[str, str]]:
    """The place and the name of each class of wsd that is an exception, by its name or its bases."""
    known = {"Exception", "ValueError", "BaseException"}
    classes: dict[str, tuple[str, list[str]]] = {}
    for path in sorted(ROOT.glob("wsd/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                classes[node.name] = (f"{path.relative_to(ROOT)}:{node.lineno}", [_nameOf(base) for base in node.bases])
    while new := {name for name, (_, bases) in classes.items() if known & set(bases)} - known:
        known |= new
    for name, (place, _) in classes.items():
        if name in known:
            yield place, name


def conditions() -> Iterator[tuple[str, str]]:
    """The place and the condition of each error of XMPP that is raised: the first argument, where it is written out."""
    for path in sorted(ROOT.glob("wsd/protocols/xmpp/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and _nameOf(node.func) in ("StreamError", "StanzaError", "SaslFailure")
                and node.args
            ):
                for text in _texts(node.args[0]):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", text


def faults() -> Iterator[str]:
    """The codes of faults of SOAP."""
    for path in sorted(ROOT.glob("wsd/protocols/soap/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _nameOf(node.func) == "Fault":
                codes = [*node.args[1:2], *(keyword.value for keyword in node.keywords if keyword.arg == "code")]
                yield from (text for code in codes for text in _texts(code))
            if isinstance(node, ast.Call) and _nameOf(node.func) == "SecurityFault":
                yield from _texts(node.args[0])
