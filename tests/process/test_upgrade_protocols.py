"""What each protocol takes along in an upgrade: real processes, real sockets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from pycrdt import Doc, Text
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection
from websockets.typing import Subprotocol

from tests.process.test_upgrade import FAILING, opened, says
from tests.upgrades import Upgradable, upgradable
from wsd.protocols.yjs.messages import MessageType, Reader, SyncStep, syncMessage

ENVELOPED = Subprotocol("topics.wsd.v1")
FILE = '[route."/topics/*"]\nprotocol = "topics"\nbackend = "file"\n'


def asks(client: ClientConnection, **message: Any) -> Any:
    client.send(json.dumps(message))
    return hears(client)


def hears(client: ClientConnection) -> Any:
    return json.loads(client.recv(10))


def _readAll(client: ClientConnection) -> None:
    while True:
        client.recv(10)


def assertClosed(client: ClientConnection) -> None:
    with pytest.raises(ConnectionClosed) as closed:
        _readAll(client)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    assert "reconnect" in closed.value.rcvd.reason


@pytest.mark.parametrize("config", ["", FILE], ids=["memory", "file"])
class TestTopics:
    """Subscribers, members, and all that is kept."""

    def test_subscribers_and_publishers_of_both_forms_go_on(self, config: str) -> None:
        with (
            upgradable(config=config) as daemon,
            opened(daemon, "/topics/chat?echo") as plain,
            opened(daemon, "/topics/", subprotocols=[ENVELOPED]) as enveloped,
            opened(daemon, "/topics/+?role=subscriber") as every,
        ):
            first = asks(enveloped, subscribe={"topic": "chat"})["subscribed"]["position"]
            epoch, _, offset = first.partition("-")
            assert int(offset) == 0
            for number in range(1, 4):
                plain.send(f"say {number}")
                assert plain.recv(10) == every.recv(10) == f"say {number}"
                message = hears(enveloped)["message"]
                assert message["text"] == f"say {number}"
                assert message["position"] == f"{epoch}-{number}"
                if number < 3:
                    daemon.upgrade()
            with opened(daemon, f"/topics/chat?since={epoch}-1") as late:
                assert [late.recv(10), late.recv(10)] == ["say 2", "say 3"]

    def test_last_values_and_idempotency_keys_stay(self, config: str) -> None:
        with upgradable(config=config) as daemon, opened(daemon, "/topics/", subprotocols=[ENVELOPED]) as client:
            said = asks(client, publish={"topic": "t", "id": 1, "data": 5, "key": "k", "once": "o"})
            daemon.upgrade()
            again = asks(client, publish={"topic": "t", "id": 2, "data": 6, "key": "k", "once": "o"})
            assert again["published"]["position"] == said["published"]["position"]
            assert again["published"]["duplicate"]
            with opened(daemon, "/topics/t?last") as last:
                assert last.recv(10) == "5"

    def test_members_stay_and_those_that_go_meanwhile_are_told_of(self, config: str) -> None:
        with (
            upgradable(config=config) as daemon,
            opened(daemon, "/topics/", subprotocols=[ENVELOPED]) as one,
            opened(daemon, "/topics/", subprotocols=[ENVELOPED]) as two,
        ):
            mine = asks(one, enter={"topic": "room", "state": {"name": "one"}})["entered"]["member"]
            asks(two, subscribe={"topic": "room", "presence": True})
            daemon.upgrade()
            (member,) = asks(two, members={"topic": "room"})["members"]["members"]
            assert member == {"member": mine, "state": {"name": "one"}}
            two.send(json.dumps({"direct": {"topic": "room", "to": mine, "text": "psst"}}))
            assert hears(one)["direct"]["text"] == "psst"
            assert "directed" in hears(two)
            one.close()
            assert hears(two)["presence"]["change"] == "leave"

    def test_an_envelope_waits_for_its_binary_message(self, config: str) -> None:
        with upgradable(config=config) as daemon, opened(daemon, "/topics/", subprotocols=[ENVELOPED]) as client:
            client.send(json.dumps({"publish": {"topic": "b", "id": 1, "binary": True}}))
            daemon.upgrade()
            client.send(b"\0\1")
            assert hears(client)["published"]["id"] == 1

    def test_an_upgrade_that_fails_leaves_everything_as_it_was(self, config: str) -> None:
        with (
            upgradable(config=config + FAILING, environ={"WSD_TEST_UPGRADE": "restore"}) as daemon,
            opened(daemon, "/topics/chat?echo") as client,
            opened(daemon, "/fails") as other,
        ):
            assert says(client, "before")
            daemon.refused()
            assert says(client, "after")
            assert says(other, "hello")
            with opened(daemon, "/topics/chat?history=2") as late:
                assert [late.recv(10), late.recv(10)] == ["before", "after"]


def test_the_picture_of_a_canvas_and_its_numbers_stay() -> None:
    with (
        upgradable() as daemon,
        opened(daemon, "/canvas/x?width=2&height=1") as painter,
        opened(daemon, "/canvas/x?width=2&height=1&meta") as viewer,
    ):
        for number in range(1, 4):
            pixels = bytes([number] * 8)
            painter.send(pixels)
            assert hears(painter)["frame"] == number
            assert hears(viewer)["frame"] == number
            assert viewer.recv(10) == pixels
            if number < 3:
                daemon.upgrade()
        with opened(daemon, "/canvas/x?width=2&height=1") as late:
            assert late.recv(10) == bytes([3] * 8)
        painter.send(json.dumps({"x": 1, "y": 0, "width": 1, "height": 1}))
        daemon.upgrade()
        painter.send(b"\x09" * 4)
        assert hears(painter)["frame"] == 4
        assert hears(viewer)["frame"] == 4
        assert viewer.recv(10) == bytes([3] * 4 + [9] * 4)


def test_a_document_and_its_editors_go_on() -> None:
    with upgradable() as daemon, opened(daemon, "/yjs/doc") as one, opened(daemon, "/yjs/doc") as two:
        doc: Doc[Any] = Doc()
        doc["text"] = text = Text()
        for number in range(3):
            before = doc.get_state()
            text += f"line {number}\n"
            one.send(syncMessage(SyncStep.UPDATE, doc.get_update(before)))
            for client in (one, two):
                assert _update(client)
            if number < 2:
                daemon.upgrade()
        with opened(daemon, "/yjs/doc") as late:
            copy: Doc[Any] = Doc()
            copy["text"] = found = Text()
            late.send(syncMessage(SyncStep.STATE_VECTOR, copy.get_state()))
            copy.apply_update(_update(late))
            assert str(found) == "line 0\nline 1\nline 2\n"


def _update(client: ClientConnection) -> bytes:
    """The next update that a client is sent."""
    while True:
        payload = client.recv(10)
        assert isinstance(payload, bytes)
        reader = Reader(payload)
        if reader.number() == MessageType.SYNC and reader.number() != SyncStep.STATE_VECTOR:
            return bytes(reader.bytes_())


HANDLER = """
def web_socket_do_extra_handshake(request):
    pass

async def web_socket_transfer_data(request):
    await request.ws_stream.send_message("welcome")
    await talk(request, 0)

async def talk(request, count):
    async for message in request.ws_stream:
        request.count = count = count + 1
        await request.ws_stream.send_message(f"{count} {message}")

def web_socket_save_state(request):
    return request.count

async def web_socket_resume(request, state):
    await talk(request, state)
"""
WITHOUT = HANDLER.partition("def web_socket_save_state")[0]
BLOCKING = """
def web_socket_do_extra_handshake(request):
    pass

def web_socket_transfer_data(request):
    while (message := request.ws_stream.receive_message()) is not None:
        request.ws_stream.send_message(message)
"""


def test_a_coroutine_goes_on_if_it_says_how_and_others_are_told_to_reconnect(tmp_path: Path) -> None:
    for name, text in (("resumes", HANDLER), ("ends", WITHOUT), ("blocks", BLOCKING)):
        (tmp_path / f"{name}_wsh.py").write_text(text)
    with (
        upgradable("-w", str(tmp_path)) as daemon,
        opened(daemon, "/resumes") as resumes,
        opened(daemon, "/ends") as ends,
        opened(daemon, "/blocks") as blocks,
    ):
        assert resumes.recv(10) == "welcome"
        for number in range(1, 4):
            resumes.send("hello")
            assert resumes.recv(10) == f"{number} hello"
            if number == 1:
                assert says(blocks, "hello")
            if number < 3:
                daemon.upgrade()
        assertClosed(ends)
        assertClosed(blocks)


@pytest.mark.parametrize(
    ("path", "subprotocol"),
    [("/xmpp", "xmpp"), ("/soap", "soap"), ("/blob", "blob.wsd.v1"), ("/ws", "xmpp")],
)
def test_the_others_are_told_to_reconnect_and_can(path: str, subprotocol: str) -> None:
    with upgradable() as daemon:
        with opened(daemon, path, subprotocols=[Subprotocol(subprotocol)]) as client:
            daemon.upgrade()
            assertClosed(client)
        with opened(daemon, path, subprotocols=[Subprotocol(subprotocol)]):
            pass


def test_routes_with_files_serve_on_after_an_upgrade_that_failed() -> None:
    environ = {"WSD_TEST_UPGRADE": "state"}
    with upgradable(config=FAILING, environ=environ) as daemon, opened(daemon, "/fails") as client:
        daemon.refused()
        assert says(client, "hello")
        assert _ready(daemon)["ready"] is True
        with opened(daemon, "/blob", subprotocols=[Subprotocol("blob.wsd.v1")]):
            pass


def _ready(daemon: Upgradable) -> Any:
    with urlopen(f"http://127.0.0.1:{daemon.port}/readyz", timeout=10) as answer:
        return json.load(answer)
