"""The TLVs of a PROXY header of version 2: what a trusted proxy says about the client's TLS, and its own id."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from tests.certificates import Authority
from wsd.listen.proxytlvs import ClientFacts, MalformedTlv, crc32c, readTlvs
from wsd.policies.address import TlsInfo

TLS, SENT_NOW, SENT_BEFORE = 1, 2, 4
VERSION, CIPHER = b"TLSv1.3", b"TLS_AES_256_GCM_SHA384"


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def ssl(client: int, verify: int, *inner: bytes) -> bytes:
    """A TLV of the type PP2_TYPE_SSL."""
    return tlv(0x20, struct.pack("!BI", client, verify) + b"".join(inner))


NAMED = (tlv(0x21, VERSION), tlv(0x23, CIPHER))


def read(*tlvs: bytes) -> ClientFacts:
    return readTlvs(b"".join(tlvs), 0)


class TestTls:
    def test_is_what_the_client_and_the_proxy_agreed_on(self) -> None:
        found = read(tlv(0x01, b"http/1.1"), tlv(0x02, b"ws.example.com"), ssl(TLS, 0, *NAMED))
        assert found == ClientFacts(TlsInfo(VERSION.decode(), CIPHER.decode(), "ws.example.com", "http/1.1"))

    def test_may_be_all_that_the_proxy_says(self) -> None:
        assert read(ssl(TLS, 1)) == ClientFacts(TlsInfo("", ""))

    def test_is_none_if_the_client_has_not_used_it(self) -> None:
        """haproxy that passes TLS through unchanged says so."""
        assert read(tlv(0x02, b"ws.example.com"), ssl(0, 0, *NAMED, tlv(0x22, b"ann"))) == ClientFacts()

    def test_is_none_without_a_word_about_it(self) -> None:
        assert read(tlv(0x04, bytes(900)), tlv(0xEA, b"\x01vpce")) == read() == ClientFacts()


class TestACertificate:
    @pytest.mark.parametrize("sent", [SENT_NOW, SENT_BEFORE, SENT_NOW | SENT_BEFORE])
    def test_names_the_client_by_its_cn(self, sent: int) -> None:
        tls = read(ssl(TLS | sent, 0, tlv(0x22, "Zoë, of Doors".encode()))).tls
        assert tls is not None
        assert (tls.client, tls.clientPem) == ("CN=Zoë\\, of Doors", None)

    def test_names_nobody_unless_the_proxy_has_verified_it(self) -> None:
        tls = read(ssl(TLS | SENT_NOW, 18, tlv(0x22, b"ann"))).tls
        assert tls is not None
        assert tls.client is None

    def test_names_nobody_if_the_client_has_sent_none(self) -> None:
        tls = read(ssl(TLS, 0, tlv(0x22, b"ann"))).tls
        assert tls is not None
        assert tls.client is None

    def test_may_come_as_a_whole(self, tmp_path: Path) -> None:
        pem = Path(Authority(tmp_path).client("ann").cert).read_bytes()
        certificate = x509.load_pem_x509_certificate(pem)
        der = certificate.public_bytes(Encoding.DER)
        tls = read(ssl(TLS | SENT_NOW, 0, tlv(0x22, b"ann"), tlv(0x28, der))).tls
        assert tls is not None
        assert tls.client == certificate.subject.rfc4514_string()
        assert tls.clientPem == certificate.public_bytes(Encoding.PEM)


class TestTheIdOfTheProxy:
    def test_is_as_its_log_has_it(self) -> None:
        assert read(tlv(0x05, b"7F000001:C738_4A2F")).id == "7F000001:C738_4A2F"

    def test_is_one_line_whatever_its_bytes(self) -> None:
        assert read(tlv(0x05, b"\xff\n1")).id == "\\xff\\n1"

    def test_of_no_bytes_is_none(self) -> None:
        assert read(tlv(0x05, b"")).id is None

    @pytest.mark.parametrize("size", [128, 129])
    def test_has_at_most_128_bytes(self, size: int) -> None:
        if size == 128:
            assert read(tlv(0x05, b"x" * size)).id == "x" * size
        else:
            with pytest.raises(MalformedTlv, match="unique id of 129 bytes; the longest has 128"):
                read(tlv(0x05, b"x" * size))


class TestTheChecksum:
    # RFC 3720 B.4
    @pytest.mark.parametrize(
        ("data", "value"),
        [(bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E), (b"", 0)],
    )
    def test_is_that_of_the_rfc(self, data: bytes, value: int) -> None:
        assert crc32c(data) == value

    def test_is_of_the_whole_header_with_zeros_in_its_own_place(self) -> None:
        before, after = b"any fixed part" + tlv(0x02, b"a.test"), tlv(0x05, b"id")
        checksum = crc32c(before + tlv(0x03, bytes(4)) + after).to_bytes(4, "big")
        assert readTlvs(before + tlv(0x03, checksum) + after, 14).id == "id"
        with pytest.raises(MalformedTlv, match="has a wrong checksum"):
            readTlvs(b"ANY" + before[3:] + tlv(0x03, checksum) + after, 14)

    def test_of_another_size_is_wrong(self) -> None:
        with pytest.raises(MalformedTlv, match="has a wrong checksum"):
            read(tlv(0x03, b"\0\0\0"))


class TestAnythingElse:
    @pytest.mark.parametrize(
        ("tlvs", "words"),
        [
            (b"\x01", "ends within a TLV"),
            (b"\x01\x00\x05abcd", "ends within a TLV"),
            (tlv(0x20, b"\x01\0\0\0"), "too few bytes about TLS"),
            (ssl(TLS, 0, b"\x21\x00\x09short"), "ends within a TLV"),
            (ssl(TLS, 0, tlv(0x21, b"\xff")), "type 0x21 that is not printable UTF-8"),
            (ssl(TLS, 0) + tlv(0x02, b"a\nb"), "type 0x02 that is not printable UTF-8"),
            (ssl(TLS | SENT_NOW, 0, tlv(0x22, b"a\0b")), "type 0x22 that is not printable UTF-8"),
            (ssl(TLS | SENT_NOW, 0, tlv(0x28, b"nonsense")), "client certificate that is not DER"),
        ],
    )
    def test_is_malformed(self, tlvs: bytes, words: str) -> None:
        with pytest.raises(MalformedTlv, match=words):
            read(tlvs)

    @given(st.binary(max_size=200) | st.binary(max_size=80).map(lambda inner: ssl(TLS | SENT_NOW, 0, inner)))
    def test_is_read_or_malformed(self, data: bytes) -> None:
        with suppress(MalformedTlv):
            read(data)
