"""The flags of standalone.py, from the command line and from an ini file."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest

from wsd.config import ConfigError
from wsd.standalone.flags import addArguments, given

LEVELS = ["fine", "debug", "info", "warning", "warn", "error", "critical"]


def flags(*argv: str) -> dict[str, Any]:
    parser = ArgumentParser()
    addArguments(parser)
    return given(parser.parse_args(list(argv)))


def ini(folder: Path, *lines: str) -> str:
    file = folder / "server.ini"
    file.write_text("\n".join(["[pywebsocket]", *lines]))
    return str(file)


class TestTheCommandLine:
    def test_has_the_old_defaults(self) -> None:
        assert flags() == {
            "port": 80,
            "websock_handlers": ".",
            "document_root": ".",
            "basic_auth_credential": "test:test",
            "log_level": "warn",
            "log_max": 262144,
            "log_count": 5,
        }

    @pytest.mark.parametrize(
        ("argv", "name", "value"),
        [
            (["-p", "9998"], "port", 9998),
            (["-H", "localhost"], "server_host", "localhost"),
            (["-V", "example.test"], "validation_host", "example.test"),
            (["-P", "9998"], "validation_port", 9998),
            (["-w", "../example/"], "websock_handlers", "../example/"),
            (["-m", "map"], "websock_handlers_map_file", "map"),
            (["-s", "sub"], "scan_dir", "sub"),
            (["-d", "root"], "document_root", "root"),
            (["-x", "/cgi,/htbin"], "cgi_paths", "/cgi,/htbin"),
            (["-t"], "tls", True),
            (["-k", "key.pem"], "private_key", "key.pem"),
            (["-c", "cert.pem"], "certificate", "cert.pem"),
            (["--tls-client-auth"], "tls_client_auth", True),
            (["--tls-client-cert-optional"], "tls_client_cert_optional", True),
            (["--tls-client-ca", "ca.pem"], "tls_client_ca", "ca.pem"),
            (["--basic-auth"], "basic_auth", True),
            (["--basic-auth-credential", "a:b"], "basic_auth_credential", "a:b"),
            (["-l", "log"], "log_file", "log"),
            (["--deflate-log-level", "debug"], "deflate_log_level", "debug"),
            (["--thread-monitor-interval-in-sec", "5"], "thread_monitor_interval_in_sec", 5),
            (["--log-max", "1000"], "log_max", 1000),
            (["--log-count", "2"], "log_count", 2),
            (["-q", "64"], "queue", 64),
            (["--handler-encoding", "euc-jp"], "handler_encoding", "euc-jp"),
            (["--allow-handlers-outside-root-dir"], "allow_handlers_outside_root_dir", True),
            *((["--log-level", level], "log_level", level) for level in LEVELS),
        ],
    )
    def test_has_every_flag(self, argv: list[str], name: str, value: object) -> None:
        assert flags(*argv)[name] == value
        assert (
            flags(argv[0].replace("-", "_").replace("__", "--", 1) if argv[0][:2] == "--" else argv[0], *argv[1:])[name]
            == value
        )


class TestTheFile:
    def test_says_the_same_by_long_names(self, tmp_path: Path) -> None:
        file = ini(tmp_path, "port=9998", "websock_handlers: h", "document-root = d", "log_level=debug", "log-max = 9")
        found = flags("--config", file)
        assert (found["port"], found["websock_handlers"], found["document_root"]) == (9998, "h", "d")
        assert (found["log_level"], found["log_max"]) == ("debug", 9)

    def test_gives_a_flag_by_naming_it_whatever_stands_behind(self, tmp_path: Path) -> None:
        found = flags("--config", ini(tmp_path, "tls=False", "basic_auth=yes"))
        assert found["tls"] is True
        assert found["basic_auth"] is True

    def test_yields_to_the_command_line(self, tmp_path: Path) -> None:
        assert flags("-p", "1", "--config", ini(tmp_path, "port=2", "queue=3"))["port"] == 1
        assert flags("-p", "80", "--config", ini(tmp_path, "port=2", "queue=3"))["port"] == 80

    @pytest.mark.parametrize(
        ("line", "sentence"),
        [
            ("prot=1", 'prot: there is no such key; did you mean "port"?'),
            ("config=x", "config: there is no such key"),
            ("port=many", "port: invalid int value: 'many'"),
            ("log_level=loud", "log_level: invalid choice: 'loud'"),
            ("what", "is not a configuration: "),
        ],
    )
    def test_is_told_what_is_wrong_with_it(self, tmp_path: Path, line: str, sentence: str) -> None:
        file = ini(tmp_path, line)
        with pytest.raises(ConfigError) as caught:
            flags("--config", file)
        assert str(caught.value).startswith(f"{file}: {sentence}")
        assert "\n" not in str(caught.value)

    def test_must_be_there_and_have_the_section(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="cannot be read: No such file or directory"):
            flags("--config", str(tmp_path / "none"))
        (tmp_path / "other").write_text("[other]\n")
        with pytest.raises(ConfigError, match=r"begin it with \[pywebsocket\]"):
            flags("--config", str(tmp_path / "other"))
