"""
What wsd uses of Autobahn, Twisted and the standard library that is not their public interface, found by reading wsd.

Each name stands in `USED` with its reason, so that a new one is a decision. A test for each shows which one a new
release has taken away or changed; those of behaviour follow at the end.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import socket
import threading
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from pkgutil import walk_packages
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from autobahn.twisted.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from autobahn.websocket import interfaces
from autobahn.websocket.protocol import FrameHeader, TrafficStats
from autobahn.websocket.protocol import WebSocketClientProtocol as AutobahnClient
from autobahn.websocket.protocol import WebSocketProtocol as AutobahnProtocol
from autobahn.websocket.protocol import WebSocketServerProtocol as AutobahnServer
from autobahn.websocket.utf8validator import Utf8Validator
from autobahn.websocket.xormasker import XorMaskerNull, create_xor_masker  # type: ignore[attr-defined]
from twisted.internet import abstract, tcp, unix
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from twisted.web import http
from twisted.web.twcgi import CGIProcessProtocol

import wsd

ROOT = Path(__file__).parent.parent

DULL = ("builtins", "typing", "abc", "enum", "zope", "collections", "dataclasses", "wsd")
"""Packages whose classes every class may be derived from."""

PUBLIC = ("autobahn.exception", "autobahn.twisted.websocket", "autobahn.websocket.compress", "autobahn.websocket.types")
"""Autobahn's modules from which its documentation imports."""

TOLD = frozenset(
    {name for each in vars(interfaces).values() if inspect.isclass(each) for name in vars(each)}
    | {"connectionMade", "dataReceived", "connectionLost", "factory", "transport", "log", "peer"}
)
"""What Autobahn documents of its protocols: its interfaces, and Twisted's."""


class Use(NamedTuple):
    """A name that is relied on."""

    expected: str | type | tuple[type, ...]
    """The parameters of a function, or the type of a value in an object at work."""
    reason: str


_AUTOBAHN = "autobahn.websocket.protocol.WebSocketProtocol."
_CHANNEL = "twisted.web.http.HTTPChannel."
_NONE = type(None)

USED: dict[str, Use] = {
    # What Autobahn's reading calls, and we answer or call.
    _AUTOBAHN + "_fail_connection": Use(
        "code, reason", "every fault of the peer ends here: we close with its code where Autobahn would drop"
    ),
    _AUTOBAHN + "_perMessageCompress": Use(_NONE, "what was agreed on of RFC 7692: our own deflater is put here"),
    _AUTOBAHN + "_isMessageCompressed": Use(bool, "whether the pieces of a frame go through the deflater"),
    _AUTOBAHN + "processData": Use("", "one step of reading: none is taken while reading is held"),
    _AUTOBAHN + "consumeData": Use("", "the loop of steps: ours lets other connections have their turn"),
    _AUTOBAHN + "onFrameData": Use("payload", "pieces of a frame: the deflater is told which is the last"),
    _AUTOBAHN + "onFrameEnd": Use("", "the end of a frame: the message waits while reading is held"),
    _AUTOBAHN + "current_frame": Use((FrameHeader, _NONE), "the head of the frame being read; set to read on in it"),
    _AUTOBAHN + "current_frame_masker": Use(object, "knows how much of the frame has come; set to read on in it"),
    _AUTOBAHN + "message_data": Use(list, "the pieces of a message: small ones are joined as they come"),
    _AUTOBAHN + "message_data_total_length": Use(int, "what counts for the limit of a message, and for memory"),
    _AUTOBAHN + "message_is_binary": Use(bool, "whether a message is text"),
    _AUTOBAHN + "frame_data": Use((list, _NONE), "set to read on in a frame that a plane of ours has begun"),
    _AUTOBAHN + "inside_message": Use(bool, "whether its pieces count; set to read on in a message"),
    _AUTOBAHN + "utf8validateIncomingCurrentMessage": Use(bool, "set to False for the rest of a failed message"),
    _AUTOBAHN + "utf8validator": Use(Utf8Validator, "made for the first text message, not for each connection"),
    _AUTOBAHN + "data": Use(bytes, "what has come and is not read yet: Autobahn is handed the rest of a plane's here"),
    "autobahn.websocket.protocol.WebSocketServerProtocol.CONFIG_ATTRS": Use(
        list, "the options that are copied into each connection: ours has them in its class"
    ),
    # How far a connection is.
    _AUTOBAHN + "state": Use(int, "how far the connection is: a change is told to the plane"),
    _AUTOBAHN + "STATE_CONNECTING": Use(int, "a value of state"),
    _AUTOBAHN + "STATE_OPEN": Use(int, "a value of state, which the planes know as a number"),
    _AUTOBAHN + "STATE_CLOSING": Use(int, "a value of state"),
    _AUTOBAHN + "STATE_CLOSED": Use(int, "a value of state"),
    _AUTOBAHN + "sendCloseFrame": Use(
        "code, reasonUtf8, isReply", "all closes go through it, answers to the peer's too"
    ),
    _AUTOBAHN + "dropConnection": Use("abort", "all ends go through it"),
    _AUTOBAHN + "sendData": Use("data, sync, chopsize", "all that Autobahn writes goes through it, past its own queue"),
    _AUTOBAHN + "wasClean": Use(bool, "whether both have closed"),
    _AUTOBAHN + "closedByMe": Use(bool, "who closed first, for the cause of an end"),
    _AUTOBAHN + "failedByMe": Use(bool, "after a fault only the peer's close is read"),
    _AUTOBAHN + "localCloseCode": Use((int, _NONE), "what we closed with, for the log"),
    _AUTOBAHN + "localCloseReason": Use((bytes, str, _NONE), "kept as Autobahn keeps it, beside the code"),
    _AUTOBAHN + "remoteCloseCode": Use((int, _NONE), "what the peer closed with"),
    _AUTOBAHN + "remoteCloseReason": Use((str, _NONE), "why the peer says it closed"),
    # What Autobahn sets for each connection, and we set once for all of them.
    _AUTOBAHN + "autoPingPending": Use(_NONE, "set for the class, since our timer pings"),
    _AUTOBAHN + "autoPingTimeoutCall": Use(_NONE, "set for the class, since our timer pings"),
    _AUTOBAHN + "closeHandshakeTimeoutCall": Use(_NONE, "set for the class, since our timer waits for the close"),
    _AUTOBAHN + "droppedByMe": Use(bool, "set for the class, since we drop ourselves"),
    _AUTOBAHN + "send_queue": Use(object, "set for the class, since nothing is queued in Autobahn"),
    _AUTOBAHN + "send_state": Use(int, "set for the class, since we make frames ourselves"),
    _AUTOBAHN + "SEND_STATE_GROUND": Use(int, "the value of send_state"),
    _AUTOBAHN + "trackedTimings": Use(_NONE, "set for the class, since we measure nothing with it"),
    _AUTOBAHN + "trafficStats": Use(TrafficStats, "set for the class: Autobahn counts there what we count better"),
    _AUTOBAHN + "triggered": Use(bool, "set for the class, since nothing is queued in Autobahn"),
    _AUTOBAHN + "wasMaxFramePayloadSizeExceeded": Use(bool, "set for the class; Autobahn notes there that it failed"),
    _AUTOBAHN + "wasMaxMessagePayloadSizeExceeded": Use(bool, "set for the class; Autobahn notes there that it failed"),
    _AUTOBAHN + "wasNotCleanReason": Use((str, _NONE), "set for the class, since we have causes of our own"),
    "autobahn.websocket.protocol.WebSocketServerProtocol.websocket_version": Use(
        int, "set for the class: reading frames asks for it"
    ),
    "autobahn.websocket.protocol.FrameHeader": Use(
        "opcode, fin, rsv, length, mask", "made to read on in a frame that a plane of ours has begun"
    ),
    "autobahn.websocket.protocol.TrafficStats": Use("", "one that all connections share"),
    "autobahn.websocket.utf8validator.Utf8Validator": Use(object, "made for the first text message"),
    "autobahn.websocket.xormasker.XorMaskerNull": Use("mask", "stands for the mask of a frame that nobody looks at"),
    "autobahn.websocket.xormasker.create_xor_masker": Use(object, "takes the mask from a large payload, in C"),
    # What an author's class of Autobahn's calls, and we answer (wsd.connection.stock).
    _AUTOBAHN + "_connectionMade": Use("", "called by the public one, also if that is called by its full name"),
    _AUTOBAHN + "_connectionLost": Use("reason", "called by the public one, also if that is called by its full name"),
    _AUTOBAHN + "sendPreparedMessage": Use("preparedMsg", "sends what the factory has prepared, through ours"),
    # Autobahn's client, for the small tools.
    "autobahn.websocket.protocol.WebSocketClientProtocol.startHandshake": Use(
        "", "the request is ours: with any header fields, and Host without a default port"
    ),
    "autobahn.websocket.protocol.WebSocketClientProtocol.websocket_key": Use(bytes, "what the answer is checked with"),
    "autobahn.websocket.protocol.WebSocketClientProtocol.failHandshake": Use("reason", "what is told of a refusal"),
    "autobahn.websocket.protocol.WebSocketClientProtocol.http_request_data": Use(bytes, "what is shown of the request"),
    _AUTOBAHN + "onCloseFrame": Use("code, reasonRaw", "the server's close, also where it does not end the connection"),
    _AUTOBAHN + "processHandshake": Use("", "what is shown of the answer, to a client"),
    # Twisted's sockets.
    "twisted.internet.abstract.FileDescriptor._writeDisconnected": Use(bool, "that our half is closed"),
    "twisted.internet.abstract.FileDescriptor._writeDisconnecting": Use(bool, "that our half ends when all is sent"),
    "twisted.internet.tcp.Connection._closeWriteConnection": Use("", "closes our half, and tells the protocol"),
    "twisted.internet.tcp._SocketCloser._closeSocket": Use("orderly", "closes the socket, with a reset after an abort"),
    "twisted.internet.tcp.Port._shouldShutdown": Use(bool, "False for a listening unix socket, which others may have"),
    "twisted.internet.tcp._SocketCloser._shouldShutdown": Use(
        bool, "False spares a system call for each end, and lets other processes have the socket"
    ),
    "twisted.internet.tcp.Server._addressType": Use(type, "the class of the addresses, which our constructor sets"),
    "twisted.internet.tcp.Port._fromListeningDescriptor": Use(
        "reactor, fd, addressFamily, factory", "a port of our class from a socket that is bound already"
    ),
    "twisted.internet.tcp.Port._logConnectionLostMsg": Use("", "Twisted's line of a port's end is not written"),
    "twisted.internet.tcp._reservedFD": Use(object, "a descriptor kept back, so that accepting can still say no"),
    "twisted.internet.unix.Port._fromListeningDescriptor": Use(
        "reactor, fd, factory", "a port of our class from a socket that is bound already"
    ),
    "twisted.internet.unix.Port._logConnectionLostMsg": Use("", "Twisted's line of a port's end is not written"),
    "twisted.internet.unix.Port._preexistingSocket": Use((socket.socket, _NONE), "the bound socket, to be listened on"),
    "?._poller": Use(object, "the reactor's epoll set, which is asked whether the reactor has anything else to do"),
    # Twisted's threads, and its HTTP.
    _CHANNEL + "_maybeChooseTransferDecoder": Use("header, data", "chooses how the body is read, for a head of ours"),
    _CHANNEL + "_transferDecoder": Use(object, "let go of when the connection is lost"),
    _CHANNEL + "_finishRequestBody": Use("data", "the body is whole: what comes behind it is kept for the next head"),
    _CHANNEL + "_handlingRequest": Use(bool, "whether a request is being answered, so that the next one waits"),
    _CHANNEL + "_respondToBadRequestAndDisconnect": Use("", "a body that is not framed well is answered by us"),
    "twisted.web.twcgi.CGIProcessProtocol._requestFinished": Use(
        bool, "whether anybody waits for the program's answer"
    ),
    "sys._current_frames": Use("", "what the reactor's thread does when it is held: documented for this purpose"),
    "argparse._ActionsContainer._actions": Use(list, "the arguments of a command, for its manual and its completion"),
    "?._dispatcher": Use(object, "what handlers of pywebsocket know, who may have set it"),
}
"""Names in full, each by the class that has it; those that Autobahn sets in several, by the one at the bottom."""


# -- reading wsd ------------------------------------------------------------------------------------------------------


def isPrivate(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in ("_abc_impl", "_is_protocol")


@cache
def moduleTree(name: str) -> ast.Module | None:
    """The source of a module, also where it lies there compiled."""
    found = find_spec(name)
    path = None if found is None or found.origin is None else Path(found.origin)
    if path is not None and path.suffix == ".so":
        path = path.with_name(f"{name.rpartition('.')[2]}.py")
    return ast.parse(path.read_bytes()) if path is not None and path.suffix == ".py" and path.exists() else None


@cache
def treeOf(kind: type) -> ast.ClassDef | None:
    """The source of a class, if it has one."""
    module = moduleTree(kind.__module__)
    nodes = () if module is None else ast.walk(module)
    return next((node for node in nodes if isinstance(node, ast.ClassDef) and node.name == kind.__name__), None)


def isSelf(node: ast.expr) -> bool:
    """Whether it is the object itself, or `super()`."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "super"
    return isinstance(node, ast.Name) and node.id in ("self", "cls", "own")


@cache
def namesIn(kind: type) -> frozenset[str]:
    """The names that a class of wsd defines, and uses on itself."""
    tree = treeOf(kind)
    if tree is None:
        return frozenset()
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isSelf(node.value)}
    return frozenset(used | set(vars(kind)))


@cache
def namesOf(kind: type) -> frozenset[str]:
    """The names that a foreign class has, and assigns to itself."""
    tree = treeOf(kind)
    stored = () if tree is None else (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    assigned = {node.attr for node in stored if isinstance(node.ctx, ast.Store) and isSelf(node.value)}
    return frozenset(assigned | set(vars(kind)))


def nameOf(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def isForeign(module: str) -> bool:
    return module.split(".")[0] not in DULL


def ownerOf(name: str, kinds: list[type]) -> str | None:
    """
    The name in full, by the foreign class that has it; None for what is public.

    Autobahn's protocols assign many names in several classes: all are told as those of the one at the bottom.
    """
    for kind in kinds:
        if name in namesOf(kind):
            isAutobahns = issubclass(kind, AutobahnProtocol)
            if not isPrivate(name) and (name in TOLD or not isAutobahns):
                return None
            return f"{nameOf(AutobahnProtocol if isAutobahns and name in bottom() else kind)}.{name}"
    return None


@cache
def bottom() -> frozenset[str]:
    return namesOf(AutobahnProtocol)


class Source:
    """wsd, read."""

    @cached_property
    def modules(self) -> list[ModuleType]:
        return [import_module(found.name) for found in walk_packages(wsd.__path__, "wsd.")]

    @cached_property
    def classes(self) -> set[type]:
        found = {each for module in self.modules for each in vars(module).values() if inspect.isclass(each)}
        return {kind for kind in found if kind.__module__.startswith("wsd.")}

    @cached_property
    def trees(self) -> list[ast.Module]:
        return [tree for module in self.modules if (tree := moduleTree(module.__name__)) is not None]

    def inherited(self) -> Iterator[str]:
        """What classes of wsd use, or define anew, of the foreign classes that they are derived from."""
        for kind in self.classes:
            foreign = [each for each in kind.__mro__ if isForeign(each.__module__)]
            for ours in kind.__mro__ if foreign else ():
                if ours.__module__.startswith("wsd."):
                    for name in namesIn(ours):
                        full = None if name.startswith("__") else ownerOf(name, foreign)
                        if full is not None:
                            yield full

    def imported(self) -> Iterator[str]:
        """Private names that are imported, and names from modules of Autobahn that its documentation does not use."""
        for tree in self.trees:
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and node.module and isForeign(node.module):
                    isHidden = node.module.startswith("autobahn.") and node.module not in PUBLIC
                    for alias in node.names:
                        if isHidden or isPrivate(alias.name) or "._" in node.module:
                            yield f"{node.module}.{alias.name}"

    def reached(self) -> Iterator[str]:
        """Private names of foreign modules and of classes derived from foreign ones, and of what else has none."""
        own = {name for kind in self.classes for name in namesIn(kind)}
        for module in self.modules:
            tree = moduleTree(module.__name__)
            for node in ast.walk(tree) if tree is not None else ():
                if not isinstance(node, ast.Attribute) or isSelf(node.value) or node.attr.startswith("__"):
                    continue
                holder = getattr(module, node.value.id, None) if isinstance(node.value, ast.Name) else None
                if inspect.ismodule(holder) and isForeign(holder.__name__) and isPrivate(node.attr):
                    yield f"{holder.__name__}.{node.attr}"
                elif inspect.isclass(holder):
                    full = ownerOf(node.attr, [each for each in holder.__mro__ if isForeign(each.__module__)])
                    if full is not None:
                        yield full
                elif node.attr.isupper() and node.attr not in own and hasattr(AutobahnServer, node.attr):
                    yield f"{nameOf(AutobahnServer)}.{node.attr}"
                elif isPrivate(node.attr) and node.attr not in own:
                    yield f"?.{node.attr}"

    def asked(self) -> Iterator[str]:
        """Private names in strings: `getattr(something, "_name")`."""
        for tree in self.trees:
            for node in ast.walk(tree):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.endswith("attr"):
                    for argument in node.args[1:2]:
                        name = argument.value if isinstance(argument, ast.Constant) else ""
                        if isinstance(name, str) and isPrivate(name):
                            yield f"?.{name}"


@pytest.fixture(scope="module")
def found() -> set[str]:
    source = Source()
    return {*source.inherited(), *source.imported(), *source.reached(), *source.asked()}


def test_each_name_that_is_used_is_a_decision(found: set[str]) -> None:
    assert not sorted(found - USED.keys()), "not public: look for another way, or add it to USED with its reason"


def test_each_decision_is_still_needed(found: set[str]) -> None:
    assert not sorted(USED.keys() - found), "not used any more; remove it from USED"


# -- each is what we take it for --------------------------------------------------------------------------------------

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def frame(first: int, payload: bytes, length: int | None = None) -> bytes:
    """A client's frame with the mask 0, whose head may promise more than comes."""
    return bytes([first, 0x80 | (len(payload) if length is None else length), 0, 0, 0, 0]) + payload


class Transport(StringTransport):
    """One that need not have a producer when Autobahn takes it away."""

    def unregisterProducer(self) -> None:
        self.producer = None


def opened(kind: type[WebSocketServerProtocol] = WebSocketServerProtocol) -> Any:
    """Autobahn's server, its handshake done, between two messages."""
    factory = WebSocketServerFactory(reactor=MemoryReactorClock())
    factory.setProtocolOptions(openHandshakeTimeout=0, closeHandshakeTimeout=0, failByDrop=False)
    factory.protocol = kind
    protocol: Any = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
    protocol.makeConnection(Transport())
    protocol.dataReceived(REQUEST)
    assert protocol.transport.value().startswith(b"HTTP/1.1 101")
    protocol.transport.clear()
    return protocol


def within() -> Any:
    """The same, in the middle of the second frame of a message."""
    protocol = opened()
    protocol.dataReceived(frame(0x01, b"one") + frame(0x80, b"tw", 3))
    return protocol


def client() -> Any:
    """Autobahn's client, its request sent."""
    factory = WebSocketClientFactory("ws://localhost/", reactor=MemoryReactorClock())
    factory.protocol = WebSocketClientProtocol
    protocol: Any = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
    protocol.makeConnection(StringTransport())
    return protocol


def channel() -> Any:
    """Twisted's channel in the middle of a body."""
    made: Any = http.HTTPChannel()
    made.site = type("Site", (), {"getContentFile": staticmethod(lambda length: BytesIO())})()
    made.requestFactory = http.Request
    made.makeConnection(StringTransport())
    made.dataReceived(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhel")
    return made


def program() -> CGIProcessProtocol:
    """Twisted's CGI program, before it says anything."""
    return CGIProcessProtocol(http.Request(channel()))


LIVE: dict[type, Callable[[], Any]] = {
    AutobahnProtocol: within,
    AutobahnServer: within,
    AutobahnClient: client,
    abstract.FileDescriptor: abstract.FileDescriptor,
    tcp._SocketCloser: tcp._SocketCloser,
    tcp.Port: lambda: tcp.Port(0, Factory(), reactor=MemoryReactorClock()),
    unix.Port: lambda: unix.Port(b"/nowhere", Factory(), reactor=MemoryReactorClock()),
    ThreadPool: lambda: ThreadPool(0, 1),
    http.HTTPChannel: channel,
    LineReceiver: channel,
    http.Request: lambda: http.Request(channel()),
    CGIProcessProtocol: program,
    argparse._ActionsContainer: argparse.ArgumentParser,
}
"""Objects at work, in which values are looked for."""


def resolve(full: str) -> tuple[Any, str]:
    """What has a name, a class or a module, and the name itself."""
    holder, _, name = full.rpartition(".")
    try:
        return import_module(holder), name
    except ModuleNotFoundError:
        module, _, kind = holder.rpartition(".")
        return getattr(import_module(module), kind), name


@pytest.mark.parametrize("full", [full for full in USED if not full.startswith("?")])
def test_it_is_where_we_take_it_from_and_of_its_kind(full: str) -> None:
    expected, (holder, name) = USED[full].expected, resolve(full)
    if isinstance(expected, str):
        signature = inspect.signature(getattr(holder, name))
        parameters = [each for each in signature.parameters if each != "self"]
        assert ", ".join(parameters) == expected
    elif inspect.ismodule(holder):
        assert isinstance(getattr(holder, name), expected)
    elif name in vars(holder) and not isinstance(vars(holder)[name], property):
        assert isinstance(vars(holder)[name], expected)
    else:
        assert isinstance(getattr(LIVE[holder](), name), expected)


class TestAutobahnReads:
    """One frame of a message in two pieces shows what a step leaves behind."""

    def test_where_it_is_in_a_frame(self) -> None:
        protocol = within()
        assert (protocol.current_frame.opcode, protocol.current_frame.fin, protocol.current_frame.length) == (
            0,
            True,
            3,
        )
        assert protocol.current_frame_masker.pointer() == 2

    def test_where_it_is_in_a_message(self) -> None:
        protocol = within()
        assert protocol.inside_message
        assert not protocol.message_is_binary
        # The bytes that are still to come of a frame count already.
        assert (protocol.message_data, protocol.frame_data, protocol.message_data_total_length) == (
            [b"one"],
            [b"tw"],
            6,
        )

    def test_that_it_is_between_two(self) -> None:
        protocol = within()
        protocol.dataReceived(b"o")
        assert (protocol.current_frame, protocol.inside_message, protocol.data) == (None, False, b"")

    def test_in_steps_each_of_which_is_said_to_be_the_last_or_not(self) -> None:
        protocol = opened()
        protocol.data = frame(0x82, b"hello") + b"\x82"
        steps = [protocol.processData() for _ in range(3)]
        assert steps == [True, True, False]
        assert protocol.data == b"\x82"

    def test_in_a_loop_of_these_steps(self) -> None:
        class Noted(WebSocketServerProtocol):
            steps = 0

            def processData(self) -> bool:
                self.steps += 1
                return bool(super().processData())

        protocol = opened(Noted)
        protocol.data = frame(0x82, b"hello")
        protocol.consumeData()
        assert protocol.steps == 2

    def test_on_in_a_frame_that_it_is_given(self) -> None:
        protocol = opened()
        protocol.inside_message = protocol.message_is_binary = True
        protocol.message_data, protocol.message_data_total_length = [], 0
        protocol.utf8validateIncomingCurrentMessage = False
        protocol.current_frame = FrameHeader(0, True, 0, 3, None)  # type: ignore[arg-type]
        protocol.current_frame_masker = XorMaskerNull()
        protocol.frame_data = []
        protocol._isMessageCompressed = False
        messages: list[bytes] = []
        protocol.onMessage = lambda payload, isBinary: messages.append(payload)
        protocol.dataReceived(b"one" + frame(0x82, b"two"))
        assert messages == [b"one", b"two"]

    def test_with_a_deflater_of_ours(self) -> None:
        said: list[object] = []

        class Deflater:
            EXTENSION_NAME = "permessage-deflate"

            def start_decompress_message(self) -> None:
                said.append("start")

            def decompress_message_data(self, data: bytes, max_output_len: int | None) -> bytes:
                said.append(bytes(data))
                return b"plain"

            def end_decompress_message(self) -> None:
                said.append("end")

        protocol = opened()
        protocol._perMessageCompress = Deflater()
        messages: list[bytes] = []
        protocol.onMessage = lambda payload, isBinary: messages.append(payload)
        protocol.dataReceived(frame(0xC2, b"deflated"))
        assert said == ["start", b"deflated", "end"]
        assert messages == [b"plain"]

    def test_a_mask_with_what_we_take_large_payloads_with(self) -> None:
        payload = bytes(range(256)) * 100
        masked = create_xor_masker(b"abcd", len(payload)).process(payload)
        assert masked == bytes(byte ^ b"abcd"[at % 4] for at, byte in enumerate(payload))


class Failing(WebSocketServerProtocol):
    """Notes its faults instead of closing."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[int] = []

    def _fail_connection(self, code: int = 1001, reason: str = "going away") -> None:
        self.faults.append(code)
        self.failedByMe = True


class TestAutobahnFails:
    @pytest.mark.parametrize(
        ("data", "code"),
        [
            (frame(0xF2, b""), 1002),
            (frame(0x83, b""), 1002),
            (frame(0x81, b"\xff"), 1007),
            (frame(0x88, b"\x03\xec"), 1002),
        ],
        ids=["reserved bits", "reserved opcode", "UTF-8", "code of a close"],
    )
    def test_by_the_one_function(self, data: bytes, code: int) -> None:
        protocol = opened(Failing)
        protocol.dataReceived(data)
        assert protocol.faults[:1] == [code]

    def test_for_what_a_plane_has_found(self) -> None:
        protocol = opened(Failing)
        protocol._invalid_payload("not text")
        protocol._max_message_size_exceeded(2, 1, "too big")
        assert protocol.faults == [1007, 1009]

    def test_and_closes_by_the_one_function(self) -> None:
        closes: list[int | None] = []

        class Closing(WebSocketServerProtocol):
            def sendCloseFrame(self, code: Any = None, reasonUtf8: Any = None, isReply: bool = False) -> None:
                closes.append(code)

        protocol = opened(Closing)
        protocol.dataReceived(frame(0x88, b"\x03\xe8bye"))
        assert closes == [1000]
        assert (protocol.remoteCloseCode, protocol.remoteCloseReason) == (1000, "bye")


class TestTwistedListens:
    @pytest.fixture
    def pair(self) -> Iterator[tuple[Any, socket.socket]]:
        """Twisted's transport of a connection that was accepted, and the other end."""
        with (
            socket.create_server(("127.0.0.1", 0)) as listening,
            socket.create_connection(listening.getsockname()) as end,
        ):
            accepted, address = listening.accept()
            protocol = Protocol()
            transport = tcp.Server(accepted, protocol, address, None, 0, MemoryReactorClock())  # type: ignore[arg-type]
            protocol.makeConnection(transport)
            yield transport, end
            accepted.close()

    def test_half_a_connection_is_closed(self, pair: tuple[Any, socket.socket]) -> None:
        transport, end = pair
        transport._closeWriteConnection()
        assert end.recv(1) == b""

    @pytest.mark.parametrize("orderly", [True, False])
    def test_the_socket_is_closed_with_a_reset_after_an_abort(
        self, pair: tuple[Any, socket.socket], orderly: bool
    ) -> None:
        transport, end = pair
        transport._shouldShutdown = False
        transport._closeSocket(orderly)
        if orderly:
            assert end.recv(1) == b""
        else:
            with pytest.raises(ConnectionResetError):
                end.recv(1)

    def test_how_it_ends_half_is_noted(self) -> None:
        descriptor = abstract.FileDescriptor(MemoryReactorClock())
        assert not descriptor._writeDisconnecting
        descriptor.loseWriteConnection()
        assert descriptor._writeDisconnecting

    def test_addresses_of_a_kind_are_told(self) -> None:
        assert tcp.Server._addressType is IPv4Address

    def test_a_port_is_made_from_a_bound_socket(self) -> None:
        reactor = MemoryReactorClock()
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as bound:
            port = tcp.Port._fromListeningDescriptor(reactor, bound.fileno(), socket.AF_INET6, Factory())
            port.startListening()
            assert (port.addressFamily, port.getHost().port) == (socket.AF_INET6, bound.getsockname()[1])
            assert list(reactor.readers) == [port]
            port.socket.close()

    def test_a_unix_port_too(self, tmp_path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(tmp_path / "socket"))
            bound.listen()
            port = unix.Port._fromListeningDescriptor(MemoryReactorClock(), bound.fileno(), Factory())
            assert port._preexistingSocket.getsockname() == str(tmp_path / "socket")
            port._preexistingSocket.close()

    def test_a_listening_socket_accepts_a_descriptor(self) -> None:
        """The ports call `socket._accept`; the public method looks up two members of an Enum for each connection."""
        with socket.create_server(("127.0.0.1", 0)) as bound, socket.create_connection(bound.getsockname()) as client:
            descriptor, name = bound._accept()  # type: ignore[attr-defined]
            socket.close(descriptor)
            assert name == client.getsockname()

    def test_a_descriptor_is_kept_back(self) -> None:
        tcp._reservedFD.reserve()
        assert tcp._reservedFD.available()


class TestTwistedServes:
    def test_a_body(self) -> None:
        made = channel()
        assert (made._command, made._path, made._version) == (b"POST", b"/", b"HTTP/1.1")
        assert not made._handlingRequest
        made.dataReceived(b"lo")
        assert made._handlingRequest

    def test_what_has_come_of_a_head(self) -> None:
        made = http.HTTPChannel()
        made.makeConnection(StringTransport())
        made.dataReceived(b"GET / HT")
        assert (made._buffer, made._busyReceiving) == (b"GET / HT", False)

    def test_a_body_for_a_head_of_ours(self) -> None:
        whole: list[bytes] = []

        class Channel(http.HTTPChannel):
            def _finishRequestBody(self, data: bytes) -> None:
                whole.append(data)

            def allContentReceived(self) -> None:
                """Nothing is answered here."""

        for header, data, body in (
            (b"Content-Length", b"5", b"hello"),
            (b"Transfer-Encoding", b"chunked", b"5\r\nhello\r\n0\r\n\r\n"),
        ):
            made = Channel()
            made.makeConnection(StringTransport())
            made.requests = [http.Request(made)]
            made.requests[0].gotLength(None)
            assert made._maybeChooseTransferDecoder(header, data)
            made.setRawMode()
            made.rawDataReceived(body + b"rest")
            made.requests[0].content.seek(0)
            assert made.requests[0].content.read() == b"hello"
        assert whole == [b"rest", b"rest"]

    def test_a_body_that_is_framed_wrong_is_told(self) -> None:
        told: list[str] = []

        class Channel(http.HTTPChannel):
            def _respondToBadRequestAndDisconnect(self) -> None:
                told.append("bad")

        made = Channel()
        made.makeConnection(StringTransport())
        made.requests = [http.Request(made)]
        made.requests[0].gotLength(None)
        made._maybeChooseTransferDecoder(b"Transfer-Encoding", b"chunked")
        made.setRawMode()
        made.rawDataReceived(b"no number\r\n")
        assert told == ["bad"]

    def test_a_body_is_asked_for(self) -> None:
        made = channel()
        made._send100Continue()
        assert made.transport.value() == b"HTTP/1.1 100 Continue\r\n\r\n"

    def test_it_waits_for_the_transport(self) -> None:
        made = channel()
        made.pauseProducing()
        assert made._waitingForTransport
        made.resumeProducing()
        assert not made._waitingForTransport

    def test_a_request_whose_client_is_gone_says_so(self) -> None:
        request = http.Request(channel())
        request.connectionLost(Failure(ConnectionDone()))
        assert request._disconnected

    def test_a_program_that_nobody_waits_for_says_so(self) -> None:
        request = http.Request(channel())
        made = CGIProcessProtocol(request)
        request.notifyFinish().addErrback(lambda _: None)
        request.connectionLost(Failure(ConnectionDone()))
        assert made._requestFinished

    def test_threads_end_without_being_joined(self) -> None:
        pool = ThreadPool(0, 1)
        pool.start()
        ended = threading.Event()
        pool.callInThread(ended.wait, 10)
        pool._team.quit()
        ended.set()
        for thread in list(pool.threads):
            thread.join(10)
            assert not thread.is_alive()
