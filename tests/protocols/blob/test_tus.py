"""tus 1.0: core, creation, checksum, expiration and termination, as its specification has them."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from pathlib import Path

import pytest

from tests.protocols.blob.stores import Answer, ask, daemonOf
from tests.wire import Daemon, Wire

CONTENT = b"0123456789"
TUS = "Tus-Resumable: 1.0.0"


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    return daemonOf(tmp_path)


def create(daemon: Daemon, size: int = len(CONTENT), *fields: str) -> str:
    answer = ask(daemon, "POST /blob/tus", TUS, f"Upload-Length: {size}", *fields)
    assert answer.status == 201
    return answer.headers["location"]


def patch(daemon: Daemon, url: str, offset: int, body: bytes, *fields: str) -> Answer:
    return ask(daemon, f"PATCH {url}", *head(offset, len(body)), *fields, body=body)


def head(offset: int, length: int) -> list[str]:
    kind = "Content-Type: application/offset+octet-stream"
    return [TUS, f"Upload-Offset: {offset}", kind, f"Content-Length: {length}"]


def offsetOf(daemon: Daemon, url: str) -> int:
    return int(ask(daemon, f"HEAD {url}", TUS).headers["upload-offset"])


def cut(daemon: Daemon, url: str, offset: int, sent: bytes, length: int, *fields: str) -> None:
    """A PATCH that promises `length` bytes, of which some are sent before the connection is lost."""
    wire = Wire(daemon)
    lines = [f"PATCH {url} HTTP/1.1", "Host: localhost:9998", *head(offset, length), *fields, "", ""]
    wire.send("\r\n".join(lines).encode() + sent)
    wire.close()


class TestCore:
    def test_options_tells_what_there_is(self, tmp_path: Path) -> None:
        answer = ask(daemonOf(tmp_path, max_file=5000), "OPTIONS /blob/tus")
        assert answer.status == 204
        assert answer.headers["tus-version"] == "1.0.0"
        assert answer.headers["tus-extension"] == "creation,checksum,expiration,termination"
        assert answer.headers["tus-max-size"] == "5000"
        assert "sha1" in answer.headers["tus-checksum-algorithm"].split(",")

    def test_a_file_in_two_pieces(self, daemon: Daemon) -> None:
        url = create(daemon)
        answer = patch(daemon, url, 0, CONTENT[:4])
        assert (answer.status, answer.headers["upload-offset"]) == (204, "4")
        assert answer.headers["tus-resumable"] == "1.0.0"
        answer = patch(daemon, url, 4, CONTENT[4:])
        assert (answer.status, answer.headers["upload-offset"]) == (204, "10")
        assert ask(daemon, f"GET {answer.headers['content-location']}").body == CONTENT

    def test_head_tells_how_far_it_is(self, daemon: Daemon) -> None:
        url = create(daemon)
        patch(daemon, url, 0, CONTENT[:4])
        answer = ask(daemon, f"HEAD {url}", TUS)
        assert (answer.status, answer.headers["upload-offset"], answer.headers["upload-length"]) == (200, "4", "10")
        assert answer.headers["cache-control"] == "no-store"

    def test_head_tells_of_a_whole_one_too(self, daemon: Daemon) -> None:
        url = create(daemon)
        patch(daemon, url, 0, CONTENT)
        assert offsetOf(daemon, url) == 10

    def test_after_a_cut_inside_a_patch_head_tells_what_is_on_disk(self, daemon: Daemon) -> None:
        url = create(daemon)
        cut(daemon, url, 0, CONTENT[:7], 10)
        assert offsetOf(daemon, url) == 7
        assert patch(daemon, url, 7, CONTENT[7:]).headers["upload-offset"] == "10"

    def test_a_newer_patch_takes_over(self, daemon: Daemon) -> None:
        url = create(daemon)
        older = Wire(daemon)
        lines = [f"PATCH {url} HTTP/1.1", "Host: localhost:9998", *head(0, 10), "", ""]
        older.send("\r\n".join(lines).encode() + CONTENT[:4])
        assert patch(daemon, url, 4, CONTENT[4:]).status == 204
        assert Answer(older.exchange(b"")).error == "taken_over"

    def test_another_method_may_be_meant(self, daemon: Daemon) -> None:
        url = create(daemon)
        fields = [*head(0, 10), "X-HTTP-Method-Override: PATCH"]
        assert ask(daemon, f"POST {url}", *fields, body=CONTENT).status == 204

    def test_a_patch_of_nothing(self, daemon: Daemon) -> None:
        url = create(daemon)
        assert patch(daemon, url, 0, b"").headers["upload-offset"] == "0"

    def test_chunked_bodies_come_too(self, daemon: Daemon) -> None:
        url = create(daemon)
        fields = [*head(0, 0)[:-1], "Transfer-Encoding: chunked"]
        answer = ask(daemon, f"PATCH {url}", *fields, body=b"4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n")
        assert answer.headers["upload-offset"] == "10"


class TestCreation:
    def test_location_is_a_path(self, daemon: Daemon) -> None:
        assert create(daemon).startswith("/blob/tus/")

    def test_the_endpoint_may_end_with_a_slash(self, daemon: Daemon) -> None:
        answer = ask(daemon, "POST /blob/tus/", TUS, "Upload-Length: 10")
        assert patch(daemon, answer.headers["location"], 0, CONTENT).headers["upload-offset"] == "10"

    def test_name_and_type_come_with_it(self, daemon: Daemon) -> None:
        name = b64encode("größe.bin".encode()).decode()
        url = create(daemon, 10, f"Upload-Metadata: filename {name},filetype {b64encode(b'video/mp4').decode()},empty")
        answer = patch(daemon, url, 0, bytes(10))
        label = ask(daemon, f"GET {answer.headers['content-location']}").headers
        assert "gr%C3%B6%C3%9Fe.bin" in label["content-disposition"]
        assert label["content-type"] == "video/mp4"

    @pytest.mark.parametrize("kind", ["", "null", "jpg", "a b", "video/*", "text/plain; charset=", 'a/b; c="d'])
    def test_a_type_that_is_none_is_not_known(self, daemon: Daemon, kind: str) -> None:
        url = create(daemon, 10, f"Upload-Metadata: filetype {b64encode(kind.encode()).decode()}")
        answer = patch(daemon, url, 0, bytes(10))
        assert ask(daemon, f"GET {answer.headers['content-location']}").headers["content-type"] == (
            "application/octet-stream"
        )

    def test_a_type_has_its_parameters(self, daemon: Daemon) -> None:
        kind = "video/webm;codecs=vp9,opus"
        url = create(daemon, 10, f"Upload-Metadata: filetype {b64encode(kind.encode()).decode()}")
        answer = patch(daemon, url, 0, bytes(10))
        assert ask(daemon, f"GET {answer.headers['content-location']}").headers["content-type"] == kind

    METADATA = f"thumb /w==,filename {b64encode(b'a.txt').decode()},is_confidential,name YQ==,x "

    @pytest.mark.parametrize("field", [METADATA.strip(), "filetype bnVsbA==", "a YQ==, b YQ==", "a"])
    def test_head_gives_what_was_sent_word_for_word_after_a_restart_too(self, tmp_path: Path, field: str) -> None:
        url = create(daemonOf(tmp_path), 10, f"Upload-Metadata: {field}")
        daemon = daemonOf(tmp_path)
        assert ask(daemon, f"HEAD {url}", TUS).headers["upload-metadata"] == field
        patch(daemon, url, 0, CONTENT)
        assert ask(daemonOf(tmp_path), f"HEAD {url}", TUS).headers["upload-metadata"] == field

    def test_head_makes_nothing_up(self, daemon: Daemon) -> None:
        assert "upload-metadata" not in ask(daemon, f"HEAD {create(daemon)}", TUS).headers

    def test_an_empty_file_is_whole_at_once(self, daemon: Daemon) -> None:
        assert ask(daemon, f"HEAD {create(daemon, 0)}", TUS).headers["content-location"].startswith("/blob/")

    def test_one_that_is_too_large_is_413(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path, max_file=100)
        assert ask(daemon, "POST /blob/tus", TUS, "Upload-Length: 101").status == 413

    def test_one_over_the_quota_is_507(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path, quota=100)
        patch(daemon, create(daemon, 60), 0, bytes(60))
        answer = ask(daemon, "POST /blob/tus", TUS, "Upload-Length: 60")
        assert (answer.status, answer.error) == (507, "quota")


class TestChecksum:
    @pytest.mark.parametrize("name", ["sha1", "sha256", "sha512", "md5"])
    def test_a_right_one(self, daemon: Daemon, name: str) -> None:
        url = create(daemon)
        digest = b64encode(hashlib.new(name, CONTENT).digest()).decode()
        assert patch(daemon, url, 0, CONTENT, f"Upload-Checksum: {name} {digest}").status == 204

    def test_a_wrong_one_is_460_and_nothing_of_it_counts(self, daemon: Daemon) -> None:
        url = create(daemon)
        patch(daemon, url, 0, CONTENT[:4])
        digest = b64encode(hashlib.sha1(b"another").digest()).decode()
        answer = patch(daemon, url, 4, CONTENT[4:], f"Upload-Checksum: sha1 {digest}")
        assert (answer.status, answer.error) == (460, "checksum")
        assert offsetOf(daemon, url) == 4
        assert patch(daemon, url, 4, CONTENT[4:]).status == 204

    def test_of_one_that_was_cut_nothing_counts(self, daemon: Daemon) -> None:
        url = create(daemon)
        digest = b64encode(hashlib.sha1(CONTENT).digest()).decode()
        cut(daemon, url, 0, CONTENT[:7], 10, f"Upload-Checksum: sha1 {digest}")
        assert offsetOf(daemon, url) == 0

    @pytest.mark.parametrize("field", ["crc7 AAAA", "sha1", "sha1 *", "sha1 AAA", "sha1 größe", "größe AAAA"])
    def test_one_that_is_none_is_400(self, daemon: Daemon, field: str) -> None:
        answer = patch(daemon, create(daemon), 0, CONTENT, f"Upload-Checksum: {field}")
        assert answer.status in (400, 460)


class TestExpiration:
    def test_it_tells_until_when(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("time.time", lambda: 1000.0)
        daemon = daemonOf(tmp_path, expire=60.0)
        answer = ask(daemon, "POST /blob/tus", TUS, "Upload-Length: 5")
        assert answer.headers["upload-expires"] == "Thu, 01 Jan 1970 00:17:40 GMT"


class TestTermination:
    def test_an_unfinished_one_is_gone(self, daemon: Daemon) -> None:
        url = create(daemon)
        patch(daemon, url, 0, CONTENT[:4])
        assert ask(daemon, f"DELETE {url}", TUS).status == 204
        assert ask(daemon, f"HEAD {url}", TUS).status == 404

    def test_a_finished_one_only_where_the_route_allows_it(self, tmp_path: Path) -> None:
        for allowed, status in ((False, 403), (True, 204)):
            daemon = daemonOf(tmp_path / str(allowed), delete=allowed)
            url = create(daemon)
            patch(daemon, url, 0, CONTENT)
            assert ask(daemon, f"DELETE {url}", TUS).status == status


class TestOtherSites:
    def test_a_browser_is_told_what_a_page_may(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path, origins=("https://app.test",))
        answer = ask(daemon, "OPTIONS /blob/tus", "Origin: https://app.test", "Access-Control-Request-Method: PATCH")
        assert answer.status == 204
        assert answer.headers["access-control-allow-origin"] == "https://app.test"
        assert "PATCH" in answer.headers["access-control-allow-methods"]
        assert "Upload-Offset" in answer.headers["access-control-allow-headers"]
        assert "Location" in answer.headers["access-control-expose-headers"]

    def test_one_that_may_not_is_403_before_its_body_is_read(self, daemon: Daemon) -> None:
        url = create(daemon)
        assert patch(daemon, url, 0, CONTENT, "Origin: https://evil.test").status == 403
        assert offsetOf(daemon, url) == 0


class TestWhatGoesWrong:
    def test_what_nobody_has_foreseen_is_answered(self, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
        def slip(*_: object) -> None:
            raise ValueError("nobody has foreseen this")

        url = create(daemon)
        for place in ("store.UploadFile", "file.UploadFile.append"):
            with monkeypatch.context() as context:
                context.setattr(f"wsd.protocols.blob.{place}", slip)
                answer = patch(daemon, url, 0, CONTENT)
            assert (answer.status, answer.error) == (503, "unavailable")
        assert patch(daemon, url, 0, CONTENT).status == 204

    def test_a_connection_that_is_dropped_while_its_upload_opens_leaves_it_to_the_next(self, daemon: Daemon) -> None:
        url = create(daemon)
        daemon.pool.slow = True
        wire = Wire(daemon)
        lines = [f"PATCH {url} HTTP/1.1", "Host: localhost:9998", *head(0, len(CONTENT)), "", ""]
        wire.send("\r\n".join(lines).encode() + CONTENT[:4])
        wire.transport.abortConnection()  # as the daemon does when a body takes too long
        wire.serve()
        assert wire.transport.disconnected
        daemon.pool.catchUp()
        assert offsetOf(daemon, url) == 0
        assert patch(daemon, url, 0, CONTENT).status == 204

    def test_another_offset_is_409(self, daemon: Daemon) -> None:
        url = create(daemon)
        patch(daemon, url, 0, CONTENT[:4])
        for offset in (0, 5):
            answer = patch(daemon, url, offset, CONTENT)
            assert (answer.status, answer.error) == (409, "offset")
        assert offsetOf(daemon, url) == 4

    @pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
    def test_a_body_with_a_content_coding_is_415(self, daemon: Daemon, coding: str) -> None:
        url = create(daemon)
        answer = patch(daemon, url, 0, CONTENT, f"Content-Encoding: {coding}")
        assert (answer.status, answer.error, answer.headers["accept-encoding"]) == (415, "content_type", "identity")
        assert patch(daemon, url, 0, CONTENT, "Content-Encoding: identity").status == 204

    def test_another_content_type_is_415(self, daemon: Daemon) -> None:
        fields = [TUS, "Upload-Offset: 0", "Content-Type: text/plain", "Content-Length: 10"]
        answer = ask(daemon, f"PATCH {create(daemon)}", *fields, body=CONTENT)
        assert (answer.status, answer.error) == (415, "content_type")

    @pytest.mark.parametrize(
        ("fields", "told"),
        [([], "there is no Tus-Resumable"), (["Tus-Resumable: 0.2.2"], "Tus-Resumable is '0.2.2'")],
    )
    def test_another_version_is_412(self, daemon: Daemon, fields: list[str], told: str) -> None:
        answer = ask(daemon, "POST /blob/tus", "Upload-Length: 10", *fields)
        assert (answer.status, answer.headers["tus-version"], answer.error) == (412, "1.0.0", "tus_version")
        assert json.loads(answer.body)["error"]["message"] == f"{told}; this is version 1.0.0 of tus"

    def test_more_than_announced_is_refused(self, daemon: Daemon) -> None:
        url = create(daemon)
        assert patch(daemon, url, 0, CONTENT + b"more").status == 400
        assert offsetOf(daemon, url) == 0

    @pytest.mark.parametrize("path", ["none", "0" * 32, "a/b", "..", "%2e%2e%2f" * 3, "x" * 1000])
    def test_an_upload_that_is_not_there_is_404(self, daemon: Daemon, path: str) -> None:
        assert ask(daemon, f"HEAD /blob/tus/{path}", TUS).status in (404, 405)

    @pytest.mark.parametrize("length", ["-1", "1.5", "ten", "", "9" * 20])
    def test_a_length_that_is_none_is_400(self, daemon: Daemon, length: str) -> None:
        assert ask(daemon, "POST /blob/tus", TUS, f"Upload-Length: {length}").error == "bad_message"

    @pytest.mark.parametrize(
        ("metadata", "code"),
        [
            ("filename *", "bad_message"),
            ("filename /w==", "bad_message"),
            ("filename größe", "bad_message"),
            ("größe", "bad_message"),
            (f"filename {b64encode(b'../x').decode()}", "bad_name"),
            (f"filename {b64encode(b'a' * 10_000).decode()}", "bad_name"),
        ],
    )
    def test_metadata_that_is_none_is_400(self, daemon: Daemon, metadata: str, code: str) -> None:
        answer = ask(daemon, "POST /blob/tus", TUS, "Upload-Length: 1", f"Upload-Metadata: {metadata}")
        assert (answer.status, answer.error) == (400, code)

    @pytest.mark.parametrize(
        "line", ["GET /blob/tus", "PUT /blob/tus", "POST /blob/tus/" + "0" * 32, "PATCH /blob/tus"]
    )
    def test_a_method_that_is_not_for_the_path_is_405(self, daemon: Daemon, line: str) -> None:
        assert ask(daemon, line, TUS).status == 405


def test_a_patch_without_a_token_is_not_for_this_path(daemon: Daemon) -> None:
    assert patch(daemon, "/blob/tus", 0, CONTENT).status == 405
