"""The API of a protocol: every hook, and the handling of its errors."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from websockets.protocol import State

from tests.every import Every, EveryFactory, StreamingFactory
from tests.wire import Daemon
from wsd.config import Policies
from wsd.metrics import Cause


class TestOpening:
    """Before the 101."""

    def test_accepts_with_the_subprotocol_and_the_headers_it_names(self) -> None:
        client = Daemon({"/": EveryFactory}).open(subprotocols=["two", "one"])
        assert client.response is not None
        assert client.response.status_code == 101
        assert client.response.headers["Upgrade"] == "websocket"
        assert client.response.headers["Sec-WebSocket-Protocol"] == "two"
        assert client.response.headers["X-Every"] == "hello"

    def test_refuses_with_a_status_and_a_sentence(self) -> None:
        client = Daemon({"/": EveryFactory}).open("/?wish=refuse")
        assert client.response is not None
        assert client.response.status_code == 402
        assert client.response.headers["X-Price"] == "1"
        assert client.response.body == b"pay first\n"

    @pytest.mark.parametrize("wish", ["fail", "nonsense"])
    def test_an_error_of_its_own_is_500_and_says_nothing_more(self, wish: str) -> None:
        client = Daemon({"/": EveryFactory}).open(f"/?wish={wish}")
        assert client.response is not None
        assert client.response.status_code == 500
        assert client.response.body is not None
        assert b"Error" not in client.response.body

    def test_may_take_its_time_and_loses_nothing_that_came_meanwhile(self) -> None:
        daemon = Daemon({"/": EveryFactory})
        client = daemon.open("/?wish=wait")
        assert client.response is None
        gate = daemon.factories["/"].gate
        client.wire.send(bytes.fromhex("8185000000007361792061"))
        gate.callback(None)
        client.exchange()
        assert client.messages() == ["hello a"]

    def test_must_not_take_for_ever(self) -> None:
        daemon = Daemon({"/": EveryFactory}, Policies(opening_timeout=10))
        client = daemon.open("/?wish=wait")
        daemon.pass_(11)
        client.exchange()
        assert client.response is not None
        assert client.response.status_code == 503

    def test_is_cancelled_when_the_client_goes(self) -> None:
        daemon = Daemon({"/": EveryFactory})
        client = daemon.open("/?wish=wait")
        client.wire.close()
        assert daemon.connections == []
        daemon.factories["/"].gate.callback(None)
        assert daemon.factories["/"].opened == []

    def test_may_take_the_bare_stream(self) -> None:
        daemon = Daemon({"/": EveryFactory})
        wire = daemon.connect()
        request = (
            b"GET /?wish=raw HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nbehind"
        )
        assert wire.exchange(request) == b"raw\nbehind"
        assert wire.exchange(b"more") == b"more"
        wire.close()
        assert daemon.factories["/"].raw.lost


class TestMessages:
    """Received and sent messages."""

    def test_text_and_binary(self) -> None:
        client = Daemon({"/": EveryFactory}).open()
        client.say("say ünï 😀")
        client.say(b"\x00\xff")
        assert client.messages() == ["hello ünï 😀", b"\x00\xff"]

    def test_the_hooks_come_in_order(self) -> None:
        daemon = Daemon({"/": EveryFactory})
        client = daemon.open()
        (connection,) = daemon.connections
        assert isinstance(connection, Every)
        client.say("say")
        client.close(3001, "enough")
        assert connection.said == [
            ("opening", "/", ()),
            ("opened", None),
            ("received", b"say", False),
            ("closed", 3001, "enough"),
        ]

    def test_a_message_may_be_streamed_as_it_arrives(self) -> None:
        daemon = Daemon({"/": StreamingFactory}, Policies(max_message=1 << 30, max_frame=1 << 30))
        client = daemon.open(chunk=30_000)
        (connection,) = daemon.connections
        client.say(bytes(100_000))
        said = connection.said
        assert said[0] == ("began", True)
        assert said[-1] == "ended"
        pieces = [event[1] for event in said[1:-1]]
        assert sum(pieces) == 100_000
        assert len(pieces) >= 3
        assert client.messages() == [b"ended"] or client.messages() == ["ended"]

    def test_one_prepared_message_reaches_many_whatever_they_negotiated(self) -> None:
        from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

        daemon = Daemon({"/": EveryFactory})
        plain = daemon.open()
        deflating = daemon.open(extensions=[ClientPerMessageDeflateFactory()])
        small = daemon.open(extensions=[ClientPerMessageDeflateFactory(server_max_window_bits=9)])
        text = json.dumps({"quotes": list(range(500))})
        for _ in range(3):
            plain.say(f"all {text}")
            for client in (deflating, small):
                client.exchange()
                client.say(f"say {text}")
        for client in (plain, deflating, small):
            client.exchange()
            assert client.messages().count(text) == 3
        assert deflating.messages().count(f"hello {text}") == 3


class TestErrorsOfHooks:
    """Errors of hooks end one connection, and nothing else."""

    def test_an_exception_is_close_code_1011(self) -> None:
        daemon = Daemon({"/": EveryFactory})
        client = daemon.open()
        other = daemon.open()
        client.say("fail")
        assert client.closeCode == 1011
        other.say("say still here")
        assert other.messages() == ["hello still here"]

    def test_closed_is_its_code_and_sentence(self) -> None:
        client = Daemon({"/": EveryFactory}).open()
        client.say("close 4000")
        assert client.closeCode == 4000
        assert re.fullmatch(r"as you wish \[[0-9a-f]{10}\]", client.protocol.close_reason or "")


class TestClosing:
    """Closing (RFC 6455 7.1)."""

    @pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1009, 1011, 1013, 3000, 4999])
    def test_any_code_that_may_be_sent(self, code: int) -> None:
        daemon = Daemon({"/": EveryFactory})
        client = daemon.open()
        (connection,) = daemon.connections
        connection.close(code, "why")
        assert client.closeCode == code

    @pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000])
    def test_a_code_that_may_not_be_sent_is_an_error_of_the_caller(self, code: int) -> None:
        daemon = Daemon({"/": EveryFactory})
        daemon.open()
        (connection,) = daemon.connections
        with pytest.raises(ValueError, match=str(code)):
            connection.close(code)

    def test_a_long_sentence_is_cut_between_two_characters(self) -> None:
        daemon = Daemon({"/": EveryFactory})
        client = daemon.open()
        (connection,) = daemon.connections
        connection.close(1000, "ü" * 100)
        client.exchange()
        assert client.protocol.close_reason == "ü" * 61

    @pytest.mark.parametrize(
        ("sentence", "reason"),
        [("", "[ID]"), ("enough", "enough [ID]"), ("x" * 110, "x" * 110 + " [ID]"), ("x" * 111, "x" * 111)],
        ids=["none", "a short one", "the longest", "one too long"],
    )
    def test_the_id_of_the_log_follows_the_sentence_where_there_is_room(self, sentence: str, reason: str) -> None:
        daemon = Daemon({"/": EveryFactory})
        client = daemon.open()
        (connection,) = daemon.connections
        connection.close(4000, sentence)
        client.exchange()
        assert client.protocol.close_reason == reason.replace("ID", connection.id)

    def test_and_a_failed_connection_has_it_too(self) -> None:
        daemon = Daemon({"/": EveryFactory}, replace(Policies(), max_message=10))
        client = daemon.open()
        (connection,) = daemon.connections
        client.say(b"x" * 11)
        assert client.closeCode == 1009
        assert (client.protocol.close_reason or "").endswith(f" [{connection.id}]")

    def test_and_none_of_them_with_the_policy_off(self) -> None:
        daemon = Daemon({"/": EveryFactory}, replace(Policies(), close_id=False))
        client = daemon.open()
        daemon.connections[0].close(4000, "enough")
        client.exchange()
        assert client.protocol.close_reason == "enough"

    def test_an_answer_to_the_peers_close_is_the_peers(self) -> None:
        client = Daemon({"/": EveryFactory}).open()
        client.close(1000, "bye")
        assert client.protocol.close_reason == "bye"

    def test_twice_is_once(self) -> None:
        daemon = Daemon({"/": EveryFactory})
        client = daemon.open()
        (connection,) = daemon.connections
        connection.close(4000)
        connection.close(4001)
        assert client.closeCode == 4000

    def test_a_peer_that_does_not_answer_is_dropped_after_the_closing_timeout(self) -> None:
        daemon = Daemon({"/": EveryFactory}, Policies(closing_timeout=5))
        client = daemon.open()
        (connection,) = daemon.connections
        connection.close(1000)
        assert client.protocol.state is State.OPEN
        daemon.pass_(6)
        assert connection.cause is Cause.closed
        assert daemon.connections == []

    def test_sending_after_the_close_is_nothing(self) -> None:
        daemon = Daemon({"/": EveryFactory})
        client = daemon.open()
        (connection,) = daemon.connections
        connection.close(1000)
        connection.send("late")
        client.exchange()
        assert client.messages() == []

    def test_a_held_connection_still_hears_the_answer_to_its_close(self) -> None:
        daemon = Daemon({"/": EveryFactory})
        client = daemon.open()
        client.say("hold")
        (connection,) = daemon.connections
        connection.close(4000)
        client.exchange()
        assert connection.wasClean
        assert daemon.connections == []


class TestKeepAlive:
    """Keep-alive: any received byte is a sign of life."""

    def test_a_ping_comes_every_interval(self) -> None:
        daemon = Daemon({"/": EveryFactory}, Policies(ping_interval=25, ping_timeout=20))
        client = daemon.open()
        for _ in range(3):
            daemon.pass_(25)
            client.exchange()
        assert [frame.opcode for frame in client.frames] == [9, 9, 9]
        assert len(daemon.connections) == 1

    def test_who_does_not_answer_is_dropped(self) -> None:
        daemon = Daemon({"/": EveryFactory}, Policies(ping_interval=25, ping_timeout=20))
        daemon.open()
        (connection,) = daemon.connections
        daemon.pass_(44)
        assert daemon.connections == [connection]
        daemon.pass_(2)
        assert daemon.connections == []
        assert connection.cause is Cause.ping_timeout

    def test_any_byte_counts_as_an_answer(self) -> None:
        daemon = Daemon({"/": EveryFactory}, Policies(ping_interval=25, ping_timeout=20))
        client = daemon.open()
        daemon.pass_(26)
        client.wire.send(b"\x82")
        daemon.pass_(22)
        assert len(daemon.connections) == 1

    def test_no_time_passes_while_the_process_is_stopped(self) -> None:
        daemon = Daemon({"/": EveryFactory}, Policies(ping_interval=25, ping_timeout=20))
        daemon.open()
        daemon.pass_(26)
        daemon.reactor.advance(3600)
        assert len(daemon.connections) == 1
