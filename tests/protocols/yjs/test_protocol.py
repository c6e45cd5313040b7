"""A document that several people edit: what each of them sees, and what outlives a restart."""

from __future__ import annotations

import gc
import sqlite3
import weakref
from pathlib import Path
from typing import Any

import pytest
from pycrdt import Doc
from twisted.internet.defer import succeed
from twisted.logger import capturedLogs

from tests.protocols.yjs.editors import Editor, daemonOf
from wsd.policies.budget import MemoryUse
from wsd.protocols.yjs.document import SharedDocument
from wsd.protocols.yjs.documents import Documents
from wsd.protocols.yjs.messages import ClientState, SyncStep, awarenessMessage, number, sized, syncMessage
from wsd.protocols.yjs.store import Store


def closing(editor: Editor) -> tuple[int | None, str]:
    code = editor.client.closeCode
    return code, editor.client.closeReason


class TestAnEdit:
    def test_reaches_everyone_at_the_document_and_nobody_at_another(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        ann, bob, eve = Editor(daemon), Editor(daemon), Editor(daemon, "other")
        ann.write("hello")
        bob.sync()
        bob.write("!")
        assert (ann.content, bob.content, eve.content) == ("hello!", "hello!", "")

    def test_comes_back_to_its_author_when_it_is_on_the_disk(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        ann = Editor(daemon)
        daemon.pool.slow = True
        ann.write("hello")
        assert ann.echoed == 0
        daemon.pool.catchUp()
        ann.sync()
        assert ann.echoed == 1

    def test_is_seen_by_nobody_before_it_is_on_the_disk(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        ann, bob = Editor(daemon), Editor(daemon)
        daemon.pool.slow = True
        ann.write("hello")
        late = Editor(daemon)
        assert (bob.content, late.content) == ("", "")
        daemon.pool.catchUp()
        assert (bob.content, late.content) == ("hello", "hello")

    def test_of_two_at_once_merges(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        ann, bob = Editor(daemon), Editor(daemon)
        ann.text.insert(0, "a" * 50)
        bob.text.insert(0, "b" * 50)
        ann.sync()
        bob.sync()
        assert ann.content == bob.content
        assert sorted(ann.content) == ["a"] * 50 + ["b"] * 50

    def test_made_offline_is_sent_when_its_author_connects_again(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        ann, bob = Editor(daemon), Editor(daemon)
        ann.client.close()
        ann.text.insert(0, "offline")
        bob.write("online")
        again = Editor(daemon, doc=ann.doc)
        assert sorted(again.content) == sorted("onlineoffline")
        assert bob.content == again.content

    def test_that_changes_nothing_is_not_stored(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        ann = Editor(daemon)
        ann.write("hello")
        for _ in range(3):
            ann.client.say(syncMessage(SyncStep.UPDATE, ann.doc.get_update()))
        assert len(Store(tmp_path / "yjs.sqlite").read("room")) == 1


class TestADocument:
    def test_outlives_a_restart(self, tmp_path: Path) -> None:
        Editor(daemonOf(tmp_path)).write("kept")
        assert Editor(daemonOf(tmp_path)).content == "kept"

    def test_is_written_anew_when_its_updates_have_doubled(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        ann = Editor(daemon)
        for number_ in range(70):
            ann.write(f"{number_:02}" + "x" * 1000)
        stored = Store(tmp_path / "yjs.sqlite").read("room")
        assert len(stored) < 10
        assert Editor(daemonOf(tmp_path)).content == ann.content

    def test_is_closed_some_seconds_after_everyone_has_left_and_read_again(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        ann = Editor(daemon)
        ann.write("kept")
        ann.client.close()
        daemon.pass_(25)
        begun = daemon.pool.begun
        assert Editor(daemon).content == "kept"
        assert daemon.pool.begun > begun

    def test_has_a_name_of_any_text_without_control_characters(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        Editor(daemon, "notes/%E7%AC%94%E8%AE%B0%201").write("hello")
        assert Editor(daemon, "notes/%E7%AC%94%E8%AE%B0%201").content == "hello"

    @pytest.mark.parametrize(
        ("name", "sentence"), [("", "1 to 200 bytes"), ("a" * 201, "1 to 200 bytes"), ("a%01b", "control character")]
    )
    def test_of_a_bad_name_is_refused(self, tmp_path: Path, name: str, sentence: str) -> None:
        response = daemonOf(tmp_path).open(f"/yjs/{name}").response
        assert response is not None
        assert response.status_code == 404
        assert sentence in (response.body or b"").decode()

    def test_that_nobody_used_is_removed_if_the_route_says_so(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path, unused=60)
        daemon.factories["/yjs/*"].documents._now = daemon.reactor.seconds
        ann = Editor(daemon)
        ann.write("old")
        ann.client.close()
        daemon.pass_(100)
        assert Store(tmp_path / "yjs.sqlite").all() == []
        assert Editor(daemon).content == ""

    def test_that_is_closed_takes_no_memory(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        ann = Editor(daemon)
        ann.write("hello")
        documents = daemon.factories["/yjs/*"].documents
        opened = weakref.ref(documents._open["room"])
        ann.client.close()
        daemon.pass_(25)
        gc.collect()
        assert opened() is None


class TestLimits:
    def test_one_document_too_many_is_refused(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path, max_documents=2)
        for name in ("a", "b"):
            Editor(daemon, name).write("x")
        response = daemon.open("/yjs/c").response
        assert response is not None
        assert (response.status_code, "2 documents" in (response.body or b"").decode()) == (503, True)
        assert Editor(daemon, "a").content == "x"

    def test_an_update_that_makes_a_document_too_large_closes_with_1009(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path, max_document=2000)
        ann, bob = Editor(daemon), Editor(daemon)
        ann.write("x" * 1500)
        bob.sync()
        bob.write("y" * 1500)
        assert closing(bob) == (1009, "a document has at most 2000 bytes; this update would make it larger")
        assert ann.content == "x" * 1500

    def test_deleted_text_makes_room(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path, max_document=2000)
        ann = Editor(daemon)
        for _ in range(5):
            ann.write("x" * 1500)
            del ann.text[0:1500]
            ann.sync()
        assert ann.content == ""

    def test_a_document_near_its_limit_is_measured_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        daemon = daemonOf(tmp_path, max_document=20_000)
        ann = Editor(daemon)
        ann.write("x" * 15_000)
        del ann.text[0:12_000]
        ann.write("x" * 3000)
        measured: list[SharedDocument] = []
        whole = SharedDocument.whole

        def count(document: SharedDocument) -> bytes:
            measured.append(document)
            return whole(document)

        monkeypatch.setattr(SharedDocument, "whole", count)
        for _ in range(20):
            ann.write("x" * 200)
        assert len(measured) <= 2
        assert len(ann.content) == 10_000

    def test_all_documents_together_are_limited(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path, max_total=2000)
        Editor(daemon, "a").write("x" * 1500)
        bob = Editor(daemon, "b")
        bob.write("y" * 1500)
        assert closing(bob) == (1009, "the store of documents is full")

    def test_a_client_that_reads_slowly_gets_what_it_missed_as_one_update(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        ann, bob = Editor(daemon), Editor(daemon)
        connection = next(each for each in daemon.connections if each is not daemon.connections[0])
        slow = bob if connection.peer.port == bob.client.wire.socket.getsockname()[1] else ann
        quick = ann if slow is bob else bob
        connection.full()
        for _ in range(50):
            quick.write("x")
        assert slow.client.messages()[slow._read :] == []
        connection.drained()
        daemon.reactor.advance(0)
        before = slow.echoed
        assert slow.content == "x" * 50
        assert slow.echoed == before + 1
        quick.write("y")
        assert slow.content == "x" * 50 + "y"


class TestWhoIsHere:
    def test_everyone_sees_everyone(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        ann, bob = Editor(daemon), Editor(daemon)
        ann.isHere({"name": "Ann"})
        bob.sync()
        assert bob.states == {ann.doc.client_id: {"name": "Ann"}}
        ann.sync()
        assert ann.states == bob.states, "a client hears its own state, and so knows that the server is there"

    def test_a_newcomer_sees_who_is_there(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        ann = Editor(daemon)
        ann.isHere({"name": "Ann"})
        assert Editor(daemon).states == {ann.doc.client_id: {"name": "Ann"}}

    def test_who_leaves_is_gone_for_the_others(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        ann, bob = Editor(daemon), Editor(daemon)
        ann.isHere({"name": "Ann"})
        ann.client.close()
        bob.sync()
        assert bob.states == {ann.doc.client_id: None}

    def test_who_does_not_renew_is_gone_after_half_a_minute(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        ann, bob = Editor(daemon), Editor(daemon)
        ann.isHere({"name": "Ann"})
        daemon.pass_(45)
        bob.sync()
        assert bob.states == {ann.doc.client_id: None}

    def test_who_was_away_is_told_to_announce_itself_anew(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        ann = Editor(daemon)
        ann.isHere({"name": "Ann"})
        ann.client.close()
        bob = Editor(daemon)
        again = Editor(daemon, doc=ann.doc)
        again.isHere({"name": "Ann"})
        again.sync()
        assert again.states == {ann.doc.client_id: None}, "it has gone for the others, so a client raises its clock"
        again.isHere({"name": "Ann"}, clock=2)
        bob.sync()
        assert bob.states == {ann.doc.client_id: {"name": "Ann"}}

    def test_a_query_is_answered(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        ann = Editor(daemon)
        ann.isHere({"name": "Ann"})
        ann.sync()
        ann.states.clear()
        ann.client.say(number(3))
        ann.sync()
        assert ann.states == {ann.doc.client_id: {"name": "Ann"}}


class TestALargeUpdate:
    """It is checked in steps, between which others are served."""

    def test_is_applied_before_what_follows_it(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        ann, ben = Editor(daemon), Editor(daemon)
        ann.text.insert(0, "a" * 50_000)
        ann.text.insert(50_000, "b")
        ann.sync()
        ben.sync()
        assert str(ben.text) == "a" * 50_000 + "b"
        assert daemon.budget.byUse[MemoryUse.handling] == 0

    def test_that_is_malformed_closes_with_1007(self, tmp_path: Path) -> None:
        ann = Editor(daemonOf(tmp_path))
        size = 20_000
        ann.client.say(b"\x00\x02" + bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14]) + b"\x01" * size)
        assert closing(ann)[0] == 1007
        assert ann.daemon.budget.byUse[MemoryUse.handling] == 0


class TestBadMessages:
    @pytest.mark.parametrize(
        ("message", "sentence"),
        [
            (b"", "a message ends within a number"),
            (b"\x07", "a message has the unknown type 7"),
            (b"\x00\x05\x00", "a sync message has the unknown step 5"),
            (b"\x00\x00\x05ab", "5 bytes are announced, and 2 follow"),
            (b"\x00\x00\x02\xff\xff", "a state vector cannot be read"),
            (b"\x00\x02\x00", "a message ends within a number"),
            (b"\x00\x02\x03\x01\x02\x03", "2 parts are announced, and 1 bytes follow"),
            (b"\x01" + sized(number(2000)), "an awareness update has 2000 clients; at most 1000 are allowed"),
            (awarenessMessage([ClientState(1, 1, "{")]), "the state of a client is not JSON"),
            (awarenessMessage([ClientState(1, 1, '"' + "x" * 20000 + '"')]), "more than 16384 characters"),
            (
                awarenessMessage([ClientState(client, 1, "{}") for client in range(65)]),
                "one connection has the states of more than 64 clients",
            ),
        ],
    )
    def test_close_with_1007_and_a_sentence(self, tmp_path: Path, message: bytes, sentence: str) -> None:
        ann = Editor(daemonOf(tmp_path))
        ann.client.say(message)
        code, reason = closing(ann)
        assert code == 1007
        assert sentence in reason

    def test_text_closes_with_1003(self, tmp_path: Path) -> None:
        ann = Editor(daemonOf(tmp_path))
        ann.client.say("hello")
        assert closing(ann) == (1003, "messages of y-websocket are binary")

    def test_a_message_about_authorization_is_ignored(self, tmp_path: Path) -> None:
        ann = Editor(daemonOf(tmp_path))
        ann.client.say(b"\x02\x00\x00")
        ann.write("still here")
        assert ann.content == "still here"


class TestADiskThatFails:
    def test_closes_the_documents_connections_which_send_again_what_is_missing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        daemon = daemonOf(tmp_path)
        factory = daemon.factories["/yjs/*"]
        ann, bob = Editor(daemon), Editor(daemon)
        ann.write("first ")
        with monkeypatch.context() as patch, capturedLogs() as logs:
            patch.setattr(Store, "write", _fail)
            ann.write("second")
        assert closing(ann)[0] == closing(bob)[0] == 1013
        assert factory.ready() == "its store cannot be written: database or disk is full"
        assert [each["event"] for each in logs if each.get("event", "").startswith("yjs")] == ["yjs.unwritable"]
        again = Editor(daemon, doc=ann.doc)
        assert again.content == "first second"
        assert factory.ready() is None
        assert Editor(daemonOf(tmp_path)).content == "first second"

    def test_keeps_the_other_documents_open(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        daemon = daemonOf(tmp_path)
        ann, eve = Editor(daemon), Editor(daemon, "other")
        eve.write("kept")
        eve.client.close()
        with monkeypatch.context() as patch, capturedLogs():
            patch.setattr(Store, "write", _fail)
            daemon.pool.slow = True
            ann.write("lost")
            late = Editor(daemon, "other")
            daemon.pool.catchUp()
        ann.sync()
        assert closing(ann)[0] == 1013
        assert late.content == "kept"

    def test_closes_who_was_about_to_open_the_document(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        daemon = daemonOf(tmp_path)
        ann = Editor(daemon)
        document = daemon.factories["/yjs/*"].documents._open["room"]
        with monkeypatch.context() as patch, capturedLogs():
            patch.setattr(Store, "write", _fail)
            ann.write("lost")
        monkeypatch.setattr(Documents, "take", lambda *_: succeed(document))
        assert daemon.open("/yjs/room").closeCode == 1013

    def test_at_the_start_keeps_the_route_closed(self, tmp_path: Path) -> None:
        (tmp_path / "yjs.sqlite").write_bytes(b"not a database" * 100)
        failures: list[str] = []
        started = daemonOf(tmp_path, isStarted=False).factories["/yjs/*"].started()
        started.addErrback(lambda failure: failures.append(str(failure.value)))
        assert failures == [f"{tmp_path}/yjs.sqlite: its store cannot be opened: file is not a database"]


class PanicException(BaseException):
    """What pycrdt raises when Rust panics."""


def test_a_panic_of_pycrdt_closes_the_document_and_keeps_what_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = daemonOf(tmp_path)
    ann, bob = Editor(daemon), Editor(daemon)
    ann.write("kept")
    message = syncMessage(SyncStep.UPDATE, ann.doc.get_update())
    with monkeypatch.context() as patch, capturedLogs() as logs:
        patch.setattr(Doc, "apply_update", _panic)
        bob.client.say(message)
    assert closing(ann)[0] == closing(bob)[0] == 1013
    assert "yjs.failed" in [each.get("event") for each in logs]
    assert Editor(daemon).content == "kept"


def _panic(*_: object) -> None:
    raise PanicException("index out of bounds")


def _fail(*_: object) -> None:
    raise sqlite3.OperationalError("database or disk is full")


def test_a_document_of_pycrdt_is_what_is_stored(tmp_path: Path) -> None:
    ann = Editor(daemonOf(tmp_path))
    ann.write("hello")
    doc: Doc[Any] = Doc()
    for update in Store(tmp_path / "yjs.sqlite").read("room"):
        doc.apply_update(update)
    assert doc.get_state() == ann.doc.get_state()
