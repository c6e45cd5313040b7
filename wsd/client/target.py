"""What a client connects to, and what its opening handshake says."""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from dataclasses import dataclass

from wsd.client.failures import ExitStatus, Unanswered
from wsd.client.proxy import Proxy
from wsd.client.trust import SYSTEM_TRUST, TrustedCertificates, addCertificate, addTrust, trustOf
from wsd.client.url import basic
from wsd.config.values import printable, token

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_OWN = frozenset(("connection", "content-length", "transfer-encoding", "upgrade"))
"""Header fields that the handshake needs as they are, or that have no meaning in it."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL as people write it, and how to connect to it. `headers` replace the handshake's own of the same name."""

    url: str
    subprotocols: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    trust: TrustedCertificates = SYSTEM_TRUST
    proxy: Proxy | None = None


def addTarget(parser: ArgumentParser) -> None:
    """Add the options of a connection: subprotocols, header fields, TLS, and a proxy."""
    parser.add_argument(
        "--subprotocol",
        action="append",
        default=[],
        type=_subprotocol,
        metavar="NAME",
        help="offer this subprotocol; repeatable, in order of preference",
    )
    parser.add_argument(
        "-H",
        "--header",
        action="append",
        default=[],
        type=_header,
        metavar="'NAME: VALUE'",
        help="send this header field; repeatable",
    )
    parser.add_argument("--origin", metavar="ORIGIN", help="send this Origin, as a page of https://example.com would")
    credentials = parser.add_mutually_exclusive_group()
    credentials.add_argument(
        "--basic", metavar="USER:PASSWORD", help="log in with a password; @FILE reads both from a file"
    )
    credentials.add_argument("--bearer", metavar="TOKEN", help="log in with a token; @FILE reads it from a file")
    addTrust(parser)
    addCertificate(parser)
    parser.add_argument(
        "--proxy", type=_proxy, metavar="URL", help="connect through this HTTP proxy: http://[USER:PASSWORD@]HOST:PORT"
    )


def targetOf(arguments: Namespace) -> Target:
    """Returns what these options say. Raises `Unanswered`."""
    headers = list(arguments.header)
    if arguments.origin is not None:
        headers.append(("Origin", arguments.origin))
    if arguments.basic is not None:
        name, colon, password = _secret("--basic", arguments.basic).partition(":")
        if not colon:
            raise Unanswered("--basic: write USER:PASSWORD, with a colon between them", ExitStatus.USAGE)
        headers.append(("Authorization", basic(name, password)))
    if arguments.bearer is not None:
        headers.append(("Authorization", f"Bearer {_secret('--bearer', arguments.bearer)}"))
    return Target(arguments.url, tuple(arguments.subprotocol), tuple(headers), trustOf(arguments), arguments.proxy)


def _secret(option: str, text: str) -> str:
    """The text or, after an @, that of a file: what is in a file cannot be seen in the list of processes."""
    if not text.startswith("@"):
        return text
    try:
        with open(text[1:], encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Unanswered(f"{option}: {text[1:]} cannot be read: {why}", ExitStatus.USAGE) from None


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not _NAME.fullmatch(name):
        raise ArgumentTypeError(f'"{printable(text)}" is not a header field; write NAME: VALUE')
    if not set(value).isdisjoint("\r\n\0"):
        raise ArgumentTypeError(f"the value of {name} contains a line break")
    if name.lower() == "sec-websocket-protocol":
        raise ArgumentTypeError("--subprotocol NAME offers a subprotocol")
    if name.lower() in _OWN or name.lower().startswith("sec-websocket-"):
        raise ArgumentTypeError(f"{name} is part of the handshake and cannot be changed")
    return name, value.strip()


def _subprotocol(text: str) -> str:
    try:
        return token(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _proxy(text: str) -> Proxy:
    try:
        return Proxy(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
