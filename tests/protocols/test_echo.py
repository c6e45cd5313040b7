"""echo: every message comes back unchanged, in order; each switch does what it says, or is refused by name."""

from __future__ import annotations

import pytest
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode

from tests.connection.test_large import turn
from tests.wire import Client, Daemon
from wsd.config import Policies
from wsd.metrics import Cause
from wsd.protocols.echo import EchoFactory, EchoOptions

MIB = 1024 * 1024


def echo(path: str = "/", daemon: Daemon | None = None, **arguments: object) -> Client:
    return (daemon or Daemon({"/": EchoFactory}, subprotocols=("soap", "xmpp"))).open(path, **arguments)


class TestMessages:
    """Unchanged and in order."""

    @pytest.mark.parametrize("message", ["", "hello", "<&> ünï 😀 \u0000 \ufffe", "菜鸟", b"", b"\x00\xff" * 3])
    def test_come_back(self, message: str | bytes) -> None:
        client = echo()
        client.say(message)
        assert client.messages() == [message]

    @pytest.mark.parametrize("size", [125, 126, 127, 65535, 65536, 512_000, 5 * MIB])
    def test_of_any_size(self, size: int) -> None:
        client = echo(daemon=Daemon({"/": EchoFactory}, Policies(max_message=32 * MIB)))
        message = bytes(range(256)) * (size // 256) + bytes(range(size % 256))
        client.say(message)
        assert client.messages() == [message]

    def test_come_back_whole_however_they_were_fragmented(self) -> None:
        client = echo()
        text = "ünï 😀".encode()
        client.protocol.send_text(text[:1], fin=False)
        for number in range(1, len(text) - 1):
            client.protocol.send_ping(b"between")
            client.protocol.send_continuation(text[number : number + 1], fin=False)
        client.protocol.send_continuation(text[-1:], fin=True)
        client.exchange()
        assert client.messages() == ["ünï 😀"]

    def test_many_at_once_come_back_in_order(self) -> None:
        client = echo()
        for number in range(1000):
            client.protocol.send_text(b"%d" % number)
        client.exchange()
        assert client.messages() == [str(number) for number in range(1000)]

    def test_deflated_when_that_was_agreed_on(self) -> None:
        client = echo(extensions=[ClientPerMessageDeflateFactory()])
        for _ in range(3):
            client.say("again and again " * 100)
        assert client.messages() == ["again and again " * 100] * 3
        assert client.protocol.extensions

    def test_one_that_is_too_large_closes_with_1009_at_its_header(self) -> None:
        daemon = Daemon({"/": EchoFactory}, Policies(max_message=MIB))
        client = echo(daemon=daemon)
        client.wire.send(bytes.fromhex("82ff7fffffffffffffff00000000"))
        assert client.closeCode == 1009

    def test_one_that_inflates_too_far_closes_with_1009(self) -> None:
        daemon = Daemon({"/": EchoFactory}, Policies(max_message=MIB))
        client = echo(daemon=daemon, extensions=[ClientPerMessageDeflateFactory()])
        client.say(bytes(16 * MIB))
        assert client.closeCode == 1009


class TestSubprotocols:
    """echo is where soap and xmpp can be selected, and are echoed."""

    def test_exactly_one_of_the_offered_is_chosen(self) -> None:
        assert echo(subprotocols=["soap", "xmpp"]).protocol.subprotocol == "soap"
        assert echo(subprotocols=["xmpp", "soap"]).protocol.subprotocol == "xmpp"

    def test_the_servers_order_where_the_route_says_so(self) -> None:
        daemon = Daemon({"/": EchoFactory}, subprotocols=("soap", "xmpp"), prefer="server")
        assert echo(daemon=daemon, subprotocols=["xmpp", "soap"]).protocol.subprotocol == "soap"

    def test_none_in_common_opens_without_one(self) -> None:
        assert echo(subprotocols=["mqtt", "SOAP"]).protocol.subprotocol is None

    def test_none_in_common_is_400_where_one_is_required(self) -> None:
        daemon = Daemon({"/": EchoFactory}, subprotocols=("soap",), require_subprotocol=True)
        client = echo(daemon=daemon, subprotocols=["mqtt"])
        assert client.response is not None
        assert client.response.status_code == 400
        assert client.response.body is not None
        assert b"soap" in client.response.body

    def test_protocol_chooses_among_the_offered(self) -> None:
        assert echo("/?protocol=b", subprotocols=["a", "b"]).protocol.subprotocol == "b"
        refused = echo("/?protocol=c", subprotocols=["a", "b"])
        assert refused.response is not None
        assert refused.response.status_code == 400


class TestSwitches:
    """Each alone."""

    def test_close_closes_with_a_code_and_a_reason(self) -> None:
        client = echo("/?close=4001&reason=enough%20%F0%9F%98%80")
        assert client.closeCode == 4001
        assert client.protocol.close_reason == "enough 😀"

    def test_abrupt_ends_without_a_close(self) -> None:
        daemon = Daemon({"/": EchoFactory})
        client = echo("/?abrupt", daemon)
        daemon.reactor.advance(0)
        client.exchange()
        assert client.protocol.close_code == 1006
        assert daemon.factories["/"].counters.closed == {Cause.aborted: 1}

    def test_delay_waits_before_each_answer_and_keeps_the_order(self) -> None:
        daemon = Daemon({"/": EchoFactory})
        client = echo("/?delay=1500", daemon)
        client.say("one")
        client.say("two")
        assert client.messages() == []
        daemon.reactor.advance(1.5)
        client.exchange()
        assert client.messages() == ["one"]
        daemon.reactor.advance(1.5)
        client.exchange()
        assert client.messages() == ["one", "two"]

    def test_fragment_answers_in_frames_of_that_size(self) -> None:
        client = echo("/?fragment=3")
        frames: list[Frame] = client.say("abcdefgh")
        assert [(frame.opcode, bytes(frame.data), frame.fin) for frame in frames] == [
            (Opcode.TEXT, b"abc", False),
            (Opcode.CONT, b"def", False),
            (Opcode.CONT, b"gh", True),
        ]

    def test_fragments_of_a_large_message_are_as_many_as_there_may_be(self) -> None:
        client = echo("/?fragment=1")
        frames = client.say(bytes(1 << 20))
        assert len(frames) == 4096
        assert client.messages() == [bytes(1 << 20)]

    def test_repeat_answers_so_many_times(self) -> None:
        client = echo("/?repeat=3")
        client.say("again")
        assert client.messages() == ["again"] * 3

    def test_repeat_heeds_backpressure(self) -> None:
        daemon = Daemon({"/": EchoFactory}, Policies(high_water=MIB))
        client = echo("/?repeat=60", daemon)
        client.protocol.send_binary(bytes(MIB - 1))
        client.wire.send(b"".join(client.protocol.data_to_send()))
        (connection,) = daemon.connections
        assert connection.unsent < 3 * MIB
        client.exchange()
        assert len(client.messages()) == 60

    def test_size_answers_with_a_payload_of_the_servers(self) -> None:
        client = echo("/?size=30")
        client.say("x")
        assert client.messages() == ["abcdefghijklmnopqrstuvwxyzabcd"]

    def test_ping_sends_pings(self) -> None:
        client = echo("/?ping=3")
        assert [frame.opcode for frame in client.frames] == [Opcode.PING] * 3

    def test_push_sends_the_servers_clock_until_the_client_closes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        daemon = Daemon({"/": EchoFactory})
        client = echo("/?push=100", daemon)
        monkeypatch.setattr("wsd.protocols.echo.time", lambda: 1_000_000_000.5)
        for _ in range(5):
            daemon.reactor.advance(0.1)
            client.exchange()
        assert client.messages()[-1] == "2001-09-09T01:46:40.500+00:00"
        assert len(client.messages()) == 6
        client.close()
        assert daemon.connections == []
        assert len(daemon.reactor.getDelayedCalls()) == 1  # the daemon's own timer

    def test_nodeflate_leaves_the_extension_out(self) -> None:
        assert echo("/?nodeflate", extensions=[ClientPerMessageDeflateFactory()]).protocol.extensions == []

    @pytest.mark.parametrize(
        ("query", "word"),
        [
            ("close=1005", "close"),
            ("close=abc", "close"),
            ("close=99999999999999999999", "close"),
            ("reason=" + "x" * 124, "reason"),
            ("abrupt=maybe", "abrupt"),
            ("delay=-1", "delay"),
            ("delay=60001", "delay"),
            ("delay=%D9%A1", "delay"),
            ("fragment=0", "fragment"),
            ("repeat=1001", "repeat"),
            ("size=33554433", "size"),
            ("ping=101", "ping"),
            ("push=1", "push"),
            ("nodeflate=7", "nodeflate"),
            ("color=red", "color"),
            ("%ff=1", "query"),
        ],
    )
    def test_a_bad_one_is_400_and_named(self, query: str, word: str) -> None:
        client = echo(f"/?{query}")
        assert client.response is not None
        assert client.response.status_code == 400
        assert client.response.body is not None
        assert word in client.response.body.decode()

    def test_caps_are_keys_of_the_route(self) -> None:
        client = echo("/?delay=100", Daemon({"/": EchoFactory}, options=EchoOptions(max_delay=50)))
        assert client.response is not None
        assert client.response.status_code == 400


class TestRepeated:
    """What `repeat` and `size` come to together is bounded, and each answer is a turn of its own."""

    def test_more_than_all_answers_may_be_is_refused_with_the_product(self) -> None:
        client = echo("/?size=33554432&repeat=3")
        assert client.response is not None
        assert client.response.status_code == 400
        assert client.response.body == b"repeat=3 of size=33554432 is 100663296 bytes; ask for at most 67108864\n"

    def test_as_much_as_they_may_be_is_not(self) -> None:
        client = echo("/?size=33554432&repeat=2")
        assert client.response is not None
        assert client.response.status_code == 101

    def test_a_message_that_would_be_more_closes_with_1009(self) -> None:
        daemon = Daemon({"/": EchoFactory}, options=EchoOptions(max_answer=1000))
        client = echo("/?repeat=3", daemon)
        client.say("a" * 334)
        assert (client.messages(), client.closeCode) == ([], 1009)
        assert client.closeReason == "3 times 334 bytes exceeds the limit of 1000"

    def test_each_answer_waits_for_the_turn_of_the_others(self) -> None:
        daemon = Daemon({"/": EchoFactory}, Policies(ping_interval=0))
        client = echo("/?repeat=5", daemon)
        client.protocol.send_text(b"again")
        client.wire.socket.send(b"".join(client.protocol.data_to_send()))
        (connection,) = daemon.connections
        client.wire.transport.doRead()
        traffic = daemon.factories["/"].counters.traffic
        for number in range(5):
            assert traffic.messagesOut == number
            turn(daemon)
        assert (traffic.messagesOut, connection.held) == (5, 0)
