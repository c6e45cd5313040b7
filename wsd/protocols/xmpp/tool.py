"""`wsd xmpp`: adds, changes, removes and lists the users of XMPP routes, whether the daemon runs or not."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from getpass import getpass
from pathlib import Path
from sqlite3 import SQLITE_CORRUPT, SQLITE_NOTADB, Error

from wsd.commands import Commands
from wsd.config import Config, ConfigError
from wsd.config.files import readFile
from wsd.config.state import foundFolder, whoMay
from wsd.protocols import optionsOf
from wsd.protocols.xmpp import credentials
from wsd.protocols.xmpp.jid import parseJid
from wsd.protocols.xmpp.options import STORE_NAME, XmppOptions
from wsd.protocols.xmpp.rosteritem import ROSTER, RosterItem, afterInbound
from wsd.protocols.xmpp.sqlite import SqliteStore
from wsd.protocols.xmpp.stanza import isText
from wsd.protocols.xmpp.store import StoreError


def _foundStore(options: XmppOptions) -> Path:
    """The file of a route's store, for a tool beside the daemon. Raises ConfigError."""
    return Path(options.store or foundFolder(os.environ, STORE_NAME) / STORE_NAME)


def _addConfigOption(parser: ArgumentParser) -> None:
    parser.add_argument("--config", "-c", metavar="FILE", help="the configuration file of the daemon, if it has one")


def _addUserArgument(parser: ArgumentParser) -> None:
    _addConfigOption(parser)
    parser.add_argument(
        "user", metavar="USER@DOMAIN", help="the user's address; a password is read from standard input"
    )


def _userCommand(work: Callable[[SqliteStore, str], None], done: str) -> Callable[[Namespace], None]:
    """A command that does `work` for one user, and prints what was done in which file. It raises ConfigError."""

    def run(arguments: Namespace) -> None:
        user, path = _findUser(_configOf(arguments), arguments.user)
        with _openStore(path) as store:
            work(store, user)
        print(f"{user}: {done} in {path}")

    return run


@contextmanager
def _openStore(path: Path) -> Iterator[SqliteStore]:
    """Open a store, and close it at the end. Raises ConfigError if it cannot be used."""
    try:
        with closing(SqliteStore(path)) as store:
            yield store
    except (Error, OSError, StoreError) as error:
        raise _refusal(path, error) from None


def _refusal(path: Path, error: Exception) -> ConfigError:
    isDamaged = getattr(error.__cause__ or error, "sqlite_errorcode", None) in (SQLITE_CORRUPT, SQLITE_NOTADB)
    remedy = "replace it with a good copy" if isDamaged else f"run this as {whoMay(path)}"
    return ConfigError(f"xmpp: {path}: the store cannot be used: {error}; {remedy}")


def _configOf(arguments: Namespace) -> Config:
    """The configuration of the daemon, by --config or $WSD_CONFIG, and by the other variables."""
    path = arguments.config or os.environ.get("WSD_CONFIG") or None
    return readFile(path, optionsOf, environ=os.environ)


def _routes(config: Config) -> list[XmppOptions]:
    """The options of the routes that serve users. Gateways do not; routes without options share one server."""
    given = [options for route in config.routes.values() for options in route.options.values()]
    routes = [options for options in given if isinstance(options, XmppOptions)]
    own = [options for options in routes if options.isOwn]
    return [options for options in own or routes[:1] if options.upstream is None]


def _findUser(config: Config, text: str) -> tuple[str, Path]:
    """A user's address, prepared, and the file of its store. Raises ConfigError."""
    try:
        jid = parseJid(text)
    except ValueError as error:
        raise ConfigError(f"xmpp: {error}") from None
    if not jid.local or jid.resource:
        raise ConfigError(f'xmpp: "{text}" is not a user; write one such as alice@localhost')
    routes = _routes(config)
    for options in routes:
        if jid.domain in options.domains:
            return jid.bare, _foundStore(options)
    domains = sorted({domain for options in routes for domain in options.domains})
    raise ConfigError(f"xmpp: {jid.domain} is not served by any route; the domains are {', '.join(domains) or 'none'}")


def _password() -> str:
    """The password: from standard input without the newline at its end, or asked for at a terminal."""
    if sys.stdin.isatty():
        return getpass("password: ")
    try:
        return sys.stdin.buffer.read().decode().removesuffix("\n")
    except UnicodeDecodeError:
        raise ConfigError("xmpp: the password on standard input is not UTF-8") from None


def _keys() -> str:
    """The keys of the password, as they are stored. Raises ConfigError."""
    if not credentials.hasScram():
        raise ConfigError("xmpp: passwords need scramp, which is not installed; pip install scramp")
    password = _password()
    if not password:
        raise ConfigError("xmpp: there is no password; write it to standard input")
    try:
        return credentials.derive(password)
    except ValueError as error:
        raise ConfigError(f"xmpp: {error}") from None


def _add(store: SqliteStore, user: str) -> None:
    kept = _keys()
    with store.transaction():
        isNew = credentials.add(store, user, kept)
    if not isNew:
        raise ConfigError(f"xmpp: {user} already exists; change the password with wsd xmpp passwd")


def _change(store: SqliteStore, user: str) -> None:
    kept = _keys()
    with store.transaction():
        isThere = credentials.change(store, user, kept)
    if not isThere:
        raise NoSuchUser(user)


def _remove(store: SqliteStore, user: str) -> None:
    with store.transaction():
        if not credentials.has(store, user):
            raise NoSuchUser(user)
        # Contacts forget the user, so that they do not trust whoever gets the name next.
        for contact in filter(isText, store.load(ROSTER, user)):
            kept = store.load(ROSTER, contact).get(user)
            if kept is not None:
                store.put(ROSTER, contact, user, _without(user, kept))
        store.forget(user)


def _without(user: str, kept: str) -> str | None:
    """A contact's row after the user was removed; None if the row cannot be read."""
    try:
        item = RosterItem.read(user, kept)
    except (ValueError, TypeError, RecursionError):
        return None
    for change in ("unsubscribe", "unsubscribed"):
        item, _ = afterInbound(item, change, "")
    return item.write()


def _list(arguments: Namespace) -> None:
    for path in sorted({_foundStore(options) for options in _routes(_configOf(arguments))}):
        if not _exists(path):
            continue
        with _openStore(path) as store:
            for user in sorted(store.owners(credentials.USER)):
                print(user)


def _exists(path: Path) -> bool:
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _refusal(path, error) from None
    return True


class NoSuchUser(ConfigError):
    """The user does not exist."""

    def __init__(self, user: str) -> None:
        super().__init__(f"xmpp: {user} does not exist; wsd xmpp list shows the users")


def addCommands(commands: Commands) -> None:
    """Add `wsd xmpp`."""
    group = commands.group("xmpp", "Add, change, remove and list XMPP users.")
    for name, about, run in (
        ("adduser", "Add a user, with the password from standard input.", _userCommand(_add, "added")),
        ("passwd", "Change a user's password to the one from standard input.", _userCommand(_change, "changed")),
        ("deluser", "Remove a user and everything stored for the user.", _userCommand(_remove, "removed")),
    ):
        _addUserArgument(group.add(name, about, run))
    _addConfigOption(group.add("list", "List the users.", _list))
