"""URLs as people write them."""

from __future__ import annotations

import base64

import pytest

from wsd.client.url import readUrl, shownUrl


class TestAUrl:
    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("ws://localhost:9998/echo", "ws://localhost:9998/echo"),
            ("ws://localhost/a b/ü?q=é ü&r=%20", "ws://localhost/a%20b/%C3%BC?q=%C3%A9%20%C3%BC&r=%20"),
            ("ws://localhost/caf%C3%A9/%2F", "ws://localhost/caf%C3%A9/%2F"),
            ("ws://localhost/a'(b)*;c=1,2~?x=[1]&y=a/b?c:d@e", "ws://localhost/a'(b)*;c=1,2~?x=[1]&y=a/b?c:d@e"),
            ('ws://localhost/"<>`{}|\\^', "ws://localhost/%22%3C%3E%60%7B%7D%7C%5C%5E"),
            ("ws://localhost/\udcff", "ws://localhost/%FF"),
            ("ws://Bücher.example:81/x", "ws://xn--bcher-kva.example:81/x"),
            ("wss://[::1]:9998/", "wss://[::1]:9998/"),
            (" ws://localhost/ ", "ws://localhost/"),
            ("http://localhost/a", "ws://localhost/a"),
            ("HTTPS://localhost/a", "wss://localhost/a"),
            ("localhost:9998/echo", "ws://localhost:9998/echo"),
            ("localhost", "ws://localhost"),
            ("[::1]:9998/echo?a=b://c", "ws://[::1]:9998/echo?a=b://c"),
            ("Bücher.example/ß", "ws://xn--bcher-kva.example/%C3%9F"),
        ],
    )
    def test_is_encoded_as_a_request_needs_it(self, written: str, meant: str) -> None:
        assert readUrl(written) == (meant, {})

    @pytest.mark.parametrize(
        ("user", "told"),
        [
            ("me:secret", "me:secret"),
            ("me", "me:"),
            ("me:", "me:"),
            (":secret", ":secret"),
            ("m%40e:s%3Ae%20c", "m@e:s:e c"),
            ("mé:sécret", "mé:sécret"),
            ("me:a@b", "me:a@b"),
        ],
    )
    def test_tells_its_user_in_a_header(self, user: str, told: str) -> None:
        url, headers = readUrl(f"ws://{user}@localhost:9998/echo")
        assert url == "ws://localhost:9998/echo"
        assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")).decode() == told

    @pytest.mark.parametrize("written", ["ftp://localhost/", "file:///tmp"])
    def test_of_another_scheme_is_refused(self, written: str) -> None:
        with pytest.raises(ValueError, match="is not ws or wss"):
            readUrl(written)

    def test_is_shown_without_it(self) -> None:
        assert shownUrl("ws://me:secret@localhost/a@b") == "ws://localhost/a@b"
        assert shownUrl("me:secret@localhost/a@b") == "localhost/a@b"
        assert shownUrl("ws://localhost/a@b\x1b") == "ws://localhost/a@b\\x1b"
