"""The hook `answer`: what it returns is sent, on every plane as if the protocol had called `send`."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from tests.wire import Client, Daemon
from wsd.config import Policies
from wsd.connection import Closed, Connection, Factory, Prepared


class Answering(Connection):
    """Returns what a text asks for; a binary message comes back."""

    factory: AnsweringFactory
    waiting: Deferred[Any] | None = None

    def answer(self, payload: bytes, isBinary: bool) -> Any:
        if isBinary:
            return payload
        word, _, rest = payload.decode().partition(" ")
        return getattr(self, f"do_{word}", self.do_back)(rest)

    def do_back(self, rest: str) -> bytes:
        return f"back {rest}".encode()

    def do_text(self, rest: str) -> str:
        return f"text {rest}"

    def do_prepared(self, rest: str) -> Prepared:
        return self.factory.prepare(rest.encode())

    def do_nothing(self, rest: str) -> None:
        return None

    def do_empty(self, rest: str) -> bytes:
        return b""

    def do_number(self, rest: str) -> int:
        return 7

    def do_fail(self, rest: str) -> bytes:
        raise RuntimeError("a hook fails")

    def do_close(self, rest: str) -> bytes:
        raise Closed(4000, rest)

    def do_first(self, rest: str) -> bytes:
        self.send("first")
        return b"then"

    def do_leave(self, rest: str) -> bytes:
        self.close(4001)
        return b"too late"

    def do_drop(self, rest: str) -> bytes:
        self.drop()
        return b"too late"

    def do_hold(self, rest: str) -> bytes:
        self.hold()
        return b"held"

    def do_wait(self, rest: str) -> Deferred[Any]:
        self.waiting = Deferred()
        return self.waiting

    async def do_later(self, rest: str) -> Any:
        return await self.do_wait(rest)


class AnsweringFactory(Factory):
    connection = Answering


class Shouting(Answering):
    """Overrides `received`, so `answer` is called only if that calls it."""

    def received(self, payload: bytes, isBinary: bool) -> Any:
        if payload == b"super":
            return super().received(payload, isBinary)
        self.send(payload.upper(), isBinary)
        return None


class ShoutingFactory(Factory):
    connection = Shouting


class Signing(Answering):
    """Sends everything with a mark."""

    def send(self, payload: Any, isBinary: bool = True, fragment: int = 0, deflate: bool = True) -> None:
        super().send(payload + b"!", isBinary, fragment, deflate)


class SigningFactory(Factory):
    connection = Signing


class Both(Answering):
    """Answers what came in one piece, and counts all else."""

    size = 0

    def began(self, isBinary: bool) -> None:
        self.size = 0

    def arrived(self, data: bytes) -> None:
        self.size += len(data)

    def ended(self) -> None:
        self.send(b"%d bytes" % self.size)


class BothFactory(Factory):
    connection = Both


def opened(build: type[Factory] = AnsweringFactory, **policies: Any) -> tuple[Client, Any]:
    daemon = Daemon({"/": build}, policies=Policies(**policies))
    client = Client(daemon.connect()).handshake()
    [connection] = daemon.connections
    return client, connection


class TestAnAnswer:
    def test_of_bytes_has_the_kind_of_the_message(self) -> None:
        client, _ = opened()
        assert client.messages(client.say("now")) == ["back "]
        assert client.messages(client.say(b"now")) == [b"now"]

    def test_of_str_is_text(self) -> None:
        client, _ = opened()
        assert client.messages(client.say("text é")) == ["text é"]

    def test_may_be_prepared(self) -> None:
        client, _ = opened()
        assert client.messages(client.say("prepared abc")) == [b"abc"]

    def test_may_be_empty(self) -> None:
        client, _ = opened()
        assert client.messages(client.say("empty")) == [""]

    def test_of_none_is_not_sent(self) -> None:
        client, connection = opened()
        assert client.say("nothing") == []
        assert (connection.messagesReceived, connection.messagesSent) == (1, 0)

    @pytest.mark.parametrize("word", ["wait", "later"])
    def test_may_come_later_and_nothing_is_read_meanwhile(self, word: str) -> None:
        client, connection = opened()
        client.protocol.send_text(word.encode())
        client.protocol.send_text(b"after")
        assert client.exchange() == []
        assert connection.held == 1
        assert connection.memoryInUse >= len(word)
        connection.waiting.callback(b"at last")
        assert client.messages(client.exchange()) == ["at last", "back "]
        assert (connection.held, connection.memoryInUse) == (0, 0)

    def test_may_turn_out_to_be_none(self) -> None:
        client, connection = opened()
        client.say("later")
        connection.waiting.callback(None)
        assert client.exchange() == []
        assert connection.held == 0

    def test_that_fails_later_closes_as_one_that_fails_at_once(self) -> None:
        client, connection = opened()
        client.say("later")
        with capturedLogs() as events:
            connection.waiting.errback(RuntimeError("too late"))
            client.exchange()
        assert len([event for event in events if "log_failure" in event]) == 1
        assert client.closeCode == 1011

    def test_follows_what_the_hook_has_sent(self) -> None:
        client, _ = opened()
        assert client.messages(client.say("first")) == ["first", "then"]

    def test_of_many_messages_read_at_once_leaves_in_their_order(self) -> None:
        client, connection = opened()
        for number in range(200):
            client.protocol.send_binary(b"%d" % number)
        assert client.messages(client.exchange()) == [b"%d" % number for number in range(200)]
        assert (connection.messagesReceived, connection.messagesSent) == (200, 200)

    @pytest.mark.parametrize("size", [125, 126, 16384, 16385, 65535, 65536, 300_000])
    def test_may_have_any_size(self, size: int) -> None:
        client, connection = opened()
        assert client.messages(client.say(bytes(size))) == [bytes(size)]
        assert (connection.bytesReceived, connection.bytesSent) == (size, size)

    def test_to_a_message_in_several_frames(self) -> None:
        client, _ = opened()
        client.protocol.send_binary(b"abc", fin=False)
        assert client.exchange() == []
        client.protocol.send_continuation(b"def", fin=True)
        assert client.messages(client.exchange()) == [b"abcdef"]

    def test_is_counted_as_any_message(self) -> None:
        client, connection = opened()
        client.say(b"1234567")
        traffic = connection.factory.counters.traffic
        assert (traffic.messagesIn, traffic.bytesIn, traffic.messagesOut, traffic.bytesOut) == (1, 7, 1, 7)
        assert (sum(traffic.sizesIn()), sum(traffic.sizesOut())) == (1, 1)

    def test_is_in_the_access_line(self) -> None:
        client, _ = opened()
        client.say(b"1234567")
        with capturedLogs() as events:
            client.protocol.send_close(1000)
            client.exchange()
        [line] = [event for event in events if event.get("event") == "connection.closed"]
        assert (line["messages_sent"], line["bytes_sent"]) == (1, 7)

    def test_is_deflated_if_that_was_agreed(self) -> None:
        daemon = Daemon({"/": AnsweringFactory})
        client = daemon.open("/", extensions=[ClientPerMessageDeflateFactory()])
        before = client.wire.transport.written()
        assert client.messages(client.say(bytes(10_000))) == [bytes(10_000)]
        assert client.wire.transport.written() - before < 200


class TestTheHook:
    @pytest.mark.parametrize("word", ["fail", "number"])
    def test_that_fails_or_returns_nonsense_closes_with_1011(self, word: str) -> None:
        client, _ = opened()
        with capturedLogs() as events:
            client.say(word)
        assert client.closeCode == 1011
        assert len([event for event in events if "log_failure" in event]) == 1

    def test_may_close_as_it_likes(self) -> None:
        client, _ = opened()
        client.say("close enough")
        assert (client.closeCode, client.closeReason) == (4000, "enough")

    def test_that_closes_answers_nothing_more(self) -> None:
        client, _ = opened()
        assert client.messages(client.say("leave")) == []
        assert client.closeCode == 4001

    def test_that_drops_its_connection_answers_nothing_more(self) -> None:
        client, _ = opened()
        assert client.messages(client.say("drop")) == []
        assert client.wire.ended

    def test_that_holds_still_answers_this_message(self) -> None:
        client, connection = opened()
        client.protocol.send_text(b"hold")
        client.protocol.send_text(b"next")
        assert client.messages(client.exchange()) == ["held"]
        connection.release()
        assert client.messages(client.exchange()) == ["back "]


class TestWhoIsAsked:
    def test_received_if_a_subclass_overrides_it(self) -> None:
        client, _ = opened(ShoutingFactory)
        assert client.messages(client.say("abc")) == ["ABC"]

    def test_answer_if_that_calls_it(self) -> None:
        client, _ = opened(ShoutingFactory)
        assert client.messages(client.say("super")) == ["back "]

    def test_send_if_it_is_overridden(self) -> None:
        client, _ = opened(SigningFactory)
        assert client.messages(client.say(b"abc")) == [b"abc!"]

    def test_answer_in_a_streaming_protocol_for_what_came_in_one_piece(self, plane: str) -> None:
        client, _ = opened(BothFactory)
        expected = [b"3 bytes"] if plane == "plain" else [b"abc"]
        assert client.messages(client.say(b"abc")) == expected
        client.protocol.send_binary(b"abc", fin=False)
        client.protocol.send_continuation(b"def", fin=True)
        assert client.messages(client.exchange()) == [b"6 bytes"]

    def test_the_plane_sends_by_itself_where_nothing_is_in_between(self) -> None:
        assert [each.answers for each in (Answering, Both, Shouting, Signing, Connection)] == [
            *(True, True, False, False, False)
        ]


class TestLimits:
    def test_a_peer_that_does_not_read_makes_it_full(self) -> None:
        client, connection = opened(max_message=8 << 20)
        client.protocol.send_binary(bytes(8 << 20))
        client.wire.push(b"".join(client.protocol.data_to_send()))
        client.wire.serve()
        assert (connection.isFull, connection.fulls) == (True, 1)
        assert connection.unsent > 0

    def test_an_answer_that_makes_too_much_unsent_drops_the_connection(self) -> None:
        client, connection = opened(max_message=8 << 20, max_unsent=1 << 20)
        client.protocol.send_binary(bytes(8 << 20))
        client.wire.push(b"".join(client.protocol.data_to_send()))
        client.wire.serve()
        assert str(connection.cause) == "overrun"

    def test_the_rate_of_a_client_counts_its_messages(self) -> None:
        client, connection = opened(ping_interval=0.0, messages_per_second=10)
        for _ in range(25):
            client.protocol.send_binary(b"x")
        assert len(client.messages(client.exchange())) == 11
        assert connection.heldByRate == 1
        client.wire.daemon.pass_(3)
        assert len(client.messages(client.exchange())) == 14
