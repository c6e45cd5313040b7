"""What the flags of standalone.py are in the daemon's configuration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.standalone.test_flags import flags
from wsd.config import ConfigError
from wsd.standalone.overrides import overridesOf


@pytest.fixture(autouse=True)
def _inTheDocumentRoot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def overrides(*argv: str) -> dict[str, Any]:
    return overridesOf(flags(*argv))


def route(*argv: str) -> dict[str, Any]:
    found: dict[str, Any] = overrides(*argv)["route"]["/*"]
    return found


class TestTheRoute:
    def test_is_the_only_one(self) -> None:
        assert overrides()["built_in"] is False
        assert list(overrides()["route"]) == ["/*"]
        assert route()["protocol"] == "pywebsocket"

    def test_serves_the_working_folder(self) -> None:
        here = os.getcwd()
        assert (route()["handlers"], route()["document_root"]) == (here, here)

    def test_has_its_paths_relative_to_the_document_root(self) -> None:
        found = route("-w", "handlers", "-s", "handlers/sub", "-m", "map.txt")
        names = ("handlers", "handlers_scan", "handlers_map")
        assert [found[name] for name in names] == [
            str(Path(path).absolute()) for path in ("handlers", "handlers/sub", "map.txt")
        ]

    def test_has_the_keys_that_are_asked_for_and_no_others(self) -> None:
        assert not {"handlers_scan", "handlers_map", "handlers_encoding", "cgi_paths", "basic_auth"} & set(route())
        found = route("-x", "/cgi-bin,/htbin", "--handler-encoding", "euc-jp", "--allow-handlers-outside-root-dir")
        assert found["cgi_paths"] == ["/cgi-bin", "/htbin"]
        assert (found["handlers_encoding"], found["handlers_outside"]) == ("euc-jp", True)

    def test_asks_for_a_password_only_with_the_flag(self) -> None:
        assert "basic_auth" not in route("--basic-auth-credential", "me:secret")
        assert route("--basic-auth")["basic_auth"] == "test:test"
        assert route("--basic-auth", "--basic-auth-credential", "me:secret")["basic_auth"] == "me:secret"


class TestWhereItListens:
    def test_is_the_port_of_this_machine(self) -> None:
        found = overrides("-p", "9998")
        assert found["port"] == 9998
        assert "host" not in found

    def test_is_each_address_of_a_name(self) -> None:
        assert overrides("-H", "127.0.0.1")["host"] == ["127.0.0.1"]
        assert "127.0.0.1" in overrides("-H", "localhost")["host"]

    def test_is_said_when_it_is_no_address(self) -> None:
        with pytest.raises(ConfigError, match=r"--server-host: nowhere\.invalid is not an address of this machine"):
            overrides("-H", "nowhere.invalid")

    def test_takes_one_more_name_for_this_machine(self) -> None:
        assert "game.test" in overrides("-V", "game.test")["hosts"]

    def test_has_the_name_it_listens_at(self) -> None:
        assert overrides("-H", "localhost")["hosts"] == ["localhost", "127.0.0.1", "[::1]"]
        assert "hosts" not in overrides("-H", "127.0.0.1")


class TestTls:
    PAIR = ("-t", "-k", "key.pem", "-c", "cert.pem")

    def test_has_the_port_for_itself(self) -> None:
        found = overrides("-p", "443", *self.PAIR)
        assert (found["port"], found["tls.port"]) == (False, 443)
        assert found["tls.certificate"] == [{"cert": os.path.abspath("cert.pem"), "key": os.path.abspath("key.pem")}]
        assert "tls.client_auth" not in found

    def test_asks_clients_for_certificates(self) -> None:
        found = overrides(*self.PAIR, "--tls-client-auth", "--tls-client-ca", "ca.pem")
        assert (found["tls.client_auth"], found["tls.client_ca"]) == ("required", os.path.abspath("ca.pem"))
        found = overrides(*self.PAIR, "--tls-client-auth", "--tls-client-cert-optional", "--tls-client-ca", "ca.pem")
        assert found["tls.client_auth"] == "optional"

    @pytest.mark.parametrize(
        ("argv", "sentence"),
        [
            (["-t"], "--tls: needs --private-key and --certificate, PEM files; --private-key is missing"),
            (["-t", "-k", "k"], "--tls: needs --private-key and --certificate, PEM files; --certificate is missing"),
            (["--tls-client-auth"], "--tls-client-auth: needs --tls"),
            (["--tls-client-cert-optional"], "--tls-client-auth: needs --tls"),
            ([*PAIR, "--tls-client-cert-optional"], "--tls-client-cert-optional: needs --tls-client-auth"),
        ],
    )
    def test_is_told_what_is_missing(self, argv: list[str], sentence: str) -> None:
        with pytest.raises(ConfigError) as caught:
            overrides(*argv)
        assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("fine", "debug"),
        ("debug", "debug"),
        ("info", "info"),
        ("warning", "warn"),
        ("warn", "warn"),
        ("error", "error"),
        ("critical", "error"),
    ],
)
def test_each_log_level_has_one_of_ours(theirs: str, ours: str) -> None:
    assert overrides("--log-level", theirs)["log.level"] == ours
