"""Slots: a file is put once at a URL that was agreed on before, and fetched there by who knows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from tests.protocols.blob.stores import Answer, Uploader, ask, daemonOf
from tests.wire import Daemon
from wsd.connection import Refused

CONTENT = b"hello"
TUS = "Tus-Resumable: 1.0.0"


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    return daemonOf(tmp_path, quota=100)


def slot(daemon: Daemon, size: int = 5, owner: str = "alice@localhost", kind: str | None = None, **more: Any) -> str:
    """The path of a new one. Raises Refused."""
    coroutine = daemon.factories["/blob"].slots().newSlot(owner, "a b.txt", size, kind, **more)
    results: list[Any] = []
    Deferred.fromCoroutine(coroutine).addBoth(results.append)
    (result,) = results
    if isinstance(result, str):
        return result
    raise result.value


def put(daemon: Daemon, path: str, content: bytes = CONTENT) -> Answer:
    return ask(daemon, f"PUT {path}", f"Content-Length: {len(content)}", body=content)


def tokenOf(path: str) -> str:
    return path.split("/")[3]


class TestASlot:
    @pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS"])
    def test_without_a_token_there_is_none(self, daemon: Daemon, method: str) -> None:
        assert ask(daemon, f"{method} /blob/slot", "Content-Length: 1", body=b"x").status == 404

    def test_the_file_is_put_and_fetched(self, daemon: Daemon) -> None:
        path = slot(daemon)
        assert ask(daemon, f"GET {path}").status == 404
        assert put(daemon, path).status == 201
        assert ask(daemon, f"GET {path}").body == CONTENT

    def test_a_body_with_a_content_coding_is_415(self, daemon: Daemon) -> None:
        path = slot(daemon)
        answer = ask(daemon, f"PUT {path}", "Content-Length: 5", "Content-Encoding: gzip", body=CONTENT)
        assert (answer.status, answer.error, answer.headers["accept-encoding"]) == (415, "content_type", "identity")
        assert put(daemon, path).status == 201

    @pytest.mark.parametrize("kind", ["video/webm;codecs=vp9,opus", "audio/ogg; codecs=opus"])
    def test_its_type_is_as_it_was_told(self, daemon: Daemon, kind: str) -> None:
        path = slot(daemon, kind=kind)
        put(daemon, path, b"\x00\x01\x02\x03\x04")
        assert ask(daemon, f"GET {path}").headers["content-type"] == kind

    def test_a_type_that_is_none_is_not_known(self, daemon: Daemon) -> None:
        path = slot(daemon, kind="null")
        put(daemon, path, b"\x00\x01\x02\x03\x04")
        assert ask(daemon, f"GET {path}").headers["content-type"] == "application/octet-stream"


class TestRoom:
    def test_one_that_is_not_used_takes_nothing_from_others(self, daemon: Daemon) -> None:
        for _ in range(10):
            slot(daemon, size=100)
        assert put(daemon, slot(daemon)).status == 201

    def test_one_without_room_is_refused_when_it_is_asked_for(self, daemon: Daemon) -> None:
        with pytest.raises(Refused, match="the store has room for 100") as refused:
            slot(daemon, size=101)
        assert refused.value.status == 507

    def test_a_user_and_an_address_have_so_many(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path, max_unfinished=2)
        for number in range(2):
            slot(daemon, owner=f"user{number}@localhost", source="192.0.2.1")
        with pytest.raises(Refused) as refused:
            slot(daemon, owner="another@localhost", source="192.0.2.1")
        assert refused.value.status == 429
        slot(daemon, owner="another@localhost", source="192.0.2.2")


class TestTheToken:
    """All to whom the URL is sent know it."""

    @pytest.fixture
    def path(self, daemon: Daemon) -> str:
        path = slot(daemon)
        put(daemon, path)
        return path

    def code(self, answers: list[Any]) -> str:
        return str(answers[-1]["error"]["code"])

    def test_nobody_aborts_the_upload_by_it(self, daemon: Daemon, path: str) -> None:
        assert self.code(Uploader(daemon).say("abort", token=tokenOf(path))) == "unknown"
        assert ask(daemon, f"GET {path}").body == CONTENT

    def test_nor_before_it_is_finished(self, daemon: Daemon) -> None:
        path = slot(daemon)
        assert self.code(Uploader(daemon).say("abort", token=tokenOf(path))) == "unknown"
        assert put(daemon, path).status == 201

    def test_nobody_begins_with_it(self, daemon: Daemon, path: str) -> None:
        answers = Uploader(daemon).say("begin", name="a b.txt", size=5, token=tokenOf(path))
        assert self.code(answers) == "conflict"

    @pytest.mark.parametrize("method", ["HEAD", "DELETE"])
    def test_tus_does_not_know_it(self, daemon: Daemon, path: str, method: str) -> None:
        assert ask(daemon, f"{method} /blob/tus/{tokenOf(path)}", TUS).status == 404
        assert ask(daemon, f"GET {path}").body == CONTENT

    def test_nor_does_a_slot_know_that_of_another_upload(self, daemon: Daemon) -> None:
        token = "0123456789abcdef"
        uploader = Uploader(daemon)
        uploader.say("begin", name="secret", size=5, token=token)
        assert put(daemon, f"/blob/slot/{token}/secret").status == 404
        uploader.chunk(0, CONTENT)
        uploader.say("end")
        assert ask(daemon, f"GET /blob/slot/{token}/secret").status == 404

    def test_who_puts_a_file_is_not_interrupted_by_who_tries_elsewhere(self, daemon: Daemon) -> None:
        path = slot(daemon)
        wire = daemon.connect()
        wire.send(f"PUT {path} HTTP/1.1\r\nHost: localhost:9998\r\nContent-Length: 5\r\n\r\nhel".encode())
        Uploader(daemon).say("abort", token=tokenOf(path))
        assert Answer(wire.exchange(b"lo")).status == 201


def test_it_is_put_once(daemon: Daemon) -> None:
    path = slot(daemon)
    assert put(daemon, path).status == 201
    assert put(daemon, path, b"other").status == 400
    assert ask(daemon, f"GET {path}").body == CONTENT


def test_it_is_kept_over_a_restart(tmp_path: Path) -> None:
    daemon = daemonOf(tmp_path)
    path = slot(daemon)
    assert put(daemonOf(tmp_path), path).status == 201
    assert ask(daemonOf(tmp_path), f"GET {path}").body == CONTENT
