"""The protocol of the control socket: requests and answers as JSON lines."""

from __future__ import annotations

import pytest

from tests.control.controlled import Controlled, logged


class TestARequest:
    @pytest.mark.parametrize(
        ("line", "sentence"),
        [
            (b"status", 'this is not JSON: Expecting value: line 1 column 1 (char 0); write {"command": "status"}'),
            (b'"status"', 'a request is an object, such as {"command": "status"}'),
            (b"{}", 'there is no command "None"; known are '),
            (b'{"command": ["status"]}', "there is no command \"['status']\"; "),
            (b'{"command": "statos"}', 'there is no command "statos"; did you mean "status"?'),
            (b'{"command": "status", "id": "x"}', 'there is no field "id" in this command; known are "command"'),
            (b"[" * 60_000, "this is not JSON: "),
            (b"\xff", "this is not JSON: "),
            (b'{"command": "close", "all": true, "reason": "\\ud800"}', "a request has one half of a surrogate pair"),
            (b'{"command": "close", "ids": ["\xed\xa0\x80"]}', "a request has one half of a surrogate pair"),
        ],
        ids=lambda value: str(value)[:30],
    )
    def test_that_is_wrong_gets_one_sentence(self, controlled: Controlled, line: bytes, sentence: str) -> None:
        client = controlled.control()
        client.send(line + b"\n")
        (answer,) = client.lines
        assert answer["ok"] is False
        assert answer["error"].startswith(sentence)
        assert client.ask("status")[1]["ok"] is True

    def test_without_an_end_ends_the_connection(self, controlled: Controlled) -> None:
        client = controlled.control()
        client.send(b" " * 65537)
        assert client.lines == [{"ok": False, "error": "a request has at most 65536 bytes"}]
        assert client.transport.disconnecting

    def test_may_come_in_pieces_and_several_at_once(self, controlled: Controlled) -> None:
        client = controlled.control()
        client.send(b'{"command": "log-')
        client.send(b'level"}\n{"command": "log-level"}\r\n{"command":')
        assert [line["level"] for line in client.lines] == ["info", "info"]
        client.send(b'"log-level"}\n')
        assert [line["level"] for line in client.lines] == ["info"]

    def test_waits_for_the_answer_to_the_one_before(self, controlled: Controlled) -> None:
        controlled.open()
        client = controlled.control()
        client.send(b'{"command": "drain", "timeout": 0}\n{"command": "log-level"}\n')
        assert client.lines == []
        assert client.transport.producerState == "paused"
        controlled.pass_(1)
        assert [line.get("level") for line in client.lines if "ok" in line] == [None, "info"]
        assert client.transport.producerState == "producing"

    def test_that_steers_is_logged_and_one_that_looks_is_not(self, controlled: Controlled) -> None:
        with logged() as lines:
            controlled.ask("status")
            controlled.ask("log-level", level="warn")
        assert lines == ['control: log-level {"level":"warn"} by process 0 of user -1']

    def test_whose_command_fails_says_so_and_the_log_has_the_traceback(
        self, controlled: Controlled, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(type(controlled.daemon), "readStatus", lambda daemon: 1 / 0)
        with logged() as lines:
            sentence = controlled.refusal("status")
        assert sentence.startswith("an internal error occurred: ZeroDivisionError: division by zero")
        assert lines == ["a control command failed"]


class TestAnAnswer:
    def test_is_written_no_faster_than_the_client_reads(self, controlled: Controlled) -> None:
        for _ in range(3):
            controlled.open()
        client = controlled.control()
        outlet = client.transport.producer
        outlet.pauseProducing()
        client.send(b'{"command": "connections"}\n{"command": "log-level"}\n')
        for _ in range(10):
            client.turn()
        assert [line["ok"] for line in client.lines if "ok" in line] == [True]
        outlet.resumeProducing()
        assert [line["level"] for line in client.lines] == ["info"]

    def test_to_a_client_that_is_gone_ends(self, controlled: Controlled) -> None:
        controlled.open()
        client = controlled.control()
        client.transport.producer.pauseProducing()
        client.send(b'{"command": "connections"}\n')
        client.protocol.connectionLost()
        for _ in range(10):
            client.turn()
        assert controlled.ask("log-level")[1]["ok"]
