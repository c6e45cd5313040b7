"""Media types of files: which may be, how a download is labelled, and what the content says (RFC 9110 8.3.1)."""

from __future__ import annotations

import time

import pytest

from wsd.protocols.blob.names import UNKNOWN, checkType, contentType, disposition, typeOf

WEBM = bytes.fromhex("1a45dfa39f4286810142f7810142f2810442f381084282847765626d4287810442858102")
OGG = b"OggS\x00\x02" + bytes(8) + b"\x01\x13OpusHead" + bytes(40)


@pytest.mark.parametrize(
    "kind",
    [
        "image/png",
        "video/webm;codecs=vp9,opus",
        "video/webm;codecs=avc1.42E01E,mp4a.40.2",
        "audio/ogg; codecs=opus",
        'text/plain; charset="utf-8"',
        'text/plain ;\tcharset=utf-8 ; format="flowed; as \\"it\\" was"',
        'text/plain;title="größe"',
        "text/plain;",
        "text/plain;;charset=utf-8;",
        "application/vnd.oasis.opendocument.text",
        "x'y/z|~*",
        f"multipart/mixed;boundary={'b' * 200}",
    ],
)
def test_a_valid_one_is_kept(kind: str) -> None:
    assert checkType(kind) == kind


def test_only_what_may_be_written_in_either_case_is_written_in_one() -> None:
    assert checkType(" Video/WebM;Codecs=Opus ") == "video/webm;Codecs=Opus"


@pytest.mark.parametrize(
    "kind",
    [
        None,
        7,
        "",
        "null",
        "jpg",
        "image/",
        "/png",
        "image/png/x",
        "image /png",
        "image/*",
        "*/*",
        "text/plain; charset",
        "text/plain; charset=",
        "text/plain; charset =utf-8",
        "text/plain; charset=a b",
        'text/plain; charset="utf-8',
        'text/plain; charset="utf-8"x',
        "text/plain\r\nX: y",
        'text/plain; title="a\r\nX: y"',
        'text/plain; title="\x00"',
        'text/plain; title="\ud800"',
        "größe/x",
        "text/plain;a=" + "b" * 2000,
    ],
)
def test_what_is_none_is_not_known(kind: object) -> None:
    assert checkType(kind) is None


@pytest.mark.parametrize("kind", ["a/b" + "; " * 500 + "!", "a/b" + ";  \t  " * 150 + "=", 'a/b;c="' + "\\" * 1000])
def test_it_takes_no_time(kind: str) -> None:
    before = time.process_time()
    checkType(kind)
    assert time.process_time() - before < 0.5


@pytest.mark.parametrize(
    ("head", "told", "kind"),
    [
        (WEBM, "video/webm;codecs=vp9,opus", "video/webm;codecs=vp9,opus"),
        (WEBM, "audio/webm;codecs=opus", "audio/webm;codecs=opus"),
        (OGG, "audio/ogg; codecs=opus", "audio/ogg; codecs=opus"),
        (b"a,b", 'text/csv; charset="utf-8"', 'text/csv; charset="utf-8"'),
        (b"\x89PNG\r\n\x1a\n" + bytes(90), "text/html; charset=utf-8", "image/png"),
        (bytes(90), None, UNKNOWN),
    ],
)
def test_the_content_decides_and_parameters_are_the_senders(head: bytes, told: str | None, kind: str) -> None:
    assert typeOf(head, "", told) == kind


@pytest.mark.parametrize(
    ("kind", "label"),
    [
        ("text/plain", "text/plain; charset=utf-8"),
        ('text/plain; Charset="latin-1"', 'text/plain; Charset="latin-1"'),
        ('text/plain; title="; charset=x"', 'text/plain; title="; charset=x"; charset=utf-8'),
        ("video/webm;codecs=vp9,opus", "video/webm;codecs=vp9,opus"),
    ],
)
def test_text_is_utf_8_where_nothing_else_is_said(kind: str, label: str) -> None:
    assert contentType(kind) == label


@pytest.mark.parametrize(
    ("kind", "shown"),
    [("text/plain ;charset=utf-8", "inline"), ("audio/ogg;codecs=opus", "inline"), ("text/html;a=b", "attachment")],
)
def test_parameters_do_not_decide_what_is_shown(kind: str, shown: str) -> None:
    assert disposition("a", kind).startswith(shown)
