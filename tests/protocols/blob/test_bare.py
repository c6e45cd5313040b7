"""Bare uploads: one binary message is one file, answered with a receipt."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from twisted.logger import capturedLogs, formatEvent

from tests.protocols.blob.stores import ask, daemonOf, told
from tests.wire import Client


def header(size: int, fin: bool = True, opcode: int = 2) -> bytes:
    """The head of a frame under the mask of zeros."""
    length = b"\xfe" + size.to_bytes(2, "big") if size < 65536 else b"\xff" + size.to_bytes(8, "big")
    return bytes([0x80 * fin | opcode]) + length + bytes(4)


class TestOneMessageIsOneFile:
    def test_the_receipt_comes_when_it_is_on_disk(self, tmp_path: Path) -> None:
        client = daemonOf(tmp_path).open("/blob")
        client.say(b"hello")
        (receipt,) = told(client)
        assert receipt == {
            "id": receipt["id"],
            "name": "blob",
            "size": 5,
            "sha256": sha256(b"hello").hexdigest(),
            "type": "text/plain",
            "url": f"/blob/{receipt['id']}",
        }
        assert (tmp_path / "store" / "files" / receipt["id"][:2] / receipt["id"]).read_bytes() == b"hello"

    def test_it_is_there_over_http(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        client = daemon.open("/blob")
        client.say(b"hello")
        assert ask(daemon, f"GET {told(client)[0]['url']}").body == b"hello"

    def test_a_json_line_before_it_names_it_and_it_alone(self, tmp_path: Path) -> None:
        client = daemonOf(tmp_path).open("/blob")
        client.say('{"name": "größe.txt"}')
        client.say(b"one")
        client.say(b"two")
        assert [receipt["name"] for receipt in told(client)] == ["größe.txt", "blob"]

    @pytest.mark.parametrize(
        ("kind", "kept"),
        [
            ('"video/webm;codecs=vp9,opus"', "video/webm;codecs=vp9,opus"),
            ('"jpg"', "application/octet-stream"),
            ('""', "application/octet-stream"),
            ("7", "application/octet-stream"),
        ],
    )
    def test_the_line_may_have_a_type_for_it_alone(self, tmp_path: Path, kind: str, kept: str) -> None:
        client = daemonOf(tmp_path).open("/blob")
        client.say(f'{{"name": "recording", "type": {kind}}}')
        client.say(b"\x00\x01")
        client.say(b"\x00\x02")
        assert [receipt["type"] for receipt in told(client)] == [kept, "application/octet-stream"]

    @pytest.mark.parametrize("chunk", [1, 7, 1000])
    def test_however_it_is_cut(self, tmp_path: Path, chunk: int) -> None:
        client = daemonOf(tmp_path).open("/blob", chunk=chunk)
        content = bytes(range(256)) * 10
        client.wire.send(header(1500, fin=False) + content[:1500] + header(1060, opcode=0) + content[1500:])
        client.exchange()
        assert told(client)[0]["sha256"] == sha256(content).hexdigest()

    def test_an_empty_one_is_one(self, tmp_path: Path) -> None:
        client = daemonOf(tmp_path).open("/blob")
        client.say(b"")
        assert told(client)[0]["size"] == 0

    def test_many_are_answered_in_their_order(self, tmp_path: Path) -> None:
        client = daemonOf(tmp_path).open("/blob")
        contents = [bytes([number]) * number for number in range(1, 20)]
        for content in contents:
            client.protocol.send_binary(content)
        client.exchange()
        assert [each["sha256"] for each in told(client)] == [sha256(content).hexdigest() for content in contents]


def test_a_store_is_made_when_it_is_needed(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    daemon = daemonOf(tmp_path)
    assert list((tmp_path / "store").iterdir()) == []
    daemon.open("/blob").say(b"hello")
    assert (tmp_path / "store" / "index.sqlite").exists()


class TestWhatGoesWrong:
    def refused(self, client: Client, code: str, close: int) -> None:
        assert told(client)[-1]["error"]["code"] == code
        assert client.closeCode == close

    def test_half_a_file_leaves_nothing(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        client = daemon.open("/blob")
        client.wire.send(header(1000) + bytes(500))
        client.wire.close()
        daemon.open("/blob")
        assert list((tmp_path / "store" / "parts").iterdir()) == []
        assert list((tmp_path / "store" / "files").glob("*/*")) == []

    def test_one_over_the_largest_is_closed_at_its_head(self, tmp_path: Path) -> None:
        client = daemonOf(tmp_path, max_file=1000).open("/blob")
        client.wire.send(header(1001))
        assert client.closeCode == 1009

    def test_one_that_is_on_its_way_keeps_its_connection_at_the_end_of_the_daemon(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        client = daemon.open("/blob")
        (connection,) = daemon.connections
        busy = [connection.isBusy]
        for data in (header(1000) + bytes(500), bytes(500)):
            client.wire.send(data)
            busy.append(connection.isBusy)
        client.exchange()
        assert told(client)[0]["size"] == 1000
        assert busy == [False, True, False]

    def test_one_over_the_quota_is_told_and_closed(self, tmp_path: Path) -> None:
        client = daemonOf(tmp_path, quota=1000).open("/blob")
        client.say(bytes(1001))
        self.refused(client, "quota", 1013)
        assert list((tmp_path / "store" / "parts").iterdir()) == []

    def test_a_store_that_cannot_be_made_is_told_and_readyz_knows(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        (tmp_path / "store").write_text("not a folder")
        client = daemon.open("/blob")
        client.say(b"hello")
        self.refused(client, "unavailable", 1013)
        assert daemon.factories["/blob"].ready() is not None

    def test_readyz_knows_before_any_upload_that_a_store_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "store").write_text("not a folder")
        daemon = daemonOf(tmp_path)
        assert daemon.factories["/blob"].ready() == "the store cannot be created: Not a directory"
        (tmp_path / "store").unlink()
        assert daemon.factories["/blob"].ready() is None

    def test_a_store_that_cannot_be_opened_at_the_start_lets_nobody_in(self, tmp_path: Path) -> None:
        (tmp_path / "store").mkdir()
        (tmp_path / "store" / "index.sqlite").write_bytes(b"this is no database" * 100)
        with capturedLogs() as events:
            daemon = daemonOf(tmp_path)
        (line,) = [formatEvent(event) for event in events if event.get("event") == "route.unusable"]
        assert line is not None
        assert line.endswith(f": {tmp_path}/store: the index of the store failed (file is not a database)")
        client = daemon.open("/blob")
        assert client.response is not None
        assert client.response.status_code == 503
        answer = daemon.connect().exchange(b"GET /blob/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 503 ")

    def test_what_the_disk_does_not_do_is_in_the_log(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        (tmp_path / "store").write_text("not a folder")
        client = daemon.open("/blob")
        with capturedLogs() as events:
            client.say(b"hello")
        (line,) = [formatEvent(event) for event in events if event.get("event") == "blob.store"]
        assert line is not None
        assert line.startswith("/blob: the store failed (File exists)")
        assert line.endswith(f"'{tmp_path}/store')")

    def test_a_text_of_any_length_is_not_gathered(self, tmp_path: Path) -> None:
        client = daemonOf(tmp_path).open("/blob")
        client.say("x" * 20_000)
        self.refused(client, "too_large", 1009)

    @pytest.mark.parametrize(
        ("line", "code"),
        [
            ("hello", "bad_message"),
            ('{"nmae": "a"}', "bad_message"),
            ('["name"]', "bad_message"),
            ("[" * 10_000, "bad_message"),
            ('{"name": 7}', "bad_name"),
            ('{"name": ""}', "bad_name"),
            ('{"name": ".."}', "bad_name"),
            ('{"name": "../../etc/passwd"}', "bad_name"),
            ('{"name": "a\\\\b"}', "bad_name"),
            ('{"name": "a\\u0000b"}', "bad_name"),
            ('{"name": "a\\nb"}', "bad_name"),
            ('{"name": "\\ud800"}', "bad_name"),
            ('{"name": "photo\\u202egnp.exe"}', "bad_name"),
            ('{"name": "%s"}' % ("x" * 10_000), "bad_name"),
        ],
    )
    def test_a_bad_name_is_told_and_the_connection_goes_on(self, tmp_path: Path, line: str, code: str) -> None:
        client = daemonOf(tmp_path).open("/blob")
        client.say(line)
        client.say(b"hello")
        error, receipt = told(client)
        assert error["error"]["code"] == code
        assert receipt["name"] == "blob"
