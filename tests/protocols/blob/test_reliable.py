"""blob.wsd.v1: what docs/blob-protocol.md says, a class for each of its chapters."""

from __future__ import annotations

import errno
import json
from hashlib import sha256
from itertools import count
from pathlib import Path
from struct import pack, unpack
from typing import Any
from zlib import crc32

import pytest
from twisted.logger import capturedLogs, formatEvent

from tests.protocols.blob.stores import Uploader, daemonOf, told
from wsd.metrics import Cause
from wsd.protocols.blob.file import FileReader
from wsd.protocols.blob.store import nameOf

KIB = 1024
TOKEN = "0123456789abcdef"
NOT_ASKED = {"sync_interval": 3600.0}
"""Keys with which nothing is acknowledged but when a test lets time pass."""


def code(answers: list[Any]) -> str:
    (answer,) = answers
    return str(answer["error"]["code"])


def begin(uploader: Uploader, size: int = 10, **fields: Any) -> Any:
    (answer,) = uploader.say("begin", **{"name": "a.txt", "size": size, "token": TOKEN, **fields})
    return answer


class TestHello:
    def test_it_announces_the_limits(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path, max_file=5000, max_chunk=2000, expire=60.0)
        hello = {"max_file": 5000, "max_chunk": 2000, "sync": "interval", "expire": 60.0}
        assert Uploader(daemon).hello == {"hello": hello}


class TestUpload:
    def test_begin_chunks_end(self, tmp_path: Path) -> None:
        uploader = Uploader(daemonOf(tmp_path, sync="each"))
        assert begin(uploader) == {
            "ready": {"token": TOKEN, "offset": 0, "credit": 4096 * KIB, "chunk": 1024 * KIB},
        }
        assert uploader.chunk(0, b"hello") == [{"ack": {"offset": 5, "credit": 4096 * KIB}}]
        assert uploader.chunk(5, b"world") == [{"ack": {"offset": 10, "credit": 4096 * KIB}}]
        (done,) = uploader.say("end", sha256=sha256(b"helloworld").hexdigest())
        assert done["done"]["sha256"] == sha256(b"helloworld").hexdigest()
        assert done["done"]["name"] == "a.txt"

    def test_a_token_is_given_to_who_has_none(self, tmp_path: Path) -> None:
        uploader = Uploader(daemonOf(tmp_path))
        token = begin(uploader, token=None)["ready"]["token"]
        uploader.lose()
        assert begin(Uploader(uploader.client.wire.daemon), token=token)["ready"]["token"] == token

    def test_chunks_are_as_small_as_the_client_wants(self, tmp_path: Path) -> None:
        uploader = Uploader(daemonOf(tmp_path))
        assert begin(uploader, chunk=3)["ready"]["chunk"] == 3
        assert code(uploader.chunk(0, b"hell")) == "too_large"

    @pytest.mark.parametrize(
        ("kind", "kept"),
        [
            ("video/webm;codecs=vp9,opus", "video/webm;codecs=vp9,opus"),
            ("text", "application/octet-stream"),
            ("text/html\r\nX: y", "application/octet-stream"),
            (7, "application/octet-stream"),
        ],
    )
    def test_a_type_is_kept_or_not_known(self, tmp_path: Path, kind: object, kept: str) -> None:
        uploader = Uploader(daemonOf(tmp_path))
        begin(uploader, size=2, type=kind)
        uploader.chunk(0, b"\x00\x01")
        assert uploader.say("end")[0]["done"]["type"] == kept

    def test_one_after_the_other_on_one_connection(self, tmp_path: Path) -> None:
        uploader = Uploader(daemonOf(tmp_path))
        for number in range(3):
            begin(uploader, size=1, token=f"{number:016}")
            uploader.chunk(0, b"%d" % number)
            assert uploader.say("end")[0]["done"]["size"] == 1

    def test_however_the_bytes_are_cut(self, tmp_path: Path) -> None:
        uploader = Uploader(daemonOf(tmp_path), chunk=5)
        begin(uploader, size=300)
        for number in range(3):
            uploader.chunk(number * 100, bytes([number]) * 100)
        content = b"".join(bytes([number]) * 100 for number in range(3))
        assert uploader.say("end")[0]["done"]["sha256"] == sha256(content).hexdigest()


class TestAcknowledgement:
    def test_each_comes_with_every_chunk(self, tmp_path: Path) -> None:
        uploader = Uploader(daemonOf(tmp_path, sync="each"))
        begin(uploader)
        assert uploader.chunk(0, b"hello")[0]["ack"]["offset"] == 5

    def test_interval_comes_after_a_while_and_for_what_came_last_too(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path, sync_interval=2.0)
        uploader = Uploader(daemon)
        begin(uploader)
        assert uploader.chunk(0, b"hello") == []
        daemon.reactor.advance(2.0)
        assert uploader.heard() == [{"ack": {"offset": 5, "credit": 4096 * KIB}}]

    def test_interval_is_over_after_so_many_bytes(self, tmp_path: Path) -> None:
        uploader = Uploader(daemonOf(tmp_path, sync_bytes=64 * KIB, **NOT_ASKED))
        begin(uploader, size=100 * KIB)
        assert uploader.chunk(0, bytes(60 * KIB)) == []
        assert uploader.chunk(60 * KIB, bytes(4 * KIB)) != []

    def test_end_comes_with_the_receipt_and_credit_before(self, tmp_path: Path) -> None:
        uploader = Uploader(daemonOf(tmp_path, sync="end", credit=64 * KIB))
        begin(uploader, size=64 * KIB)
        answers = uploader.chunk(0, bytes(40 * KIB))
        assert {answer["ack"]["offset"] for answer in answers} == {0}
        assert answers[-1]["ack"]["credit"] > 64 * KIB
        uploader.chunk(40 * KIB, bytes(24 * KIB))
        assert "done" in uploader.say("end")[-1]

    def test_a_chunk_that_is_not_whole_is_not_acknowledged(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path, sync="each")
        uploader = Uploader(daemon)
        begin(uploader)
        whole = uploader.client.protocol
        whole.send_binary((0).to_bytes(8, "big") + crc32(b"hello").to_bytes(4, "big") + b"hello")
        data = b"".join(whole.data_to_send())
        uploader.client.wire.send(data[:-2])
        assert uploader.heard() == []
        uploader.client.wire.send(data[-2:])
        assert uploader.heard()[0]["ack"]["offset"] == 5


class TestCredit:
    def test_more_than_was_given_is_refused(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path, credit=64 * KIB)
        uploader = Uploader(daemon)
        begin(uploader, size=200 * KIB)
        daemon.pool.slow = True
        assert uploader.chunk(0, bytes(60 * KIB)) == []
        assert code(uploader.chunk(60 * KIB, bytes(5 * KIB))) == "credit"

    def test_it_is_given_as_bytes_are_written(self, tmp_path: Path) -> None:
        uploader = Uploader(daemonOf(tmp_path, credit=64 * KIB, **NOT_ASKED))
        begin(uploader, size=1 << 20)
        granted = 64 * KIB
        for offset in range(0, 1 << 20, 32 * KIB):
            assert offset + 32 * KIB <= granted
            for answer in uploader.chunk(offset, bytes(32 * KIB)):
                granted = answer["ack"]["offset"] + answer["ack"]["credit"]
        assert uploader.say("end")[0]["done"]["size"] == 1 << 20


class TestResume:
    def test_it_goes_on_at_the_durable_offset(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        uploader = Uploader(daemon)
        begin(uploader)
        uploader.chunk(0, b"hello")
        uploader.lose()
        uploader = Uploader(daemon)
        assert begin(uploader)["ready"]["offset"] == 5
        uploader.chunk(5, b"world")
        assert uploader.say("end")[0]["done"]["sha256"] == sha256(b"helloworld").hexdigest()

    def test_after_the_daemon_was_killed_too(self, tmp_path: Path) -> None:
        uploader = Uploader(daemonOf(tmp_path, sync="each"))
        begin(uploader)
        uploader.chunk(0, b"hello")
        pipes = uploader.client.wire.daemon.factories["/blob"].transfers._pipes
        pipes[nameOf(TOKEN)]._upload.file.close()  # as the kernel does for a process that is killed
        uploader = Uploader(daemonOf(tmp_path))
        assert begin(uploader)["ready"]["offset"] == 5

    def test_half_a_chunk_is_sent_again(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        uploader = Uploader(daemon)
        begin(uploader)
        uploader.chunk(0, b"hello")
        uploader.client.protocol.send_binary(bytes(7) + b"\5" + crc32(b"world").to_bytes(4, "big") + b"world")
        uploader.client.wire.send(b"".join(uploader.client.protocol.data_to_send())[:-2])
        uploader.lose()
        assert begin(Uploader(daemon))["ready"]["offset"] == 5

    def test_a_newer_connection_with_the_token_takes_over(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        older, newer = Uploader(daemon), Uploader(daemon)
        begin(older)
        older.chunk(0, b"hello")
        assert begin(newer)["ready"]["offset"] == 5
        assert code(older.heard()) == "taken_over"
        assert older.chunk(5, b"w") == []
        newer.chunk(5, b"world")
        assert newer.say("end")[0]["done"]["size"] == 10
        begin(older, token="another_of_16_letters")

    def test_who_did_not_hear_of_the_end_is_told_again(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        uploader = Uploader(daemon)
        begin(uploader, size=0)
        (done,) = uploader.say("end")
        uploader.lose()
        assert begin(Uploader(daemon), size=0) == {"have": done["done"]}

    def test_after_it_expired_it_begins_anew(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [1000.0]
        monkeypatch.setattr("time.time", lambda: now[0])
        daemon = daemonOf(tmp_path, expire=60.0)
        uploader = Uploader(daemon)
        begin(uploader)
        uploader.chunk(0, b"hello")
        uploader.lose()
        now[0] += 61
        daemon.reactor.advance(60)
        assert begin(Uploader(daemon))["ready"]["offset"] == 0


class TestHave:
    def test_what_the_same_user_has_is_not_sent_again(self, tmp_path: Path) -> None:
        uploader = Uploader(daemonOf(tmp_path))
        begin(uploader, size=5)
        uploader.chunk(0, b"hello")
        (done,) = uploader.say("end")
        answer = begin(uploader, size=5, token="another_of_16_letters", sha256=sha256(b"hello").hexdigest())
        assert answer == {"have": done["done"]}

    def test_of_anothers_nobody_is_told(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        uploader = Uploader(daemon)
        begin(uploader, size=5)
        uploader.chunk(0, b"hello")
        uploader.say("end")
        other = Uploader(daemon)
        daemon.connections[-1].owner = next(iter(each for each in daemon.connections if each.owner)).owner + " else"
        for connection in daemon.connections:
            connection.owner = "somebody else"
        answer = begin(other, size=5, token="another_of_16_letters", sha256=sha256(b"hello").hexdigest())
        assert "ready" in answer


class TestAbort:
    def test_it_leaves_nothing(self, tmp_path: Path) -> None:
        uploader = Uploader(daemonOf(tmp_path))
        begin(uploader)
        uploader.chunk(0, b"hello")
        assert uploader.say("abort") == [{"aborted": {}}]
        assert list((tmp_path / "store" / "parts").iterdir()) == []
        assert begin(uploader)["ready"]["offset"] == 0

    def test_of_one_that_is_not_on_this_connection(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        older, newer = Uploader(daemon), Uploader(daemon)
        begin(older)
        older.chunk(0, b"hello")
        assert newer.say("abort", token=TOKEN) == [{"aborted": {}}]
        assert code(older.heard()) == "taken_over"
        assert begin(newer)["ready"]["offset"] == 0


class TestWhatGoesWrong:
    """Each ends the transfer, which may be begun again; the connection goes on."""

    def test_a_chunk_whose_crc_is_another(self, tmp_path: Path) -> None:
        uploader = Uploader(daemonOf(tmp_path, sync="each"))
        begin(uploader)
        uploader.chunk(0, b"hello")
        assert code(uploader.chunk(5, b"wurld", crc32(b"world"))) == "checksum"
        assert uploader.chunk(10, b"sent before the error came") == []
        assert uploader.say("end") == []
        assert begin(uploader)["ready"]["offset"] == 5

    @pytest.mark.parametrize("offset", [0, 4, 6, 2**63])
    def test_a_chunk_for_another_place(self, tmp_path: Path, offset: int) -> None:
        uploader = Uploader(daemonOf(tmp_path, **NOT_ASKED))
        begin(uploader)
        uploader.chunk(0, b"hello")
        assert code(uploader.chunk(offset, b"world")) == "offset"
        assert begin(uploader)["ready"]["offset"] == 5

    def test_more_bytes_than_announced(self, tmp_path: Path) -> None:
        uploader = Uploader(daemonOf(tmp_path, **NOT_ASKED))
        begin(uploader, size=5)
        uploader.chunk(0, b"hell")
        assert code(uploader.chunk(4, b"oworld")) == "size"
        assert begin(uploader, size=5)["ready"]["offset"] == 4

    def test_fewer_bytes_than_announced(self, tmp_path: Path) -> None:
        uploader = Uploader(daemonOf(tmp_path, **NOT_ASKED))
        begin(uploader)
        uploader.chunk(0, b"hello")
        assert code(uploader.say("end")) == "size"
        assert begin(uploader)["ready"]["offset"] == 5

    def test_another_content_than_announced_begins_anew(self, tmp_path: Path) -> None:
        uploader = Uploader(daemonOf(tmp_path, **NOT_ASKED))
        begin(uploader, size=5)
        uploader.chunk(0, b"hello")
        assert code(uploader.say("end", sha256="0" * 64)) == "sha256"
        assert begin(uploader, size=5)["ready"]["offset"] == 0

    def test_a_chunk_without_its_head(self, tmp_path: Path) -> None:
        uploader = Uploader(daemonOf(tmp_path))
        begin(uploader)
        assert code(uploader.raw(b"hello")) == "bad_message"

    def test_a_chunk_before_begin(self, tmp_path: Path) -> None:
        uploader = Uploader(daemonOf(tmp_path))
        assert code(uploader.chunk(0, b"hello")) == "no_transfer"
        assert uploader.chunk(5, b"hello") == []
        assert "ready" in begin(uploader)

    def test_a_token_of_another_file(self, tmp_path: Path) -> None:
        uploader = Uploader(daemonOf(tmp_path))
        begin(uploader)
        assert code(uploader.say("begin", name="b.txt", size=10, token=TOKEN)) == "conflict"

    def test_a_file_that_is_too_large_is_refused_before_a_byte_is_sent(self, tmp_path: Path) -> None:
        uploader = Uploader(daemonOf(tmp_path, max_file=1000))
        assert code(uploader.say("begin", name="a", size=1001)) == "too_large"

    def test_two_that_fit_only_apart(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path, quota=1000)
        one, two = Uploader(daemon), Uploader(daemon)
        begin(one, size=600)
        one.chunk(0, bytes(500))
        assert code(two.say("begin", name="b", size=600)) == "quota"

    def test_a_full_store_is_told_in_time_and_what_was_acknowledged_goes_on(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path, quota=1000, sync="each", delete=True)
        one, two = Uploader(daemon), Uploader(daemon)
        begin(one, size=900)
        begin(two, size=600, token="f" * 16)
        assert two.chunk(0, bytes(300))[-1]["ack"]["offset"] == 300
        assert code(one.chunk(0, bytes(100))) == "quota"
        assert two.chunk(300, bytes(300))[-1]["ack"]["offset"] == 600
        (done,) = two.say("end")
        two.say("delete", id=done["done"]["id"])
        assert begin(one, size=900)["ready"]["offset"] == 0
        assert one.chunk(0, bytes(900))[-1]["ack"]["offset"] == 900
        assert "done" in one.say("end")[0]

    def test_what_is_begun_and_not_sent_takes_nothing_from_others(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path, quota=1000, max_unfinished=2)
        uploader = Uploader(daemon)
        for number in range(2):
            begin(uploader, size=1000, token=f"{number:016}")
        assert code(uploader.say("begin", name="a", size=1000)) == "too_many"
        client = daemon.open("/blob")
        (bare,) = (each for each in daemon.connections if each.subprotocol is None)
        bare.owner, bare.source = "somebody else", "192.0.2.7"
        client.say(b"of another")
        (receipt,) = told(client)
        assert receipt["size"] == 10

    @pytest.mark.parametrize(
        "message",
        [
            "hello",
            "[]",
            "{}",
            "[" * 5000,
            '{"begin": {}, "end": {}}',
            '{"begin": 7}',
            '{"begin": {"name": "a"}}',
            '{"begin": {"size": 1}}',
            '{"begin": {"name": "a", "size": -1}}',
            '{"begin": {"name": "a", "size": 1.5}}',
            '{"begin": {"name": "a", "size": true}}',
            '{"begin": {"name": "a", "size": "1"}}',
            '{"begin": {"name": "a", "size": 9007199254740992}}',
            '{"begin": {"name": "a", "size": 1, "token": "short"}}',
            '{"begin": {"name": "a", "size": 1, "token": "../../../etc/passwd"}}',
            '{"begin": {"name": "a", "size": 1, "sha256": "abc"}}',
            '{"begin": {"name": "a", "size": 1, "chunk": 0}}',
            '{"begin": {"name": "a", "size": 1, "color": "red"}}',
            '{"end": {"sha256": 7}}',
            '{"get": {"id": "abc"}}',
            '{"credit": {"bytes": -1}}',
        ],
    )
    def test_a_message_that_is_none(self, tmp_path: Path, message: str) -> None:
        uploader = Uploader(daemonOf(tmp_path))
        assert code(uploader.raw(message)) == "bad_message"
        assert "ready" in begin(uploader)

    @pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a\0b", "a\tb", "x" * 10_000, "é" * 128, "\u202ea"])
    def test_a_name_that_is_none(self, tmp_path: Path, name: str) -> None:
        uploader = Uploader(daemonOf(tmp_path))
        assert code(uploader.say("begin", name=name, size=1)) == "bad_name"

    @pytest.mark.parametrize("name", ["end", "abort"])
    def test_an_end_without_a_beginning(self, tmp_path: Path, name: str) -> None:
        assert code(Uploader(daemonOf(tmp_path)).say(name)) == "no_transfer"


def stored(uploader: Uploader, content: bytes) -> Any:
    begin(uploader, size=len(content), token=sha256(content).hexdigest())
    uploader.chunk(0, content)
    return uploader.say("end")[-1]["done"]


class TestDownload:
    @staticmethod
    def chunks(answers: list[Any]) -> bytes:
        content = b""
        for answer in answers:
            if isinstance(answer, bytes):
                _, crc = unpack(">QI", answer[:12])
                assert crc == crc32(answer[12:])
                content += answer[12:]
        return content

    def test_the_whole_file(self, tmp_path: Path) -> None:
        uploader = Uploader(daemonOf(tmp_path))
        content = bytes(range(256)) * 4000
        receipt = stored(uploader, content)
        answers = uploader.say("get", id=receipt["id"], credit=1 << 30)
        assert answers[0] == {"file": {**receipt, "offset": 0, "length": len(content)}}
        assert self.chunks(answers) == content
        assert answers[-1] == {"sent": {"offset": len(content)}}

    def test_a_part_of_it(self, tmp_path: Path) -> None:
        uploader = Uploader(daemonOf(tmp_path))
        receipt = stored(uploader, b"0123456789")
        answers = uploader.say("get", id=receipt["id"], offset=3, length=4, credit=100)
        assert self.chunks(answers) == b"3456"
        assert unpack(">QI", answers[1][:12])[0] == 3

    def test_under_the_clients_credit(self, tmp_path: Path) -> None:
        uploader = Uploader(daemonOf(tmp_path))
        receipt = stored(uploader, b"0123456789")
        answers = uploader.say("get", id=receipt["id"], credit=4)
        assert self.chunks(answers) == b"0123"
        assert self.chunks(uploader.say("credit", bytes=2)) == b"45"
        answers = uploader.say("credit", bytes=100)
        assert self.chunks(answers) == b"6789"
        assert answers[-1] == {"sent": {"offset": 10}}

    def test_stop_ends_it(self, tmp_path: Path) -> None:
        uploader = Uploader(daemonOf(tmp_path))
        receipt = stored(uploader, b"0123456789")
        uploader.say("get", id=receipt["id"], credit=4)
        assert uploader.say("stop") == [{"sent": {"offset": 4}}]
        assert self.chunks(uploader.say("get", id=receipt["id"], offset=4, credit=9)) == b"456789"

    def test_one_after_the_other(self, tmp_path: Path) -> None:
        uploader = Uploader(daemonOf(tmp_path))
        receipt = stored(uploader, b"0123456789")
        uploader.say("get", id=receipt["id"], credit=4)
        assert code(uploader.say("get", id=receipt["id"], credit=4)) == "busy"

    @pytest.mark.parametrize(("offset", "length"), [(11, 0), (5, 6), (2**53 - 1, 1)])
    def test_behind_the_end_is_nothing(self, tmp_path: Path, offset: int, length: int) -> None:
        uploader = Uploader(daemonOf(tmp_path))
        receipt = stored(uploader, b"0123456789")
        assert code(uploader.say("get", id=receipt["id"], offset=offset, length=length, credit=9)) == "range"

    def test_the_file_is_closed_if_the_client_is_gone_before_it_is_open(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        daemon = daemonOf(tmp_path)
        uploader = Uploader(daemon)
        receipt = stored(uploader, b"0123456789")
        closed: list[FileReader] = []
        monkeypatch.setattr(FileReader, "close", lambda reader: closed.append(reader))
        daemon.pool.slow = True
        uploader.say("get", id=receipt["id"], credit=4)
        (connection,) = daemon.connections
        connection.drop(Cause.aborted)
        daemon.pool.catchUp()
        assert len(closed) == 1

    @pytest.mark.parametrize("blobId", ["0" * 40, "../x", 7, ""])
    def test_of_what_is_not_there(self, tmp_path: Path, blobId: object) -> None:
        assert code(Uploader(daemonOf(tmp_path)).say("get", id=blobId, credit=1)) == "unknown"

    def test_a_client_that_does_not_read_is_not_sent_all(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        uploader = Uploader(daemon)
        receipt = stored(uploader, bytes(1 << 20))
        client = uploader.client
        for _ in range(30):
            client.protocol.send_text(json.dumps({"get": {"id": receipt["id"], "credit": 1 << 30}}).encode())
        client.wire.send(b"".join(client.protocol.data_to_send()))
        (connection,) = daemon.connections
        assert connection.unsent < 4 << 20


class TestListAndDelete:
    def test_neither_is_allowed_unless_the_route_says_so(self, tmp_path: Path) -> None:
        uploader = Uploader(daemonOf(tmp_path))
        receipt = stored(uploader, b"hello")
        assert code(uploader.say("list")) == "forbidden"
        assert code(uploader.say("delete", id=receipt["id"])) == "forbidden"

    def test_who_uploaded_them_is_told_of_them(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path, list=True)
        uploader = Uploader(daemon)
        receipts = [stored(uploader, content) for content in (b"one", b"two")]
        assert uploader.say("list") == [{"files": receipts}]
        for connection in daemon.connections:
            connection.owner = "somebody else"
        assert uploader.say("list") == [{"files": []}]

    def test_who_uploaded_one_may_remove_it(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path, delete=True)
        uploader = Uploader(daemon)
        receipt = stored(uploader, b"one")
        for connection in daemon.connections:
            mine, connection.owner = connection.owner, "somebody else"
        assert code(uploader.say("delete", id=receipt["id"])) == "forbidden"
        for connection in daemon.connections:
            connection.owner = mine
        assert uploader.say("delete", id=receipt["id"]) == [{"deleted": {"id": receipt["id"]}}]
        assert code(uploader.say("get", id=receipt["id"], credit=1)) == "unknown"


class TestASlowDisk:
    def test_it_is_not_read_faster_than_it_is_written(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path, credit=64 << 20, max_chunk=64 << 20)
        backlog = daemon.factories["/blob"].transfers.backlog
        uploader = Uploader(daemon)
        begin(uploader, size=40 << 20)
        daemon.pool.slow = True
        chunk = pack(">QI", 0, crc32(bytes(40 << 20))) + bytes(40 << 20)
        uploader.client.protocol.send_binary(chunk)
        data = b"".join(uploader.client.protocol.data_to_send())
        taken = uploader.client.wire.push(data)
        assert backlog.waiting < 4 << 20
        assert taken < len(data)
        daemon.pool.catchUp()
        uploader.client.wire.send(data[taken:])
        assert uploader.say("end")[-1]["done"]["sha256"] == sha256(bytes(40 << 20)).hexdigest()
        assert backlog.waiting == 0

    def test_all_uploads_together_wait_when_much_waits(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path, credit=64 << 20, buffer=1 << 20)
        backlog = daemon.factories["/blob"].transfers.backlog
        uploaders = [Uploader(daemon) for _ in range(8)]
        for number, uploader in enumerate(uploaders):
            begin(uploader, size=1 << 20, token=f"{number:016}")
        daemon.pool.slow = True
        frames = []
        for uploader in uploaders:
            uploader.client.protocol.send_binary(pack(">QI", 0, crc32(bytes(1 << 20))) + bytes(1 << 20))
            frames.append(b"".join(uploader.client.protocol.data_to_send()))
        taken = [uploader.client.wire.push(frame) for uploader, frame in zip(uploaders, frames, strict=True)]
        assert backlog.waiting < 3 << 20
        daemon.pool.catchUp()
        for uploader, frame, size in zip(uploaders, frames, taken, strict=True):
            uploader.client.wire.send(frame[size:])
            assert uploader.say("end")[-1]["done"]["size"] == 1 << 20


class TestADiskThatRefuses:
    @pytest.mark.parametrize(
        ("number", "told"), [(errno.ENOSPC, "disk_full"), (errno.EROFS, "read_only"), (errno.EIO, "unavailable")]
    )
    def test_it_is_told_and_what_was_acknowledged_is_kept(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, told: str
    ) -> None:
        def refuse(*_: object) -> int:
            raise OSError(number, "no")

        uploader = Uploader(daemonOf(tmp_path, sync="each"))
        begin(uploader)
        uploader.chunk(0, b"hello")
        with monkeypatch.context() as patch:
            patch.setattr("os.pwritev", refuse)
            assert code(uploader.chunk(5, b"world")) == told
        assert begin(uploader)["ready"]["offset"] == 5
        uploader.chunk(5, b"world")
        assert uploader.say("end")[-1]["done"]["sha256"] == sha256(b"helloworld").hexdigest()


def slip(*_: object) -> Any:
    raise ValueError("nobody has foreseen this")


class TestWhatNobodyHasForeseen:
    """It is told as a store that failed, the log has it, and nobody waits for ever."""

    def test_of_a_chunk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        uploader = Uploader(daemonOf(tmp_path, sync="each"))
        begin(uploader)
        uploader.chunk(0, b"hello")
        with monkeypatch.context() as patch, capturedLogs() as events:
            patch.setattr("os.pwritev", slip)
            assert code(uploader.chunk(5, b"world")) == "unavailable"
        assert [event["event"] for event in events if "log_failure" in event] == ["blob.store"]
        assert begin(uploader)["ready"]["offset"] == 5

    @pytest.mark.parametrize("place", ["UploadFile.sync", "UploadFile.checkPiece"])
    def test_of_what_is_done_beside(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
        uploader = Uploader(daemonOf(tmp_path, sync="each"))
        begin(uploader)
        with monkeypatch.context() as patch:
            patch.setattr(f"wsd.protocols.blob.file.{place}", slip)
            assert code(uploader.chunk(0, b"hello")) == "unavailable"
        assert "ready" in begin(uploader)

    def test_of_an_end(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        uploader = Uploader(daemonOf(tmp_path))
        begin(uploader, size=5)
        uploader.chunk(0, b"hello")
        with monkeypatch.context() as patch:
            patch.setattr("os.rename", slip)
            assert code(uploader.say("end")) == "unavailable"
        assert "have" in begin(uploader, size=5)

    def test_of_a_download_after_which_there_may_be_another(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        uploader = Uploader(daemonOf(tmp_path))
        begin(uploader, size=5)
        uploader.chunk(0, b"hello")
        blobId = uploader.say("end")[0]["done"]["id"]
        with monkeypatch.context() as patch:
            patch.setattr("os.pread", slip)
            assert code(uploader.say("get", id=blobId, credit=5)[1:]) == "unavailable"
        assert uploader.say("get", id=blobId, credit=5)[-1] == {"sent": {"offset": 5}}

    def test_of_a_store_that_is_opened(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        daemon = daemonOf(tmp_path)
        uploader = Uploader(daemon)
        with monkeypatch.context() as patch:
            patch.setattr("wsd.protocols.blob.store.BlobIndex", slip)
            assert code(uploader.say("begin", name="a", size=1)) == "unavailable"
            assert daemon.factories["/blob"].ready() is not None
        assert "ready" in begin(uploader)
        assert daemon.factories["/blob"].ready() is None


class TestTheLog:
    def test_a_fault_of_the_store_is_there_once_a_minute(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        daemon, numbers = daemonOf(tmp_path), count()

        def refuse(*_: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device", f"parts/{next(numbers)}")

        monkeypatch.setattr("os.pwritev", refuse)

        def upload() -> None:
            uploader = Uploader(daemon)
            begin(uploader)
            assert code(uploader.chunk(0, b"hello")) == "disk_full"

        with capturedLogs() as events:
            upload()
            upload()
            daemon.pass_(61)
            upload()
        lines = [formatEvent(event) for event in events if event.get("event") == "blob.store"]
        assert len(lines) == 2
        assert "/blob: the store's disk is full" in lines[0]
        assert "No space left on device" in lines[0]
        assert "parts/0" in lines[0]

    def test_what_a_client_does_wrong_is_not(self, tmp_path: Path) -> None:
        uploader = Uploader(daemonOf(tmp_path))
        begin(uploader)
        with capturedLogs() as events:
            assert code(uploader.chunk(0, b"hello", crc=7)) == "checksum"
        assert [event for event in events if event.get("event") == "blob.store"] == []
