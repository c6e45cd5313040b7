"""Which web pages may connect: Host and Origin."""

from __future__ import annotations

import pytest

from wsd.head import Refused
from wsd.policies.origin import checkHost, checkOrigin, hostName

HOSTS = ("localhost", "127.0.0.1", "[::1]")
SAME = ("same-host",)


def refuses(origin: str | None, allowed: tuple[str, ...] = SAME, host: str = "localhost:9998") -> bool:
    """Whether an origin is refused, with 403 and a sentence in printable ASCII."""
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
    """On loopback, Host must be one of our names: any other name may resolve to 127.0.0.1."""

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
            "192.0.2.1",
            "[2001:db8::1]:9998",
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

    @pytest.mark.parametrize(
        "host",
        [
            "[0:0:0:0:0:0:0:1]",
            "[::0001]:9998",
            "[::ffff:127.0.0.1]",
            "[::FFFF:7f00:1]:80",
            "127.0.0.1.",
            "LOCALHOST.:80",
        ],
    )
    def test_is_ours_however_its_address_is_written(self, host: str) -> None:
        checkHost(host, HOSTS)

    def test_may_be_anything_under_a_name(self) -> None:
        hosts = ("*.localhost", "[::1]")
        for host in ("a.localhost", "b.a.localhost:9998", "A.LocalHost."):
            checkHost(host, hosts)
        for host in ("localhost", "alocalhost", "a.localhost.evil.example"):
            with pytest.raises(Refused):
                checkHost(host, hosts)

    def test_may_be_any(self) -> None:
        checkHost("evil.example", ("*",))
        checkHost("", ("*",))

    @pytest.mark.parametrize(
        "host", ["192.0.2.1", "192.0.2.1:9998", "[2001:db8::1]:9998", "10.0.0.1.", "localhost", ""]
    )
    def test_on_a_wider_listener_is_an_address_too_or_none(self, host: str) -> None:
        checkHost(host, HOSTS, True)

    @pytest.mark.parametrize("host", ["evil.example", "192.0.2.1.evil.example", "192.0.2.1.2", "1.2.3", "0x7f000001"])
    def test_on_a_wider_listener_is_no_strangers_name(self, host: str) -> None:
        with pytest.raises(Refused) as caught:
            checkHost(host, HOSTS, True)
        assert caught.value.status == 421

    def test_name_is_lower_case_without_port_and_final_dot(self) -> None:
        names = [hostName(host) for host in ("Example.COM.:80", "[2001:DB8::1]:80", "a", "")]
        assert names == ["example.com", "[2001:db8::1]", "a", ""]


class TestNamesUnderAName:
    def test_are_no_reason_to_trust_pages_of_one_at_another(self) -> None:
        hosts = ("*.example.com", "*")
        with pytest.raises(Refused):
            checkOrigin("https://a.example.com", SAME, "b.example.com", hosts)
        checkOrigin("https://a.example.com", SAME, "a.example.com", hosts)


class TestNoPage:
    """A request without Origin is not a browser's."""

    def test_may_come_in(self) -> None:
        for allowed in ((), SAME, ("null",), ("https://example.com",)):
            assert not refuses(None, allowed)


class TestSameHost:
    """The default: a page of the requested host."""

    @pytest.mark.parametrize(
        "origin",
        [
            "http://localhost:9998",
            "http://localhost",
            "https://localhost:8443",
            "HTTP://LOCALHOST",
            "http://localhost.",
            "http://localhost/",
            "http://localhost:9998/",
            "http://localhost:80",
            "https://localhost:443/",
            "ws://localhost:9998",
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
        assert not refuses("https://[2001:db8:0::0:1]/", host="[2001:db8::1]:9998")
        assert not refuses("http://[::ffff:192.0.2.1]", host="192.0.2.1:80")

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
    """Origins that no browser sends."""

    @pytest.mark.parametrize(
        "origin",
        [
            " ",
            "localhost",
            "localhost:9998",
            "//localhost",
            "http:localhost",
            "http://",
            "http:///",
            "http://localhost//",
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
            "http:/localhost",
            "://localhost",
            "https:///",
            "ws://",
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
    """The origin "null": a page of a file, or a sandboxed frame in any page."""

    def test_is_refused_unless_allowed(self) -> None:
        assert refuses("null")
        assert refuses("null", ("https://example.com",))
        assert not refuses("null", ("same-host", "null"))
        assert not refuses("null", ("*",))

    @pytest.mark.parametrize("origin", ["", "file://", "FILE://", "file:///", "qrc://", "qrc:///"])
    def test_is_what_programs_send_for_pages_from_no_host(self, origin: str) -> None:
        assert refuses(origin)
        assert refuses(origin, ("https://example.com",))
        assert not refuses(origin, ("same-host", "null"))
        assert not refuses(origin, ("*",))

    @pytest.mark.parametrize("origin", ["content://", "app://", "file://localhost", "qrc://somewhere", "data:"])
    def test_is_nothing_else(self, origin: str) -> None:
        assert refuses(origin, ("same-host", "null"))


class TestTheAllowList:
    """Complete origins."""

    ALLOWED = (
        "https://example.com",
        "http://localhost:8000",
        "https://[2001:db8::1]:444",
        "chrome-extension://abcdef",
        "app://-",
        "tauri://localhost",
        "capacitor://localhost",
        "file://",
        "http://192.0.2.1",
    )

    @pytest.mark.parametrize(
        "origin",
        [
            "https://example.com",
            "https://example.com:443",
            "HTTPS://Example.COM",
            "https://example.com.",
            "http://localhost:8000",
            "https://[2001:DB8::1]:444",
            "https://[2001:db8:0:0::1]:444/",
            "https://example.com/",
            "chrome-extension://abcdef",
            "chrome-extension://abcdef/",
            "app://-",
            "tauri://localhost",
            "capacitor://localhost",
            "file://",
            "file:///",
            "http://192.0.2.1:80",
            "http://[::ffff:c000:201]",
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
            "app://",
            "tauri://localhost:1",
            "capacitor://app",
            "qrc://",
            "",
            "null",
        ],
    )
    def test_keeps_out_what_it_does_not(self, origin: str) -> None:
        assert refuses(origin, self.ALLOWED)

    def test_may_let_in_all(self) -> None:
        assert not refuses("https://evil.example", ("*",))

    def test_may_let_in_none(self) -> None:
        assert refuses("http://localhost:9998", ())
