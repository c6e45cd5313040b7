"""Request heads: valid ones (RFC 9112), and those that an attacker sends."""

from __future__ import annotations

import pytest

from wsd import _head
from wsd.head import MAX_HEAD, MAX_HEADERS, Head, Headers, Refused, parseHead, pythonSplit, shown

CHROMIUM = b"\r\n".join(
    [
        b"GET /echo?repeat=2 HTTP/1.1",
        b"Host: localhost:9998",
        b"Connection: Upgrade",
        b"Pragma: no-cache",
        b"Cache-Control: no-cache",
        b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
        b" Chrome/142.0.0.0 Safari/537.36",
        b"Upgrade: websocket",
        b"Origin: http://localhost:9998",
        b"Sec-WebSocket-Version: 13",
        b"Accept-Encoding: gzip, deflate, br, zstd",
        b"Accept-Language: en-US,en;q=0.9",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
        b"Sec-WebSocket-Protocol: soap, xmpp",
    ]
)


@pytest.fixture(params=[_head.split, pythonSplit], ids=["compiled", "python"], autouse=True)
def split(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test is run with either."""
    monkeypatch.setattr("wsd.head.split", request.param)


def head(*fields: str, line: str = "GET / HTTP/1.1") -> Head:
    """A head with a Host and these fields."""
    return parseHead("\r\n".join([line, "Host: localhost", *fields]).encode("latin-1"))


def refused(data: bytes) -> Refused:
    """The refusal of a head."""
    with pytest.raises(Refused) as caught:
        parseHead(data)
    return caught.value


class TestABrowsersUpgrade:
    """A usual head."""

    def test_has_its_line_target_and_version(self) -> None:
        head = parseHead(CHROMIUM)
        assert head.line == "GET /echo?repeat=2 HTTP/1.1"
        assert (head.method, head.target, head.path, head.query) == ("GET", "/echo?repeat=2", "/echo", "repeat=2")
        assert head.version == (1, 1)

    def test_is_an_upgrade_without_a_body(self) -> None:
        head = parseHead(CHROMIUM)
        assert head.isUpgrade
        assert not head.hasBody
        assert head.length is None
        assert not head.chunked

    def test_keeps_its_fields_in_their_order_and_writing(self) -> None:
        names = [name for name, _value in parseHead(CHROMIUM).headers]
        assert names[:3] == ["Host", "Connection", "Pragma"]
        assert len(names) == 13


class TestTheRequestLine:
    """RFC 9112, section 3."""

    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PATCH", "M-SEARCH", "X!#$%&'*+-.^_`|~9"])
    def test_has_any_token_as_its_method(self, method: str) -> None:
        assert head(line=f"{method} / HTTP/1.1").method == method

    @pytest.mark.parametrize(
        "line",
        [
            b"",
            b"GET",
            b"GET /",
            b"GET  / HTTP/1.1",
            b"GET /  HTTP/1.1",
            b" GET / HTTP/1.1",
            b"GET / HTTP/1.1 ",
            b"GET\t/\tHTTP/1.1",
            b"GET / x HTTP/1.1",
            b"G(T / HTTP/1.1",
            b"GET: / HTTP/1.1",
            b"\xc7ET / HTTP/1.1",
            b"A" * 33 + b" / HTTP/1.1",
            b"GET / http/1.1",
            b"GET / HTTP/1",
            b"GET / HTTP/1.10",
            b"GET / HTTP/\xb9.1",
            b"GET / HTTPS/1.1",
            b"GET /caf\xc3\xa9 HTTP/1.1",
            b"GET /\x00 HTTP/1.1",
            b"GET /\x7f HTTP/1.1",
            b"GET /a\x0bb HTTP/1.1",
        ],
    )
    def test_is_refused_in_any_other_form(self, line: bytes) -> None:
        assert refused(line + b"\r\nHost: localhost").status == 400

    @pytest.mark.parametrize("version", ["0.9", "1.2", "2.0", "3.0"])
    def test_has_a_version_that_is_spoken_here(self, version: str) -> None:
        assert refused(f"GET / HTTP/{version}\r\nHost: localhost".encode()).status == 505

    def test_of_http_2_in_the_clear_is_told_what_is_spoken(self) -> None:
        assert refused(b"PRI * HTTP/2.0").status == 505


class TestTheTarget:
    """RFC 9112, section 3.2."""

    @pytest.mark.parametrize(
        ("target", "path", "query"),
        [
            ("/", "/", ""),
            ("/a/b?c=d?e", "/a/b", "c=d?e"),
            ("/%65cho", "/%65cho", ""),
            ("//evil.example/", "//evil.example/", ""),
            ("/a/../b", "/a/../b", ""),
            ("/?", "/", ""),
        ],
    )
    def test_is_a_path_and_a_query_as_they_were_sent(self, target: str, path: str, query: str) -> None:
        read = head(line=f"GET {target} HTTP/1.1")
        assert (read.target, read.path, read.query, read.authority) == (target, path, query, None)

    @pytest.mark.parametrize(
        ("target", "authority", "path", "query"),
        [
            ("http://example.com/echo?a=b", "example.com", "/echo", "a=b"),
            ("ws://example.com:9998/echo", "example.com:9998", "/echo", ""),
            ("WSS://[::1]:9998", "[::1]:9998", "/", ""),
            ("https://example.com?a=b", "example.com", "/", "a=b"),
        ],
    )
    def test_in_absolute_form_says_the_host_too(self, target: str, authority: str, path: str, query: str) -> None:
        read = head(line=f"GET {target} HTTP/1.1")
        assert (read.authority, read.path, read.query) == (authority, path, query)
        assert read.host == authority, "RFC 9112 3.2.2: the target's host counts, not the field's"
        assert read.target == target

    @pytest.mark.parametrize(
        "target",
        [
            "http://user@example.com/",
            "http://user:secret@localhost/",
            "http://localhost\\@example.com/",
            "http:///echo",
            "http://:80/",
            "http://a,b/",
            "http://a b/",
            "http://localhost:123456/",
            "http://localhost:65536/",
            "http://[::1/",
            "http://[::1]x/",
            "http:/echo",
            "ftp://localhost/",
            "file:///etc/passwd",
            "javascript://localhost/",
            "localhost:443",
            "echo",
            "?a=b",
            "*",
            "/echo#fragment",
            "http://localhost/#fragment",
        ],
    )
    def test_is_refused_in_any_other_form(self, target: str) -> None:
        assert refused(f"GET {target} HTTP/1.1\r\nHost: localhost".encode()).status == 400

    def test_never_shows_a_password_again(self) -> None:
        assert "secret" not in refused(b"GET http://user:secret@localhost/ HTTP/1.1\r\nHost: localhost").sentence

    def test_may_be_an_asterisk_for_options_alone(self) -> None:
        assert head(line="OPTIONS * HTTP/1.1").path == "*"

    def test_of_connect_is_for_proxies(self) -> None:
        assert refused(b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443").status == 400


class TestFields:
    """RFC 9112, section 5."""

    def test_lose_the_blanks_around_their_values_alone(self) -> None:
        headers = head("A:\t b \t c\t ", "B:", "C:   ", "D:x:y").headers
        assert [headers.get(name) for name in "ABCD"] == ["b \t c", "", "", "x:y"]

    def test_may_have_bytes_beyond_ascii(self) -> None:
        assert head("X: caf\xe9").headers.get("X") == "caf\xe9"

    @pytest.mark.parametrize(
        ("field", "word"),
        [
            (b"Name : value", "space before its colon"),
            (b"Name\t: value", "space before its colon"),
            (b" folded", "each field on one line"),
            (b"\tfolded: value", "each field on one line"),
            (b"Name", "no colon"),
            (b": value", "is not valid"),
            (b"Na me: value", "is not valid"),
            (b"Na(me: value", "is not valid"),
            (b"N\xe4me: value", "is not valid"),
            (b"Na\x00me: value", "is not valid"),
            (b"", "no colon"),
        ],
    )
    def test_are_a_name_a_colon_and_a_value(self, field: bytes, word: str) -> None:
        refusal = refused(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + field + b"\r\nA: b")
        assert refusal.status == 400
        assert word in refusal.sentence

    @pytest.mark.parametrize("letter", ["\xe4", "х", "م", "Å", "公", "\x85", "\u2028"])
    def test_have_values_that_are_opaque_beyond_ascii(self, letter: str) -> None:
        for value in (f"a={letter}", letter, f"{letter}a"):
            read = parseHead(f"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: {value}\r\nA: b".encode())
            assert read.headers.byName["cookie"].encode("latin-1").decode() == value
            assert len(read.headers) == 3

    @pytest.mark.parametrize("byte", [*range(9), *range(10, 32), 0x7F])
    def test_have_no_control_byte_and_none_that_another_parser_takes_for_a_line_end(self, byte: int) -> None:
        for value in (b"a%cEvil: b", b"%ca", b"a%c"):
            data = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + value.replace(b"%c", bytes([byte]))
            assert refused(data).status == 400

    @pytest.mark.parametrize("end", [b"\n", b"\r", b"\n\r", b"\r\r\n"])
    def test_end_with_cr_lf_and_nothing_else(self, end: bytes) -> None:
        refusal = refused(b"GET / HTTP/1.1" + end + b"Host: localhost\r\nA: b")
        assert refusal.status == 400
        refusal = refused(b"GET / HTTP/1.1\r\nHost: localhost" + end + b"A: b")
        assert refusal.status == 400
        assert "CR" in refusal.sentence

    def test_may_be_a_hundred(self) -> None:
        data = b"GET / HTTP/1.1\r\nHost: localhost"
        assert len(parseHead(data + b"\r\nA: b" * (MAX_HEADERS - 1)).headers) == MAX_HEADERS
        assert refused(data + b"\r\nA: b" * MAX_HEADERS).status == 431
        assert refused(data + b"\r\nA: b" * MAX_HEADERS + b"\r\nnonsense").status == 431

    def test_may_have_16_kib_with_the_line(self) -> None:
        data = b"GET / HTTP/1.1\r\nHost: localhost\r\nA: "
        data += b"b" * (MAX_HEAD - len(data))
        assert len(parseHead(data).headers.get("A", "")) > 16000
        assert refused(data + b"b").status == 431

    def test_with_a_fault_in_16_kib_are_told_the_fault(self) -> None:
        data = b"GET / HTTP/1.1\r\nHost : "
        data += b"b" * (MAX_HEAD - len(data))
        assert refused(data).status == 400
        assert refused(data + b"b").status == 431


class TestHost:
    """RFC 9112, section 3.2."""

    @pytest.mark.parametrize(
        "host",
        [
            "localhost",
            "LOCALHOST:9998",
            "example.com.",
            "a_b.example",
            "127.0.0.1:80",
            "[::1]",
            "[::1]:9998",
            "a:",
            "a:65535",
            "",
        ],
    )
    def test_is_a_name_or_an_address_with_or_without_a_port(self, host: str) -> None:
        assert parseHead(f"GET / HTTP/1.1\r\nHost: {host}".encode()).host == host

    @pytest.mark.parametrize(
        "host",
        [
            "a, b",
            "a,b",
            "a b",
            "user@a",
            "a/b",
            "a\\b",
            "a?b",
            "a#b",
            "http://a",
            "a:b",
            "a:-1",
            "a:80:80",
            "a:65536",
            "a:123456",
            "a:\xb2",
            ".",
            "a..b",
            ".a",
            ":80",
            "::1",
            "[::1",
            "[::1]x",
            "[]",
            "[evil]",
            "a%00b",
            "a;b",
            "b\xfccher.example",
            '"a"',
            "<a>",
        ],
    )
    def test_is_nothing_else(self, host: str) -> None:
        refusal = refused(f"GET / HTTP/1.1\r\nHost: {host}".encode("latin-1"))
        assert refusal.status == 400
        assert "Host" in refusal.sentence

    def test_is_there_once(self) -> None:
        assert refused(b"GET / HTTP/1.1").status == 400
        assert refused(b"GET / HTTP/1.1\r\nHost: a\r\nHost: a").status == 400
        assert refused(b"GET http://a/ HTTP/1.1\r\nA: b").status == 400
        assert refused(b"GET / HTTP/1.0\r\nHost: a\r\nhost: b").status == 400

    def test_may_be_missing_in_http_1_0(self) -> None:
        assert parseHead(b"GET / HTTP/1.0").host == ""


class TestTheLengthOfTheBody:
    """RFC 9112, section 6: the end of the body is unambiguous."""

    def test_is_a_number_of_bytes(self) -> None:
        read = head("Content-Length: 10")
        assert (read.length, read.chunked, read.hasBody) == (10, False, True)
        read = head("content-length: 0")
        assert (read.length, read.chunked, read.hasBody) == (0, False, False)

    @pytest.mark.parametrize(
        "length", ["", "+10", "-10", "0x10", "1e3", "10.0", "1 0", "10,10", "10, 11", "1_0", "\xb2", "9" * 19, "10;"]
    )
    def test_is_nothing_else(self, length: str) -> None:
        assert refused(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}".encode("latin-1")).status == 400

    def test_has_one_answer(self) -> None:
        for second in ("10", "11", "010", ""):
            data = f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nContent-Length: {second}"
            assert refused(data.encode()).status == 400

    def test_is_not_told_in_two_ways(self) -> None:
        for fields in (
            "Content-Length: 10\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 10",
            "TRANSFER-ENCODING: identity\r\ncontent-length: 0",
        ):
            assert refused(f"POST / HTTP/1.1\r\nHost: a\r\n{fields}".encode()).status == 400

    def test_may_be_in_chunks(self) -> None:
        read = head("Transfer-Encoding: Chunked")
        assert (read.length, read.chunked, read.hasBody) == (None, True, True)

    @pytest.mark.parametrize(
        "coding",
        [
            "",
            "identity",
            "gzip",
            "gzip, chunked",
            "chunked, gzip",
            "chunked, chunked",
            "xchunked",
            "chunked;a",
            '"chunked"',
        ],
    )
    def test_is_in_no_other_coding(self, coding: str) -> None:
        assert refused(f"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}".encode()).status == 501

    def test_is_not_in_two_codings(self) -> None:
        fields = b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"
        assert refused(b"POST / HTTP/1.1\r\nHost: a\r\n" + fields).status == 501

    @pytest.mark.parametrize(
        "field", [b"Transfer-Encoding : chunked", b"Transfer-Encoding\x0b: chunked", b" Transfer-Encoding: chunked"]
    )
    def test_is_not_hidden(self, field: bytes) -> None:
        assert refused(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n" + field).status == 400

    def test_is_not_in_chunks_in_http_1_0(self) -> None:
        assert refused(b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked").status == 400


class TestUpgrade:
    """RFC 6455, section 4.2.1, points 3 and 4."""

    @pytest.mark.parametrize(
        "fields",
        [
            ["Upgrade: websocket", "Connection: Upgrade"],
            ["upgrade: WebSocket", "connection: keep-alive, UPGRADE"],
            ["Upgrade: h2c, websocket", "Connection: keep-alive", "Connection: upgrade"],
        ],
    )
    def test_is_asked_for_by_both_fields(self, fields: list[str]) -> None:
        assert head(*fields).isUpgrade

    @pytest.mark.parametrize(
        "fields",
        [
            [],
            ["Upgrade: websocket"],
            ["Connection: Upgrade"],
            ["Upgrade: websocket", "Connection: keep-alive"],
            ["Upgrade: h2c", "Connection: Upgrade"],
            ["Upgrade: websocketx", "Connection: Upgrade"],
            ["Upgrade: websocket", "Connection: x-upgrade"],
        ],
    )
    def test_is_not_asked_for_by_less(self, fields: list[str]) -> None:
        assert not head(*fields).isUpgrade


class TestHeaders:
    """Fields by name."""

    HEADERS = Headers([("A", "1"), ("b", "x, Y ,,z"), ("a", "2")])

    def test_are_found_in_any_case(self) -> None:
        assert self.HEADERS.get("B") == "x, Y ,,z"
        assert "B" in self.HEADERS
        assert "c" not in self.HEADERS
        assert 1 not in self.HEADERS

    def test_of_one_name_are_one_list(self) -> None:
        assert self.HEADERS.get("A") == "1, 2"
        assert self.HEADERS.all("A") == ["1", "2"]
        assert self.HEADERS.count("A") == 2
        assert self.HEADERS.tokens("B") == ["x", "y", "z"]

    def test_may_be_missing(self) -> None:
        assert self.HEADERS.get("c") is None
        assert self.HEADERS.get("c", "default") == "default"
        assert self.HEADERS.all("c") == []
        assert self.HEADERS.count("c") == 0
        assert self.HEADERS.tokens("c") == []

    def test_keep_their_order(self) -> None:
        assert list(self.HEADERS) == [("A", "1"), ("b", "x, Y ,,z"), ("a", "2")]
        assert len(self.HEADERS) == 3

    def test_cannot_be_changed_through_what_they_return(self) -> None:
        self.HEADERS.all("A").append("3")
        assert self.HEADERS.count("A") == 2


class TestRefusals:
    """The sentences of refusals."""

    @pytest.mark.parametrize(
        "data",
        [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
            b"GET /\x1b[31m HTTP/1.1",
            b"GET / HTTP/1.1\r\nHost: " + b"\xff" * 9000,
            b"GET / HTTP/1.1\r\n" + b"\x1b" * 9000 + b": b",
            b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"'\"" * 4000,
            b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"\x00" * 9000,
            b"GET /" + b"#" * 9000 + b" HTTP/1.1",
            b"\n" * 9000,
        ],
    )
    def test_are_one_short_line_of_ascii(self, data: bytes) -> None:
        sentence = refused(data).sentence
        assert len(sentence) < 250
        assert sentence.isascii()
        assert sentence.isprintable()


class TestARefusal:
    """The status and header fields of a refusal."""

    @pytest.mark.parametrize(
        "header", [("X-Why", "a\r\nSet-Cookie: b"), ("X\n", "a"), ("X", "a\0b")], ids=["value", "name", "nul"]
    )
    def test_has_no_line_break_in_its_fields(self, header: tuple[str, str]) -> None:
        with pytest.raises(ValueError, match="line break"):
            Refused(403, "no", [header])


class TestShown:
    """Received text, quoted in a sentence."""

    def test_is_whole_in_quotation_marks_up_to_80_characters_with_them(self) -> None:
        assert shown("a" * 78) == f"'{'a' * 78}'"

    @pytest.mark.parametrize("size", [79, 80, 81, 100])
    def test_is_cut_beyond(self, size: int) -> None:
        assert shown("a" * size) == f"'{'a' * 75}...'"

    def test_is_ascii_on_one_line(self) -> None:
        assert shown("ü\r\n") == "'\\xfc\\r\\n'"
