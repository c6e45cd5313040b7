"""The opening handshake: RFC 6455, sections 4.1, 4.2 and 4.4."""

from __future__ import annotations

import base64

import pytest

from wsd.head import Head, Refused, parseHead
from wsd.policies.upgrade import acceptKey, checkUpgrade

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def upgrade(
    *fields: str, method: str = "GET", http: str = "HTTP/1.1", key: str | None = KEY, version: str | None = "13"
) -> Head:
    """An opening handshake with these fields."""
    lines = [f"{method} /echo {http}", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade", *fields]
    if key is not None:
        lines.append(f"Sec-WebSocket-Key: {key}")
    if version is not None:
        lines.append(f"Sec-WebSocket-Version: {version}")
    return parseHead("\r\n".join(lines).encode("latin-1"))


def refused(head: Head) -> Refused:
    """The refusal of a handshake, with a sentence in printable ASCII."""
    assert head.isUpgrade
    with pytest.raises(Refused) as caught:
        checkUpgrade(head)
    assert len(caught.value.sentence) < 250
    assert caught.value.sentence.isascii()
    assert caught.value.sentence.isprintable()
    return caught.value


class TestAHandshake:
    """RFC 6455 4.2.1: the requirements of a handshake."""

    def test_has_a_key(self) -> None:
        assert checkUpgrade(upgrade()) == KEY

    def test_may_have_an_origin_and_an_empty_body(self) -> None:
        assert checkUpgrade(upgrade("Origin: null", "Content-Length: 0")) == KEY

    @pytest.mark.parametrize("method", ["POST", "HEAD", "PUT", "OPTIONS", "get"])
    def test_is_a_get(self, method: str) -> None:
        refusal = refused(upgrade(method=method))
        assert refusal.status == 405
        assert refusal.headers == (("Allow", "GET"),)

    def test_is_http_1_1(self) -> None:
        assert refused(upgrade(http="HTTP/1.0")).status == 400

    @pytest.mark.parametrize("field", ["Content-Length: 1", "Content-Length: 999999999", "Transfer-Encoding: chunked"])
    def test_has_no_body(self, field: str) -> None:
        refusal = refused(upgrade(field))
        assert refusal.status == 400
        assert "body" in refusal.sentence

    def test_has_one_origin_at_most(self) -> None:
        refusal = refused(upgrade("Origin: http://localhost", "origin: http://localhost"))
        assert refusal.status == 400
        assert "Origin" in refusal.sentence


class TestTheVersion:
    """RFC 6455 4.4: a refusal of another version has the supported one."""

    @pytest.mark.parametrize(
        "version", [None, "", "0", "8", "12", "14", "13, 8", "8, 13", "013", "+13", "13.0", "1 3", "x" * 9000]
    )
    def test_is_13(self, version: str | None) -> None:
        refusal = refused(upgrade(version=version))
        assert refusal.status == 426
        assert dict(refusal.headers) == {"Sec-WebSocket-Version": "13", "Upgrade": "websocket"}

    def test_is_there_once(self) -> None:
        assert refused(upgrade("Sec-WebSocket-Version: 13")).status == 426

    def test_is_told_before_a_fault_in_the_key(self) -> None:
        assert refused(upgrade(version="8", key=None)).status == 426


class TestTheKey:
    """4.2.1, point 5: base64 that decodes to 16 bytes."""

    @pytest.mark.parametrize("nonce", [bytes(16), b"\xff" * 16, bytes(range(16))])
    def test_is_the_base64_of_16_bytes(self, nonce: bytes) -> None:
        key = base64.b64encode(nonce).decode()
        assert checkUpgrade(upgrade(key=key)) == key

    @pytest.mark.parametrize("key", ["AQIDBAUGBwgJCgsMDQ4PEC==", KEY[:-3] + "R==", KEY[:-3] + "f=="])
    def test_may_have_bits_behind_those_that_count(self, key: str) -> None:
        """4.1's note has an example: all of these decode to 16 bytes."""
        assert len(base64.b64decode(key)) == 16
        assert checkUpgrade(upgrade(key=key)) == key

    @pytest.mark.parametrize(
        "key",
        [
            "",
            "nonsense",
            base64.b64encode(bytes(15)).decode(),
            base64.b64encode(bytes(17)).decode(),
            base64.b64encode(bytes(18)).decode(),
            KEY[:-1],
            KEY[:-2],
            KEY + "=",
            KEY[:4] + " " + KEY[4:],
            KEY[:4] + "\t" + KEY[4:],
            KEY[:4] + "-_" + KEY[6:],
            KEY + ", " + KEY,
            '"' + KEY + '"',
            KEY + "\xa0",
            "A" * 9000,
        ],
    )
    def test_is_nothing_else(self, key: str) -> None:
        refusal = refused(upgrade(key=key))
        assert refusal.status == 400
        assert "Sec-WebSocket-Key" in refusal.sentence

    def test_is_there_once(self) -> None:
        assert refused(upgrade(key=None)).status == 400
        assert refused(upgrade(f"Sec-WebSocket-Key: {KEY}")).status == 400

    def test_has_the_proof_that_the_rfc_gives_for_it(self) -> None:
        """1.3: the sample nonce."""
        assert acceptKey(KEY) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
