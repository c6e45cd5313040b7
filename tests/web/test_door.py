"""The door: one request head, one decision, one parser (RFC 9112, RFC 6455 4.2)."""

from __future__ import annotations

import json
from types import MappingProxyType

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress

from tests.every import EveryFactory
from tests.wire import Daemon, Wire
from wsd.config import Config, Policies
from wsd.head import MAX_HEAD
from wsd.protocols.describe import DescribeFactory
from wsd.protocols.echo import EchoFactory

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def upgrade(path: bytes = b"/echo", *fields: bytes, method: bytes = b"GET", host: bytes = b"localhost:9998") -> bytes:
    """An opening handshake, with fields of one's own instead of those of the same name."""
    given = {field.partition(b":")[0].lower() for field in fields}
    usual = [
        b"Host: " + host,
        b"Upgrade: websocket",
        b"Connection: keep-alive, Upgrade",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: " + KEY,
    ]
    kept = [field for field in usual if field.partition(b":")[0].lower() not in given]
    written = [field for field in fields if not field.endswith(b": -")]
    return b"\r\n".join([method + b" " + path + b" HTTP/1.1", *kept, *written, b"", b""])


def get(path: bytes = b"/describe", *fields: bytes, method: bytes = b"GET", host: bytes = b"localhost") -> bytes:
    return b"\r\n".join([method + b" " + path + b" HTTP/1.1", b"Host: " + host, *fields, b"", b""])


def daemon(**arguments: object) -> Daemon:
    routes = {"/echo": EchoFactory, "/describe": DescribeFactory, "/every": EveryFactory, "/deep/*": EchoFactory}
    return Daemon(routes, **arguments)  # type: ignore[arg-type]


def status(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1.1 "), answer
    return int(answer[9:12])


class TestAnUpgrade:
    """RFC 6455 4.2."""

    def test_is_answered_as_the_rfc_says(self) -> None:
        answer = daemon().connect().exchange(upgrade())
        lines = answer.split(b"\r\n")
        assert lines[0] == b"HTTP/1.1 101 Switching Protocols"
        assert b"Upgrade: websocket" in lines
        assert b"Connection: Upgrade" in lines
        assert b"Sec-WebSocket-Accept: " + ACCEPT in lines

    @pytest.mark.parametrize("letter", ["х", "م", "Å", "公"])
    def test_passes_on_values_as_they_came(self, letter: str) -> None:
        ours = daemon()
        cookie = f"Cookie: a={letter}; b=c".encode()
        told = ours.connect().exchange(upgrade(b"/describe", cookie))
        assert status(told) == 101
        for answer in (told, ours.connect().exchange(get(b"/describe", cookie))):
            described = json.loads(answer[answer.index(b"{") : answer.rindex(b"}") + 1])
            assert cookie[8:].decode("latin-1") in json.dumps(described, ensure_ascii=False)

    def test_frames_in_the_same_segment_reach_the_connection(self) -> None:
        answer = daemon().connect().exchange(upgrade() + bytes.fromhex("818500000000") + b"hello")
        assert answer.endswith(b"\x81\x05hello")

    @pytest.mark.parametrize("size", [1, 7, 64])
    def test_is_read_in_any_pieces(self, size: int) -> None:
        wire = daemon().connect(chunk=size)
        assert wire.exchange(upgrade() + bytes.fromhex("818500000000") + b"hello").endswith(b"\x81\x05hello")

    def test_may_come_as_a_later_request_of_its_connection(self) -> None:
        wire = daemon().connect()
        assert status(wire.exchange(get())) == 200
        assert status(wire.exchange(get())) == 200
        answer = wire.exchange(upgrade() + bytes.fromhex("818500000000") + b"hello")
        assert status(answer) == 101
        assert answer.endswith(b"\x81\x05hello")

    def test_goes_behind_the_answers_to_requests_before_it(self) -> None:
        answer = daemon().connect().exchange(get() + get() + upgrade() + bytes.fromhex("818500000000") + b"hello")
        first, second, third = answer.split(b"HTTP/1.1 ")[1:]
        assert (first[:3], second[:3], third[:3]) == (b"200", b"200", b"101")
        assert third.endswith(b"\x81\x05hello")

    def test_an_absolute_target_counts_before_host(self) -> None:
        wire = daemon().connect()
        assert status(wire.exchange(upgrade(b"http://localhost/echo", host=b"elsewhere.example"))) == 101
        assert status(daemon().connect().exchange(upgrade(b"http://elsewhere.example/echo"))) == 421

    def test_a_prefix_route_takes_all_below_it(self) -> None:
        assert status(daemon().connect().exchange(upgrade(b"/deep/er/still?push=20"))) == 101
        assert status(daemon().connect().exchange(upgrade(b"/deeper"))) == 404


class TestAPath:
    """Percent-decoded once, as UTF-8, it is its route's; for HTTP and for upgrades alike."""

    ROUTES = ("/echo", "/~user", "/caf%C3%A9", "/deep/*", "/a%2Fb", "/describe")

    def asked(self, path: bytes) -> tuple[int, int]:
        """What HTTP gets there, and what an upgrade gets."""
        routes = {path: DescribeFactory if path == "/describe" else EchoFactory for path in self.ROUTES}
        return status(Daemon(routes).connect().exchange(get(path))), status(
            Daemon(routes).connect().exchange(upgrade(path))
        )

    @pytest.mark.parametrize(
        "path",
        [
            b"/echo",
            b"/echo/",
            b"/%65ch%6F",
            b"/echo/?delay=0",
            b"/~user",
            b"/%7Euser",
            b"/%7euser/",
            b"/caf%C3%A9",
            b"/caf%c3%a9",
            b"/%63af%C3%A9/",
            b"/deep/er%2F%FF",
            b"/%64eep/%00",
            b"/a%2fb",
        ],
    )
    def test_has_one_answer(self, path: bytes) -> None:
        assert self.asked(path) == (426, 101)

    @pytest.mark.parametrize("path", [b"/describe", b"/describe/", b"/%64escribe"])
    def test_has_one_answer_where_there_is_a_page_too(self, path: bytes) -> None:
        assert self.asked(path) == (200, 101)

    @pytest.mark.parametrize(
        "path",
        [
            b"/echo//",
            b"/echo%2F",
            b"//echo",
            b"/Echo",
            b"/%2565cho",
            b"/%2Fecho",
            b"/echo%00",
            b"/caf%E9",
            b"/caf%C3",
            b"/caf%C3%A9%FF",
            b"/a/b",
            b"/a%252Fb",
            b"/ech%6",
            b"/ech%zz",
            b"/.well-known/%E5%85%AC",
            b"/deep",
        ],
    )
    def test_is_nothing_else(self, path: bytes) -> None:
        assert self.asked(path) == (404, 404)


class TestHost:
    """Whatever address a request comes to, it must be meant for this daemon: a stranger's name may point there too."""

    WIDE = (
        IPv4Address("TCP", "192.0.2.5", 9998),
        IPv6Address("TCP", "2001:db8::5", 9998),
        UNIXAddress(b"/run/wsd.sock"),
    )

    @pytest.mark.parametrize("address", WIDE, ids=["IPv4", "IPv6", "unix"])
    def test_is_checked_on_a_wider_listener_too(self, address: IAddress) -> None:
        relayed = b"X-Forwarded-For: 192.0.2.1"
        for request_ in (
            upgrade(b"/echo", relayed, host=b"evil.example"),
            get(b"/describe", relayed, host=b"evil.example"),
        ):
            wire = daemon().connect(at=address)
            answer = wire.exchange(request_)
            assert status(answer) == 421
            assert b"`hosts`" in answer

    @pytest.mark.parametrize("address", WIDE, ids=["IPv4", "IPv6", "unix"])
    @pytest.mark.parametrize("host", [b"192.0.2.5:9998", b"[2001:db8::5]:9998", b"localhost", b"198.51.100.1"])
    def test_may_be_an_address_there(self, address: IAddress, host: bytes) -> None:
        wire = daemon().connect(at=address)
        assert status(wire.exchange(upgrade(host=host))) == 101

    def test_is_any_name_that_a_program_gives_a_unix_socket(self) -> None:
        wire = daemon().connect(at=self.WIDE[2])
        assert status(wire.exchange(upgrade(host=b"anything"))) == 101

    def test_may_be_missing_there_as_it_is_where_balancers_ask(self) -> None:
        wire = daemon().connect(at=self.WIDE[0])
        assert wire.exchange(b"GET /describe HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.0 200")

    @pytest.mark.parametrize("host", [b"evil.example", b"a.example.com"])
    def test_may_be_any_where_any_is_served(self, host: bytes) -> None:
        ours = daemon(config=Config(hosts=("*",)))
        assert status(ours.connect().exchange(upgrade(host=host))) == 101

    def test_that_is_refused_is_421_to_the_clients_of_every_protocol(self) -> None:
        class Renaming(EchoFactory):
            statuses = MappingProxyType({421: 404, 403: 404})

        ours = Daemon({"/echo": Renaming})
        assert status(ours.connect().exchange(upgrade(host=b"evil.example"))) == 421
        assert status(ours.connect().exchange(upgrade(b"http://evil.example/echo"))) == 404
        assert status(ours.connect().exchange(upgrade(b"/echo", b"Origin: http://evil.example"))) == 404


class TestAnUpgradeThatIsRefused:
    """Each with a status and a sentence, and the connection ends."""

    @pytest.mark.parametrize(
        ("request_", "code", "words"),
        [
            (upgrade(b"/nowhere"), 404, b"/nowhere"),
            (upgrade(b"/echo", b"Sec-WebSocket-Version: 8"), 426, b"13"),
            (upgrade(b"/echo", b"Sec-WebSocket-Version: -"), 426, b"13"),
            (upgrade(b"/echo", b"Sec-WebSocket-Key: -"), 400, b"Sec-WebSocket-Key"),
            (upgrade(b"/echo", b"Sec-WebSocket-Key: c2hvcnQ="), 400, b"Sec-WebSocket-Key"),
            (upgrade(b"/echo", b"Sec-WebSocket-Key: " + KEY, b"Sec-WebSocket-Key: " + KEY), 400, b"Sec-WebSocket-Key"),
            (upgrade(b"/echo", b"Content-Length: 3") + b"abc", 400, b"body"),
            (upgrade(b"/echo", b"Transfer-Encoding: chunked") + b"0\r\n\r\n", 400, b"body"),
            (upgrade(b"/echo", method=b"POST"), 405, b"GET"),
            (upgrade(b"/echo", b"Sec-WebSocket-Protocol: a, a"), 400, b"twice"),
            (upgrade(b"/echo", b"Sec-WebSocket-Protocol: a b"), 400, b"name"),
            (upgrade(b"/echo", b"Origin: http://evil.example"), 403, b"evil.example"),
            (upgrade(b"/echo", b"Origin: null"), 403, b"origin"),
            (upgrade(b"/echo", host=b"evil.example"), 421, b"evil.example"),
            (upgrade(b"/echo?delay=-1"), 400, b"delay"),
            (upgrade(b"/echo?colour=red"), 400, b"colour"),
            (upgrade(b"/echo", b"X-A: a\x0bSec-WebSocket-Key: evil"), 400, b"X-A"),
        ],
    )
    def test_says_what_is_wrong(self, request_: bytes, code: int, words: bytes) -> None:
        wire = daemon().connect()
        answer = wire.exchange(request_)
        assert status(answer) == code
        assert words in answer.partition(b"\r\n\r\n")[2]
        assert wire.ended

    def test_a_426_says_what_to_upgrade_to(self) -> None:
        """RFC 9110 7.8."""
        answer = daemon().connect().exchange(upgrade(b"/echo", b"Sec-WebSocket-Version: 8"))
        assert b"\r\nUpgrade: websocket\r\n" in answer
        assert b"\r\nConnection: close, Upgrade\r\n" in answer

    def test_a_deflate_offer_that_is_wrong_is_declined_not_refused(self) -> None:
        """RFC 7692 7.1."""
        for offer in (b"permessage-deflate; bogus", b"permessage-deflate; server_max_window_bits=99", b"x-else"):
            answer = daemon().connect().exchange(upgrade(b"/echo", b"Sec-WebSocket-Extensions: " + offer))
            assert status(answer) == 101
            assert b"Sec-WebSocket-Extensions" not in answer

    def test_one_log_line_and_one_count_come_of_it(self) -> None:
        ours = daemon()
        ours.connect().exchange(upgrade(b"/echo", b"Origin: http://evil.example"))
        ours.connect().exchange(upgrade())
        assert ours.metrics.handshakes == {"403": 1, "accepted": 1}


class TestHTTP:
    """What is no upgrade."""

    def test_a_page_answers_and_the_connection_stays(self) -> None:
        wire = daemon().connect()
        answer = wire.exchange(get())
        assert status(answer) == 200
        assert b'"line": "GET /describe HTTP/1.1"' in answer
        assert not wire.ended

    def test_a_get_where_only_a_websocket_answers_is_426(self) -> None:
        answer = daemon().connect().exchange(get(b"/echo"))
        assert answer.startswith(b"HTTP/1.1 426 Upgrade Required\r\n")
        assert b"\r\nUpgrade: websocket\r\n" in answer

    def test_an_unknown_path_is_404(self) -> None:
        assert status(daemon().connect().exchange(get(b"/nowhere"))) == 404

    def test_head_has_the_head_only(self) -> None:
        answer = daemon().connect().exchange(get(method=b"HEAD"))
        assert status(answer) == 200
        assert answer.endswith(b"\r\n\r\n")
        assert b"Content-Length: 0\r\n" not in answer

    @pytest.mark.parametrize(("method", "code"), [(b"PUT", 405), (b"DELETE", 405), (b"BREW", 501)])
    def test_a_method_that_is_not_for_a_page(self, method: bytes, code: int) -> None:
        answer = daemon().connect().exchange(get(method=method))
        assert status(answer) == code
        assert b"Allow: GET, HEAD" in answer or code == 501

    def test_pipelined_requests_are_answered_in_order(self) -> None:
        answer = daemon().connect().exchange(get(b"/describe?1") + get(b"/nowhere") + get(b"/describe?3"))
        assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"200", b"404", b"200"]

    def test_connection_close_is_heeded(self) -> None:
        wire = daemon().connect()
        assert status(wire.exchange(get(b"/describe", b"Connection: close"))) == 200
        assert wire.ended

    def test_a_route_answers_below_itself_and_at_well_known(self) -> None:
        ours = daemon()
        assert ours.connect().exchange(get(b"/every/a/b")).endswith(b"under a/b")
        assert status(ours.connect().exchange(get(b"/.well-known/every"))) == 200
        assert status(ours.connect().exchange(get(b"/.well-known/other"))) == 404

    def test_a_route_for_all_paths_takes_nothing_from_one_that_answers_below_itself(self) -> None:
        ours = Daemon({"/*": EchoFactory, "/every": EveryFactory})
        assert ours.connect().exchange(get(b"/every/a/b")).endswith(b"under a/b")
        assert status(ours.connect().exchange(get(b"/other"))) == 426

    def test_a_longer_route_for_all_paths_does(self) -> None:
        ours = Daemon({"/every/a/*": EchoFactory, "/every": EveryFactory})
        assert status(ours.connect().exchange(get(b"/every/a/b"))) == 426
        assert ours.connect().exchange(get(b"/every/b")).endswith(b"under b")


class TestBodies:
    """They go to a route as they arrive, and only where they are asked for."""

    def post(self, wire: Wire, *pieces: bytes) -> None:
        for piece in pieces:
            wire.send(piece)

    def test_a_body_reaches_the_route_piece_by_piece(self) -> None:
        ours = daemon()
        wire = ours.connect()
        self.post(wire, get(b"/every", b"Content-Length: 6", method=b"POST"), b"abc")
        upload = ours.factories["/every"].upload
        assert upload.bodies[0].pieces == [b"abc"]
        assert wire.exchange(b"def").endswith(b"6 bytes")
        assert upload.bodies[0].state == "ended"

    def test_a_chunked_one_too(self) -> None:
        wire = daemon().connect()
        request = get(b"/every", b"Transfer-Encoding: chunked", method=b"POST")
        assert wire.exchange(request + b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n").endswith(b"7 bytes")
        assert status(wire.exchange(get())) == 200

    def test_what_arrived_before_a_cut_has_arrived(self) -> None:
        ours = daemon()
        wire = ours.connect()
        self.post(wire, get(b"/every", b"Content-Length: 50", method=b"POST"), b"a" * 49)
        wire.close()
        (body,) = ours.factories["/every"].upload.bodies
        assert b"".join(body.pieces) == b"a" * 49
        assert body.state == "lost"

    def test_one_that_is_not_asked_for_is_not_read(self) -> None:
        wire = daemon().connect()
        answer = wire.exchange(get(b"/every", b"Content-Length: 1000000000", method=b"PUT"))
        assert status(answer) == 200
        assert answer.endswith(b"not read")
        assert b"Connection: close" in answer
        assert wire.ended

    def test_one_that_is_too_much_is_refused_before_its_end(self) -> None:
        wire = daemon().connect()
        answer = wire.exchange(get(b"/every", b"Content-Length: 1000000000", method=b"POST") + bytes(2 << 20))
        assert status(answer) == 413

    def test_continue_is_said_only_where_the_body_is_wanted(self) -> None:
        expect = (b"Content-Length: 3", b"Expect: 100-continue")
        assert daemon().connect().exchange(get(b"/every", *expect, method=b"POST")).startswith(b"HTTP/1.1 100 Continue")
        assert status(daemon().connect().exchange(get(b"/every", *expect, method=b"PUT"))) == 200

    def test_a_chunk_that_is_none_is_400(self) -> None:
        request = get(b"/every", b"Transfer-Encoding: chunked", method=b"POST")
        assert status(daemon().connect().exchange(request + b"zz\r\n")) == 400


class TestTimeOuts:
    """A head, a body, the next request: each is waited for, none for ever."""

    def test_a_slow_head_is_408(self) -> None:
        ours = daemon(policies=Policies(opening_timeout=10))
        wire = ours.connect()
        wire.send(b"GET / HTTP/1.1\r\nHost: loc")
        ours.pass_(11)
        assert status(wire.exchange(b"")) == 408

    def test_dripping_does_not_help(self) -> None:
        ours = daemon(policies=Policies(opening_timeout=10))
        wire = ours.connect()
        for letter in b"GET / HTTP/1.1":
            wire.send(bytes([letter]))
            ours.pass_(0.75)
        assert status(wire.exchange(b"")) == 408

    def test_an_idle_connection_ends(self) -> None:
        ours = daemon(policies=Policies(http_idle_timeout=60))
        wire = ours.connect()
        wire.exchange(get())
        ours.pass_(59)
        assert status(wire.exchange(get())) == 200
        ours.pass_(61)
        wire.exchange(b"")
        assert wire.ended
        assert ours.metrics.httpDrops == {"idle": 1}

    def test_a_body_that_stops_is_408(self) -> None:
        ours = daemon(policies=Policies(http_body_timeout=20))
        wire = ours.connect()
        wire.send(get(b"/every", b"Content-Length: 50", method=b"POST") + b"abc")
        ours.pass_(45)
        assert status(wire.exchange(b"")) == 408
        assert ours.factories["/every"].upload.bodies[0].state == "lost"

    def test_a_body_that_creeps_is_408(self) -> None:
        ours = daemon(policies=Policies(http_body_timeout=20, http_body_rate=1000))
        wire = ours.connect()
        wire.send(get(b"/every", b"Content-Length: 100000", method=b"POST"))
        for _ in range(15):
            wire.send(b"x" * 100)
            ours.pass_(5)
        assert status(wire.exchange(b"")) == 408


class TestHeadsThatAreTooMuch:
    """16 KiB and a hundred fields."""

    def test_too_many_bytes(self) -> None:
        assert status(daemon().connect().exchange(b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD)) == 431

    def test_too_many_bytes_in_a_later_request(self) -> None:
        wire = daemon().connect()
        wire.exchange(get())
        assert status(wire.exchange(b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD + b"\r\n")) == 431

    def test_too_many_fields(self) -> None:
        fields = [b"X-%d: 1" % number for number in range(120)]
        assert status(daemon().connect().exchange(get(b"/describe", *fields))) == 431


def test_tls_where_none_is_spoken_is_told_so_at_once() -> None:
    answer = daemon().connect().exchange(bytes.fromhex("16030102000100"))
    assert status(answer) == 400
    assert b"does not use TLS" in answer


class TestAdmission:
    """Who may come, and how often."""

    def test_no_more_connections_than_there_may_be(self) -> None:
        ours = daemon(policies=Policies(max_connections=2))
        wires = [ours.connect() for _ in range(3)]
        assert status(wires[2].exchange(b"")) == 503
        wires[0].close()
        assert status(ours.connect().exchange(get())) == 200

    def test_handshakes_a_second_of_one_address(self) -> None:
        ours = daemon(policies=Policies(handshakes_per_second=2), config=Config(trusted_proxies=("127.0.0.1",)))
        forwarded = b"X-Forwarded-For: 203.0.113.7"
        codes = [status(ours.connect().exchange(upgrade(b"/echo", forwarded))) for _ in range(6)]
        assert codes == [101] * 4 + [429] * 2
        assert status(ours.connect().exchange(upgrade(b"/echo", b"X-Forwarded-For: 203.0.113.8"))) == 101
        ours.pass_(1)
        assert status(ours.connect().exchange(upgrade(b"/echo", forwarded))) == 101

    def test_a_direct_loopback_peer_is_exempt(self) -> None:
        ours = daemon(policies=Policies(handshakes_per_second=2, max_connections_per_address=2))
        assert [status(ours.connect().exchange(upgrade())) for _ in range(9)] == [101] * 9

    def test_connections_of_one_address(self) -> None:
        ours = daemon(policies=Policies(max_connections_per_address=2), config=Config(trusted_proxies=("127.0.0.1",)))
        forwarded = b"X-Forwarded-For: 2001:db8::%d"
        wires = [ours.connect() for _ in range(3)]
        codes = [status(wire.exchange(upgrade(b"/echo", forwarded % number))) for number, wire in enumerate(wires)]
        assert codes == [101, 101, 503]
        wires[0].close()
        assert status(ours.connect().exchange(upgrade(b"/echo", forwarded % 9))) == 101


class TestWhoIsThere:
    """The true address, and that loopback is not trust."""

    def test_a_trusted_proxys_word_counts(self) -> None:
        ours = daemon(config=Config(trusted_proxies=("127.0.0.1",)))
        answer = ours.connect().exchange(
            get(b"/describe", b"X-Forwarded-For: 203.0.113.7", b"X-Forwarded-Proto: https")
        )
        assert b'"address": "203.0.113.7"' in answer
        assert b'"secure": true' in answer
        assert b'"direct": false' in answer

    def test_anybody_elses_does_not(self) -> None:
        answer = daemon().connect().exchange(get(b"/describe", b"X-Forwarded-For: 203.0.113.7"))
        assert b'"address": "127.0.0.1"' in answer
        assert b'"direct": false' in answer
        assert b'"direct": true' in daemon().connect().exchange(get())

    def test_a_page_from_a_file_may_open_a_route_that_allows_null(self) -> None:
        assert status(daemon(origins=("null",)).connect().exchange(upgrade(b"/echo", b"Origin: null"))) == 101

    def test_a_page_of_another_port_of_this_host_may_open_a_route_for_same_host(self) -> None:
        assert status(daemon().connect().exchange(upgrade(b"/echo", b"Origin: http://127.0.0.1:8000"))) == 101
