"""Whose pages may come in: Host and Origin."""

from __future__ import annotations

import pytest

from wsd.head import Refused
from wsd.policies.origin import checkHost, checkOrigin, hostName

HOSTS = ("localhost", "127.0.0.1", "[::1]")
SAME = ("same-host",)


def refuses(origin: str | None, allowed: tuple[str, ...] = SAME, host: str = "localhost:9998") -> bool:
    """Whether an origin is refused; with 403, and with a sentence that is fit to be shown."""
    refusal = None
    try:
        checkOrigin(origin, allowed, host, HOSTS)
    except Refused as refused:
        refusal = refused
    if refusal is None:
        return False
    assert refusal.status == 403
    assert len(refusal.sentence) < 250
    assert refusal.sentence.isascii()
    assert refusal.sentence.isprintable()
    return True


class TestHost:
    """On loopback, Host must be one of our names: a foreign name may be given the address 127.0.0.1."""

    @pytest.mark.parametrize(
        "host",
        ["localhost", "localhost:9998", "LocalHost", "localhost.", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:1"],
    )
    def test_is_one_of_ours_whatever_the_port_and_case(self, host: str) -> None:
        checkHost(host, HOSTS)

    @pytest.mark.parametrize(
        "host",
        [
            "",
            "evil.example",
            "evil.example:9998",
            "localhost.evil.example",
            "evillocalhost",
            "localhost..",
            "127.0.0.2",
            "127.1",
            "[::2]",
            "[::1",
            "::1",
            ":9998",
            "[]",
            "[",
        ],
    )
    def test_is_refused_with_421_otherwise(self, host: str) -> None:
        with pytest.raises(Refused) as caught:
            checkHost(host, HOSTS)
        assert caught.value.status == 421
        assert "`hosts`" in caught.value.sentence

    def test_name_is_lower_case_without_port_and_final_dot(self) -> None:
        names = [hostName(host) for host in ("Example.COM.:80", "[2001:DB8::1]:80", "a", "")]
        assert names == ["example.com", "[2001:db8::1]", "a", ""]


class TestNoPage:
    """A request without Origin is no browser's."""

    def test_may_come_in(self) -> None:
        for allowed in ((), SAME, ("null",), ("https://example.com",)):
            assert not refuses(None, allowed)


class TestSameHost:
    """The default: a page of the host that is asked."""

    @pytest.mark.parametrize(
        "origin",
        [
            "http://localhost:9998",
            "http://localhost",
            "https://localhost:8443",
            "HTTP://LOCALHOST",
            "http://localhost.",
        ],
    )
    def test_is_the_name_with_any_port_and_either_scheme(self, origin: str) -> None:
        assert not refuses(origin)

    @pytest.mark.parametrize("origin", ["http://127.0.0.1:8000", "http://[::1]:8000"])
    def test_is_any_other_name_of_ours_too(self, origin: str) -> None:
        assert not refuses(origin)

    def test_is_not_another_name_of_ours_when_another_host_is_asked(self) -> None:
        assert refuses("http://localhost", host="example.com")
        assert not refuses("https://example.com", host="EXAMPLE.com:9998")
        assert not refuses("https://example.com.", host="example.com")
        assert not refuses("https://[2001:DB8::1]", host="[2001:db8::1]:9998")

    @pytest.mark.parametrize(
        "origin",
        [
            "http://evil.example",
            "http://localhost.evil.example",
            "http://evil.localhost",
            "http://127.0.0.2",
            "chrome-extension://localhost",
            "capacitor://localhost",
        ],
    )
    def test_is_not_somebody_else(self, origin: str) -> None:
        assert refuses(origin)

    def test_of_a_request_without_a_host_is_nobody(self) -> None:
        assert refuses("http://localhost", host="")
        assert refuses("http://", host="")


class TestMalformed:
    """What no browser sends as an origin."""

    @pytest.mark.parametrize(
        "origin",
        [
            "",
            " ",
            "localhost",
            "localhost:9998",
            "//localhost",
            "http:localhost",
            "http://",
            "http:///",
            "http://localhost/",
            "http://localhost/path",
            "http://localhost?",
            "http://localhost#",
            "http://user@localhost",
            "http://localhost@evil.example",
            "http://evil.example@localhost",
            "http://evil.example\\@localhost",
            "http://localhost:",
            "http://localhost:80:80",
            "http://localhost:x",
            "http://localhost:\xb2",
            "http://localhost http://evil.example",
            "http://localhost, http://evil.example",
            "http://evil.example, http://localhost",
            "null, http://localhost",
            "NULL",
            "Null",
            "null ",
            "file://",
            "http://[::1",
            "http://::1",
            "http://localhost..",
            "http://.localhost",
            "http://l\xf6calhost",
            "http://localhost\x85",
            "http://localhost\n",
            "http://localhost\xa0",
            "http://%6cocalhost",
            "\x00",
            "*",
            "same-host",
        ],
    )
    def test_is_refused(self, origin: str) -> None:
        assert refuses(origin)
        assert refuses(origin, ("same-host", "null", "http://localhost", "https://example.com"))

    def test_is_not_shown_at_length(self) -> None:
        assert refuses("http://" + "\x1b" * 16000)
        assert refuses("http://" + "a." * 8000)


class TestNull:
    """A page of a file; but also a sandboxed frame in any page."""

    def test_is_refused_unless_allowed(self) -> None:
        assert refuses("null")
        assert refuses("null", ("https://example.com",))
        assert not refuses("null", ("same-host", "null"))
        assert not refuses("null", ("*",))


class TestTheAllowList:
    """Origins in full."""

    ALLOWED = ("https://example.com", "http://localhost:8000", "https://[2001:db8::1]:444", "chrome-extension://abcdef")

    @pytest.mark.parametrize(
        "origin",
        [
            "https://example.com",
            "https://example.com:443",
            "HTTPS://Example.COM",
            "https://example.com.",
            "http://localhost:8000",
            "https://[2001:DB8::1]:444",
            "chrome-extension://abcdef",
        ],
    )
    def test_lets_in_what_it_names(self, origin: str) -> None:
        assert not refuses(origin, self.ALLOWED)

    @pytest.mark.parametrize(
        "origin",
        [
            "http://example.com",
            "https://example.com:444",
            "https://www.example.com",
            "https://example.com.evil.example",
            "https://example.community",
            "http://localhost",
            "http://localhost:9998",
            "https://[2001:db8::1]",
            "moz-extension://abcdef",
            "null",
        ],
    )
    def test_keeps_out_what_it_does_not(self, origin: str) -> None:
        assert refuses(origin, self.ALLOWED)

    def test_may_let_in_all(self) -> None:
        assert not refuses("https://evil.example", ("*",))

    def test_may_let_in_none(self) -> None:
        assert refuses("http://localhost:9998", ())
