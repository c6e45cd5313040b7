"""`wsd COMMAND`: the small tools beside the daemon."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

from tests.commands import run, wsd
from wsd import __version__
from wsd.config import defaultText


class TestCommands:
    def test_help_tells_each(self, tmp_path: Path) -> None:
        done = wsd(tmp_path, "--help")
        assert done.returncode == 0
        for command in ("serve", "check", "config", "ctl", "echo", "blob", "topics", "xmpp", "standalone"):
            assert re.search(rf"^    {command}\s+[A-Z]", done.stdout, re.MULTILINE)

    def test_without_a_command_it_helps(self, tmp_path: Path) -> None:
        assert wsd(tmp_path).stdout == wsd(tmp_path, "--help").stdout

    def test_an_unknown_command_is_told_with_the_others(self, tmp_path: Path) -> None:
        done = wsd(tmp_path, "ecko")
        assert (done.returncode, done.stdout) == (2, "")
        assert re.match(r"wsd: error: .*ecko.*check.*config.*echo", done.stderr.splitlines()[-1])

    @pytest.mark.parametrize("group", ["ctl", "blob", "topics", "xmpp"])
    def test_a_group_without_a_command_helps(self, tmp_path: Path, group: str) -> None:
        done = wsd(tmp_path, group)
        assert (done.returncode, done.stdout) == (0, wsd(tmp_path, group, "--help").stdout)

    def test_version(self, tmp_path: Path) -> None:
        assert wsd(tmp_path, "--version").stdout == f"wsd {__version__}\n"


LISTED = """
import sys
from wsd.__main__ import main
try:
    main(sys.argv[2:])
except SystemExit:
    pass
print("imported:", *set(sys.argv[1].split()).intersection(sys.modules))
"""

ALONE = """
built_in = false
[route."/echo"]
protocol = "echo"
"""


class TestWhatACommandImports:
    """A command starts quickly because it imports only the libraries that it needs."""

    @pytest.mark.parametrize(
        ("arguments", "without"),
        [
            ("--version", "twisted.internet wsd.connection"),
            ("ctl --help", "twisted.internet prometheus_client wsd.connection"),
            ("why --help", "twisted.internet wsd.connection"),
            ("xmpp --help", "twisted.internet wsd.connection lxml"),
            ("config", "autobahn OpenSSL wsd.connection"),
            ("serve --help", "autobahn OpenSSL wsd.connection"),
            ("connect --help", "lxml jwt wsd.connection wsd.service prompt_toolkit"),
            ("check wsd.toml", "lxml puremagic jwt PIL pycrdt scramp txredisapi"),
        ],
    )
    def test_is_not_more_than_it_needs(self, tmp_path: Path, arguments: str, without: str) -> None:
        (tmp_path / "wsd.toml").write_text(ALONE)
        done = run(tmp_path, [sys.executable, "-c", LISTED, without, *arguments.split()])
        assert (done.returncode, done.stderr, done.stdout.splitlines()[-1]) == (0, "", "imported:")


class TestConfig:
    def test_it_prints_the_whole_default_file(self, tmp_path: Path) -> None:
        done = wsd(tmp_path, "config")
        assert (done.returncode, done.stdout, done.stderr) == (0, defaultText(), "")
        assert tomllib.loads(done.stdout)["port"] == 9998


class TestCheck:
    def test_a_good_file_is_ok(self, tmp_path: Path) -> None:
        (tmp_path / "wsd.toml").write_text(defaultText())
        done = wsd(tmp_path, "check", "wsd.toml")
        assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")

    def test_a_slip_is_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "wsd.toml").write_text('[log]\nlevel = "wrn"')
        done = wsd(tmp_path, "check", "wsd.toml")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == 'wsd: wsd.toml: log.level: "wrn" is not one of "debug", "info", "warn", "error"\n'

    def test_a_certificate_that_is_not_there_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "wsd.toml").write_text('[tls]\nport = 0\n[[tls.certificate]]\ncert = "nope.pem"')
        done = wsd(tmp_path, "check", "wsd.toml")
        assert done.returncode == 1
        assert re.fullmatch(r"wsd: wsd\.toml: tls: the certificate /.*/nope\.pem cannot be read: .*\n", done.stderr)
