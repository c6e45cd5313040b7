"""
The protocols that a route can name: each has a name and a factory.

Each of wsd's own protocols is a module or a package here, with a line in the table below. Other packages add protocols
as entry points in the group "wsd.protocols". A route can also name Python code: "shout.py:ShoutFactory". A protocol is
imported when a route names it, so the libraries that it needs may be missing until then.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

from wsd.config import ConfigError
from wsd.config.code import load as loadCode
from wsd.config.values import nearest
from wsd.logs import describeError

if TYPE_CHECKING:
    from wsd.connection import Factory

GROUP = "wsd.protocols"
"""The group of entry points."""

_FACTORIES = {
    "echo": "wsd.protocols.echo:EchoFactory",
    "describe": "wsd.protocols.describe:DescribeFactory",
    "blob": "wsd.protocols.blob.protocol:BlobFactory",
    "topics": "wsd.protocols.topics.protocol:TopicsFactory",
    "canvas": "wsd.protocols.canvas.protocol:CanvasFactory",
    "xmpp": "wsd.protocols.xmpp.protocol:XmppFactory",
    "soap": "wsd.protocols.soap.protocol:SoapFactory",
    "yjs": "wsd.protocols.yjs.protocol:YjsFactory",
    "uses": "wsd.uses.protocol:UsesFactory",
    "pywebsocket": "wsd.protocols.pywebsocket.protocol:HandlerFactory",
}
"""The factories of wsd's own protocols, by the protocol's name."""


def known() -> dict[str, EntryPoint]:
    """Returns all protocols by name. If another package uses a name of wsd's own, wsd's own protocol wins."""
    others = {point.name: point for point in entry_points(group=GROUP)}
    return {**others, **_own()}


def _own() -> dict[str, EntryPoint]:
    return {name: EntryPoint(name, factory, GROUP) for name, factory in _FACTORIES.items()}


def load(name: str) -> type[Factory]:
    """
    Returns the factory of a protocol, by its name or by a reference to its code.

    Raises ConfigError if there is no such protocol or it cannot be imported. If the missing module is one of the
    protocol's own package, that package is broken, and ModuleNotFoundError is raised.
    """
    # Imported late: it imports Autobahn, which commands that load no protocol do without.
    from wsd.connection import factoryOf

    return factoryOf(loadCode(name) if ":" in name else _loadPoint(name), name)


def _loadPoint(name: str) -> Any:
    """What the entry point of a protocol names."""
    # Each installed package has a file of entry points. Reading all of them takes longer than loading a protocol.
    points = _own() if name in _FACTORIES else known()
    if name not in points:
        raise ConfigError(f'there is no protocol "{name}"; {nearest(name, points)}')
    point = points[name]
    try:
        return point.load()
    except ModuleNotFoundError as error:
        package = _topOf(point.module)
        if _topOf(error.name or "") == package:
            raise
        if _topOf(_importerOf(error)) != package:
            raise _cannotLoad(name, error) from error
        wanted = _distributionOf(point) or error.name
        raise ConfigError(
            f'the protocol "{name}" needs {error.name}, which is not installed; pip install "{wanted}"'
        ) from error
    except (Exception, SystemExit) as error:
        raise _cannotLoad(name, error) from error


def _cannotLoad(name: str, error: BaseException) -> ConfigError:
    return ConfigError(f'the protocol "{name}" cannot be loaded: {describeError(error)}')


def _topOf(module: str) -> str:
    """Returns the name of the top-level package of a module."""
    return module.partition(".")[0]


def _importerOf(error: ImportError) -> str:
    """Returns the name of the module whose import statement failed."""
    modules = [str(frame.f_globals.get("__name__", "")) for frame, _ in walk_tb(error.__traceback__)]
    return next((module for module in reversed(modules) if _topOf(module) != "importlib"), "")


def _distributionOf(point: EntryPoint) -> str:
    """Returns the distribution of a protocol, with the extras that the entry point names; "" if it is wsd's own."""
    if point.dist is None:
        return ""
    return f"{point.dist.name}[{','.join(point.extras)}]" if point.extras else point.dist.name


def optionsOf(name: str) -> type[Any]:
    """Returns the frozen dataclass of a protocol's configuration keys. Raises as `load` does."""
    return load(name).Options
