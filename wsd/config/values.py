"""
Reads single values of TOML for the fields of dataclasses. Each error is a sentence that says what would be right.

The annotation of a field is `bool`, `int`, `float`, `str` or `tuple[str, ...]`, with `| None` if it may be left out.
Its metadata may have `size` (a number of bytes, which may be written "1 MiB"), `unit` (what a number counts), `least`,
`most`, `auto` (a function that returns the number for "auto"), `choices`, `path` (a file, relative to the folder of the
configuration file), `code` (Python code, with an example of a reference to it), `each` (a function that parses a
string, and raises ValueError with a sentence), `eachIn` (one that takes the folder as well) and `codeIn` (a function
that returns the references to code in a value).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from ipaddress import IPv6Address, ip_network
from math import isfinite
from os.path import abspath, isfile, join
from typing import Any
from unicodedata import normalize

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

_UNITS = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "kib": KIB, "mib": MIB, "gib": GIB}
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([a-z]*)", re.IGNORECASE | re.ASCII)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*://)(\[[0-9a-f:.]+\]|[^][*:/?#@\s]*)(:[0-9]{1,5})?/?")
_WEB = ("http://", "https://", "ws://", "wss://")
_ENDPOINT = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*:.", re.ASCII)
_HOST = re.compile(r"\[[0-9a-f:.]+\]|(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?", re.ASCII)
_MODULE = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_REFERENCE = re.compile(r"(.+?)(?::([^\W\d]\w*))?", re.DOTALL)


def printable(text: str) -> str:
    """Untrusted text for a terminal: on one line, with escapes for unprintable characters."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown word: 'did you mean "x"?', or a list of the known words."""
    names = sorted(known)
    close = get_close_matches(word, names, 1)
    if close:
        return f'did you mean "{close[0]}"?'
    return "known are " + ", ".join(f'"{name}"' for name in names)


def show(value: object) -> str:
    """A value as TOML writes it, truncated if it is long."""
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, str):
        text = f'"{value}"'
    elif isinstance(value, dict):
        text = "a table"
    else:
        text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."


# -- single strings ---------------------------------------------------------------------------------------------------


def token(text: str) -> str:
    """The name of a subprotocol (RFC 6455 4.1: a token of RFC 9110 5.6.2)."""
    if not _TOKEN.fullmatch(text):
        raise ValueError(f"{show(text)} is not the name of a subprotocol; write letters, digits, and !#$%&'*+-.^_`|~")
    return text


def origin(text: str) -> str:
    """An origin (RFC 6454), also one without a host ("file://"), or "same-host", "null", "*"."""
    lower = text.lower()
    if lower in ("same-host", "null", "*"):
        return lower
    match = _ORIGIN.fullmatch(lower)
    if match is not None:
        scheme, host, port = match[1], asciiName(match[2]), match[3] or ""
        if _HOST.fullmatch(host) or (not host and not port and scheme not in _WEB):
            return scheme + host + port
    raise ValueError(
        f'{show(text)} is not an origin; write one as "https://example.com" or "http://localhost:8000" (no path), '
        'or "same-host", "null", "*"'
    )


def network(text: str) -> str:
    """An address or a network in CIDR form."""
    try:
        return str(ip_network(text)) if "/" in text else str(ip_network(text).network_address)
    except ValueError as error:
        raise ValueError(
            f'{show(text)} is not an address or network ({error}); write "192.0.2.7", "10.0.0.0/8" or "2001:db8::/32"'
        ) from None


def proxy(text: str) -> str:
    """An address or network, or "unix" for every client of a unix socket."""
    return text if text == "unix" else network(text)


def hostName(text: str) -> str:
    """A host as in a Host header, without a port; "*.NAME" for every name under NAME, "*" for any host."""
    if text == "*":
        return text
    name = asciiName(text)
    if _HOST.fullmatch(name):
        return canonicalHost(name)
    raise ValueError(
        f'{show(text)} is not a host name; write "localhost", "127.0.0.1" or "[::1]", without a port, "*.example.com" '
        'for all names under a domain, or "*" for any'
    )


def asciiName(name: str) -> str:
    """A host name as requests have it: in lower case, with international labels in ASCII (RFC 5891)."""
    labels = normalize("NFKC", name).lower().split(".")
    return ".".join(label if label.isascii() else f"xn--{label.encode('punycode').decode()}" for label in labels)


@lru_cache(64)
def canonicalHost(name: str) -> str:
    """
    A host without its port in canonical form: in lower case, without a final dot.

    An IPv6 address is in brackets and in its shortest form (RFC 5952); an IPv4-mapped one becomes an IPv4 address.
    """
    name = name.lower().removesuffix(".")
    if not name.startswith("["):
        return name
    try:
        address = IPv6Address(name[1:].removesuffix("]"))
    except ValueError:
        return name
    return str(address.ipv4_mapped or f"[{address}]")


def endpoint(text: str) -> str:
    """A Twisted endpoint string. Only its form is checked; other errors show when it is bound."""
    if not _ENDPOINT.match(text):
        raise ValueError(f'{show(text)} is not an endpoint; write one such as "tcp:8080" or "unix:/run/wsd/wsd.sock"')
    return text


# -- references to Python code ----------------------------------------------------------------------------------------


def splitReference(text: str) -> tuple[str, str | None]:
    """The file or module of a reference, and the name in it; None if there is no name."""
    match = _REFERENCE.fullmatch(text)
    return (match[1], match[2]) if match is not None else (text, None)


def reference(text: str, folder: str, example: str = "shout.py:ShoutFactory") -> str:
    """
    A reference to Python code: "file.py:Name", or "package.module:Name"; the path of a file becomes absolute.

    The file, or the module, is looked for in `folder`. A module that is not there stays as it is: it may be installed.
    """
    place, name = splitReference(text)
    colon = "" if name is None else f":{name}"
    if place.endswith(".py"):
        return f"{abspath(join(folder, place))}{colon}"
    if not _MODULE.fullmatch(place):
        module = example.replace(".py:", ":")
        raise ValueError(f'{show(text)} does not name Python code; write "{example}", or "{module}"')
    stem = abspath(join(folder, *place.split(".")))
    for file in (f"{stem}.py", f"{stem}/__init__.py"):
        if isfile(file):
            return f"{file}{colon}"
    return text


# -- values ------------------------------------------------------------------------------------------------


def sizeOf(value: object) -> int:
    """A size in bytes, from a whole number or "1 MiB". Raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip())
        if match is not None and match[2].lower() in _UNITS:
            return int(float(match[1]) * _UNITS[match[2].lower()])
    raise ValueError(f'{show(value)} is not a size; write bytes or "1 MiB"')


def _number(value: object, kind: type, unit: str | None) -> int | float:
    of = f" of {unit}" if unit else ""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        if unit == "port":
            raise ValueError(f"{show(value)} is not a port; write a number from 0 to 65535")
        raise ValueError(f"{show(value)} is not a number{of}; write {'10 or 0.5' if kind is float else '10'}")
    if kind is int and isinstance(value, float):
        raise ValueError(f"{show(value)} is not a whole number{of}; write {round(value)}")
    return kind(value)  # type: ignore[no-any-return]


def _bounded(value: float, metadata: Mapping[str, Any]) -> int | float:
    least, most = metadata.get("least", 0), metadata.get("most")
    if value < least:
        raise ValueError(f"{value} is too small; the minimum is {least}")
    if most is not None and value > most:
        raise ValueError(f"{value} is too large; the maximum is {most}")
    return value


def _string(value: object, metadata: Mapping[str, Any], folder: str) -> str:
    if type(value) is int and str(value) in metadata.get("choices", ()):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(f'{show(value)} is not a string; write it in quotes: "{value}"')
    choices = metadata.get("choices")
    if choices is not None and value not in choices:
        raise ValueError(f"{show(value)} is not one of " + ", ".join(f'"{choice}"' for choice in choices))
    if "\0" in value or (not value and (choices is None or metadata.get("path"))):
        raise ValueError(f"{show(value)} is empty or contains a NUL character; omit the key instead")
    if metadata.get("path"):
        return join(folder, value)
    if metadata.get("code"):
        return reference(value, folder, metadata["code"])
    if metadata.get("eachIn"):
        return str(metadata["eachIn"](value, folder))
    each = metadata.get("each")
    return value if each is None else str(each(value))


def _strings(value: object, metadata: Mapping[str, Any], folder: str) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, (list, tuple)):
        raise ValueError(f'{show(value)} is not a list; write ["...", "..."]')
    strings = tuple(_string(item, metadata, folder) for item in value)
    for number, text in enumerate(strings):
        if text in strings[:number]:
            raise ValueError(f"{show(text)} is listed twice; remove one")
    return strings


def readValue(kind: object, metadata: Mapping[str, Any], value: object, folder: str = "") -> Any:
    """One value for a field of this annotation and metadata. Raises ValueError with a sentence."""
    name = str(getattr(kind, "__name__", kind) if isinstance(kind, type) else kind).removesuffix(" | None")
    if value == "auto" and "auto" in metadata:
        return metadata["auto"]()
    if metadata.get("size"):
        return _bounded(sizeOf(value), metadata)
    if name.startswith("tuple"):
        return _strings(value, metadata, folder)
    if name == "bool":
        if not isinstance(value, bool):
            raise ValueError(f"{show(value)} is not true or false; write one of them, without quotes")
        return value
    if name in ("int", "float"):
        number = int if name == "int" else float
        return _bounded(_number(value, number, metadata.get("unit")), metadata)
    return _string(value, metadata, folder)
