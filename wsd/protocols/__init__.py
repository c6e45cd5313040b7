"""
What answers at a path: the list of protocols, each a name and its factory.

A protocol lives in a module of its own here, and adds one line to the list; one of another package is an entry point in
the group "wsd.protocols" of that package. A module is imported when a route asks for it, so that the libraries it needs
may be missing until then.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from wsd.config import ConfigError
from wsd.config.values import nearest
from wsd.logs import describeError

if TYPE_CHECKING:
    from wsd.connection import Factory

GROUP = "wsd.protocols"

_TOOLS = {"blob": "wsd.protocols.blob.tool", "xmpp": "wsd.protocols.xmpp.tool"}
"""A protocol's name to the module of its tools."""

_FACTORIES = {
    "echo": "wsd.protocols.echo:EchoFactory",
    "describe": "wsd.protocols.describe:DescribeFactory",
    "blob": "wsd.protocols.blob.protocol:BlobFactory",
    "canvas": "wsd.protocols.canvas.protocol:CanvasFactory",
    "xmpp": "wsd.protocols.xmpp.protocol:XmppFactory",
    "soap": "wsd.protocols.soap.protocol:SoapFactory",
    "pywebsocket": "wsd.protocols.pywebsocket.protocol:HandlerFactory",
}
"""A protocol's name to its factory."""


def known() -> dict[str, EntryPoint]:
    """The protocols by name; of two with one name ours counts."""
    others = {point.name: point for point in entry_points(group=GROUP)}
    ours = {name: EntryPoint(name, factory, GROUP) for name, factory in _FACTORIES.items()}
    return {**others, **ours}


def load(name: str) -> type[Factory]:
    """The factory of the protocol of this name. Raises ConfigError: there is none, or a library it needs is missing."""
    points = known()
    if name not in points:
        raise ConfigError(f'there is no protocol "{name}"; {nearest(name, points)}')
    point = points[name]
    try:
        factory: type[Factory] = point.load()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == point.module.partition(".")[0]:
            raise
        package = point.dist.name if point.dist is not None else "wsd"
        extras = f"[{','.join(point.extras)}]" if point.extras else ""
        raise ConfigError(
            f'the protocol "{name}" needs {error.name}, which is not installed; pip install "{package}{extras}"'
        ) from error
    except (Exception, SystemExit) as error:
        raise ConfigError(f'the protocol "{name}" cannot be loaded: {describeError(error)}') from error
    return factory


def optionsOf(name: str) -> type[Any]:
    """The frozen dataclass of a protocol's own keys. Raises ConfigError as `load` does."""
    return load(name).Options


def tools(name: str) -> Mapping[str, Any]:
    """What a protocol of ours has for the command line: its `COMMANDS`, as `wsd.__main__` has them."""
    commands: Mapping[str, Any] = import_module(_TOOLS[name]).COMMANDS
    return commands
