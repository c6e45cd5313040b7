"""The connection to the server behind the gateway: STARTTLS, the PROXY header, and its end."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogEvent, capturedLogs

from tests.certificates import Authority
from tests.protocols.xmpp.gateway.harness import END, ERROR, FEATURES, HEAD, ID, PROCEED, STARTTLS, Harness, opened
from tests.protocols.xmpp.talk import CLOSE, OPEN
from wsd.config import ConfigError


@pytest.fixture
def lines() -> Iterator[Sequence[LogEvent]]:
    with capturedLogs() as heard:
        yield heard


def connected(domain: str = "localhost", **keys: Any) -> Harness:
    """The server has accepted the connection, and has got the header of the stream."""
    harness = Harness(**keys)
    harness.say(OPEN.replace("localhost", domain))
    harness.reached().transport.clear()
    return harness


class TestStartTls:
    def test_it_begins_and_the_client_sees_nothing_of_it(self) -> None:
        harness = connected(upstream_tls="required")
        assert harness.told(HEAD + STARTTLS) == []
        assert harness.transport.said() == '<starttls xmlns="urn:ietf:params:xml:ns:xmpp-tls"/>'
        assert harness.told(PROCEED) == []
        assert harness.transport.isSafe
        assert harness.transport.said().startswith("<?xml")
        assert len(harness.told(HEAD + FEATURES)) == 2

    def test_bytes_in_one_piece_with_proceed_came_unencrypted_and_are_ignored(self) -> None:
        harness = connected(upstream_tls="required")
        harness.told(HEAD + STARTTLS)
        assert harness.told(PROCEED + b"<message><body>forged</body></message>" + FEATURES) == []
        assert len(harness.told(HEAD + FEATURES)) == 2

    @pytest.mark.parametrize("said", [FEATURES, b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", b"<message/>"])
    def test_a_server_without_it_is_refused(self, said: bytes) -> None:
        harness = connected(upstream_tls="required")
        told = harness.told(HEAD + said)
        assert "remote-connection-failed" in told[1]
        assert not any("PLAIN" in each for each in told)
        assert harness.transport.said() == "</stream:stream>"

    def test_unless_it_is_optional(self) -> None:
        assert len(connected(upstream_tls="optional").told(HEAD + FEATURES)) == 2

    def test_where_it_is_optional_and_offered_it_begins(self) -> None:
        harness = connected(upstream_tls="optional")
        harness.told(HEAD + STARTTLS)
        assert "starttls" in harness.transport.said()

    def test_an_error_before_it_is_shown_and_ends_the_stream(self) -> None:
        opening, error, close = connected(upstream_tls="required").told(HEAD + ERROR + END)
        assert re.fullmatch(
            '<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" from="localhost" id="[0-9a-f]{16}" version="1.0"'
            ' xml:lang="en"/>',
            opening,
        )
        assert "conflict" in error
        assert close.startswith("<close")

    def test_the_end_of_the_stream_before_it_ends_the_clients(self) -> None:
        assert [each[:6] for each in connected(upstream_tls="required").told(HEAD + END)] == ["<open ", "<close"]

    def test_a_domain_that_can_have_no_certificate_is_refused(self, lines: Sequence[LogEvent]) -> None:
        harness = connected("😀.example", upstream_tls="required")
        told = harness.told(HEAD + STARTTLS + PROCEED)
        assert "remote-connection-failed" in told[1]
        assert not harness.transport.isSafe
        (line,) = [line for line in lines if line.get("event")]
        assert (line["event"], line["id"]) == ("xmpp.upstream", ID)
        assert "no certificate can be valid for" in line["sentence"]


class TestTheAuthorities:
    def test_of_a_file_are_read(self, tmp_path: Path) -> None:
        Harness(upstream_tls="required", upstream_ca=str(Authority(tmp_path, "ca").path))

    @pytest.mark.parametrize("pem", [b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"", b"hello"])
    def test_of_a_file_without_certificates_are_refused(self, tmp_path: Path, pem: bytes) -> None:
        path = tmp_path / "ca.pem"
        path.write_bytes(pem)
        with pytest.raises(ConfigError, match=r"upstream_ca: .*ca\.pem cannot be read as certificates in PEM"):
            Harness(upstream_tls="required", upstream_ca=str(path))


class TestTheProxyHeader:
    @pytest.mark.parametrize(
        ("source", "line"),
        [
            (("192.0.2.1", 7), "PROXY TCP4 192.0.2.1 127.0.0.1 7 5222\r\n"),
            (("2001:db8::1", 7), "PROXY TCP6 2001:db8::1 :: 7 5222\r\n"),
            (("unix", 0), "PROXY UNKNOWN\r\n"),
        ],
    )
    def test_comes_first(self, source: tuple[str, int], line: str) -> None:
        harness = Harness(source, upstream_proxy=True)
        harness.say(OPEN)
        assert harness.reached().transport.said().startswith(f"{line}<?xml")

    def test_is_sent_where_it_is_wanted(self) -> None:
        harness = Harness()
        harness.say(OPEN)
        assert harness.reached().transport.said().startswith("<?xml")


class TestTheEnd:
    def test_a_server_that_does_not_read_loses_the_connection_after_a_while(self) -> None:
        harness = opened()
        transport = harness.transport
        transport.loseConnection = lambda: None  # type: ignore[method-assign]
        harness.gateway.lost()
        del transport.loseConnection
        harness.reactor.advance(9)
        assert transport.connected
        harness.reactor.advance(1)
        assert not transport.connected

    def test_a_server_that_reads_leaves_no_timer(self) -> None:
        harness = opened()
        harness.gateway.lost()
        assert not harness.reactor.getDelayedCalls()

    def test_a_paused_connection_reads_again_to_see_its_end(self) -> None:
        harness = opened()
        harness.gateway.full()
        harness.gateway.lost()
        assert harness.transport.producerState == "producing"
        assert harness.transport.producer is None

    def test_later_data_is_ignored(self) -> None:
        harness = opened()
        assert [each[:6] for each in harness.told(b"<a></b>" + END)] == ["<strea", "<close"]
        assert harness.told(b"<message/>") == []
        harness.say(CLOSE)
        assert harness.isFinished
