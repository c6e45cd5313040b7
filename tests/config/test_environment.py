"""The configuration by environment variables: each key has one, and each may be the content of a file."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

import pytest

from wsd.config import Certificate, Config, ConfigError, Policies, defaultText, parse
from wsd.config.environment import TABLES, Environment, nameOf
from wsd.config.routes import BUILT_IN
from wsd.config.sources import ValueSource
from wsd.config.tables import Table
from wsd.config.variables import written
from wsd.protocols import optionsOf


def read(text: str = "", overrides: Any = None, **environ: str) -> Config:
    return parse(text, optionsOf, overrides, environ=environ)


def error(text: str = "", **environ: str) -> str:
    with pytest.raises(ConfigError) as raised:
        read(text, **environ)
    return str(raised.value)


def keys(text: str = "", **environ: str) -> set[str]:
    """The variables that there are."""
    table = Table(parse.__globals__["readToml"](text))
    return set(Environment(environ, table, optionsOf).keys())


class TestEachKeyHasAVariable:
    def test_of_the_daemon_and_its_tables(self) -> None:
        found = keys()
        for each in fields(Config):
            if each.name not in (*TABLES, "routes"):
                assert f"WSD_{each.name.upper()}" in found
        for name, shape in TABLES.items():
            for each in fields(shape):
                assert f"WSD_{name.upper()}_{each.name.upper()}" in found
        assert {"WSD_TLS_CERTIFICATE_CERT", "WSD_TLS_CERTIFICATE_KEY"} <= found

    @pytest.mark.parametrize("path", BUILT_IN)
    def test_of_each_route_that_the_default_file_shows(self, path: str) -> None:
        part = re.search(rf'^\[route\."{re.escape(path)}"\]\n((?:[^\n]+\n)*)', defaultText(), re.MULTILINE)
        shown = re.findall(r"^(?:# )?([a-z_]+) = ", part[1] if part is not None else "", re.MULTILINE)
        assert {f"WSD_ROUTE_{nameOf(path)}_{key.upper()}" for key in shown} <= keys()
        assert f"WSD_ROUTE_{nameOf(path)}_MAX_MESSAGE" in keys()
        assert f"WSD_ROUTE_{nameOf(path)}_MAX_MEMORY" not in keys()

    def test_of_a_route_of_the_file(self) -> None:
        assert {"WSD_ROUTE_A_B_MAX_DELAY", "WSD_ROUTE_A_B_ORIGINS"} <= keys('[route."/a-b"]\nprotocol = "echo"\n')

    def test_of_a_new_route(self) -> None:
        found = keys(WSD_ROUTE_SHOP_PATH="/shop/eu", WSD_ROUTE_SHOP_PROTOCOL="canvas")
        assert {"WSD_ROUTE_SHOP_MAX_CANVASES", "WSD_ROUTE_SHOP_PATH"} <= found
        assert not {name for name in found if name.startswith("WSD_ROUTE_SHOP_EU")}

    @pytest.mark.parametrize(
        ("path", "name"),
        [("/", "ROOT"), ("/echo", "ECHO"), ("/topics/*", "TOPICS"), ("/a/b-c.d", "A_B_C_D"), ("/*", "ROOT")],
    )
    def test_with_the_name_of_its_route(self, path: str, name: str) -> None:
        assert nameOf(path) == name


class TestAValue:
    @pytest.mark.parametrize(
        ("variable", "text", "key", "value"),
        [
            ("WSD_PORT", "8080", "port", 8080),
            ("WSD_HOST", "0.0.0.0", "host", ("0.0.0.0",)),
            ("WSD_HOST", '["0.0.0.0", "::"]', "host", ("0.0.0.0", "::")),
            ("WSD_LISTEN", "tcp:80:interface=127.0.0.1", "listen", ("tcp:80:interface=127.0.0.1",)),
            ("WSD_BUILT_IN", "False", "built_in", False),
            ("WSD_DRAIN", "3", "drain", 3.0),
            ("WSD_DRAIN", "0.5", "drain", 0.5),
            ("WSD_PROXY_HEADER", "forwarded", "proxy_header", "forwarded"),
        ],
    )
    def test_is_read_by_the_kind_of_its_key(self, variable: str, text: str, key: str, value: object) -> None:
        assert getattr(read(**{variable: text}), key) == value

    def test_of_a_size_may_have_a_unit(self) -> None:
        assert read(WSD_POLICIES_MAX_MESSAGE="4 MiB").policies.max_message == 4 << 20
        assert read(WSD_POLICIES_MAX_MESSAGE="4096").policies.max_message == 4096

    def test_of_a_port_may_be_false(self) -> None:
        assert read(WSD_PORT="false", WSD_LISTEN="tcp:1").port is None

    def test_of_a_path_is_relative_to_the_current_folder(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.chdir(tmp_path)
        assert read(WSD_LOG_FILE="x.log").log.file == f"{tmp_path}/x.log"

    def test_of_a_certificate_is_one_pair_or_a_list(self, tmp_path: Path) -> None:
        tls = {"WSD_TLS_PORT": "0"}
        pair = read(**tls, WSD_TLS_CERTIFICATE_CERT="/c.pem", WSD_TLS_CERTIFICATE_KEY="/k.pem").tls.certificate
        assert pair == (Certificate("/c.pem", "/k.pem"),)
        several = '[{ cert = "/a.pem" }, { cert = "/b.pem", key = "/k.pem" }]'
        assert read(**tls, WSD_TLS_CERTIFICATE=several).tls.certificate == (
            Certificate("/a.pem", "/a.pem"),
            Certificate("/b.pem", "/k.pem"),
        )

    def test_of_a_routes_key(self) -> None:
        config = read(WSD_ROUTE_ECHO_ORIGINS="*", WSD_ROUTE_ECHO_MAX_DELAY="7", WSD_ROUTE_DESCRIBE_ENABLED="false")
        assert (config.routes["/echo"].origins, "/describe" in config.routes) == (("*",), False)
        options: Any = config.routes["/echo"].options["echo"]
        assert options.max_delay == 7
        assert config.routes["/echo"].policies.max_message == 32 << 20, "the other keys stay"

    def test_of_a_protocol_may_be_a_table(self) -> None:
        route = read(WSD_ROUTE_MIX_PATH="/mix", WSD_ROUTE_MIX_PROTOCOL='{ "" = "echo", chat = "describe" }').routes[
            "/mix"
        ]
        assert (route.single, dict(route.protocol)) == (None, {"": "echo", "chat": "describe"})

    def test_that_is_empty_is_none(self) -> None:
        assert read(WSD_PORT="", WSD_TLS_NOPE="") == read()

    def test_is_written_as_it_is_read(self) -> None:
        for key, value in {
            "WSD_HOST": ("a", "b"),
            "WSD_HOSTS": ("x",),
            "WSD_BUILT_IN": False,
            "WSD_DRAIN": 2.5,
        }.items():
            assert getattr(read(**{key: written(value)}), key[4:].lower()) == value
        assert written(None) == ""


class TestTheOrder:
    def test_is_default_file_environment_options(self) -> None:
        text = "port = 1\ndrain = 1\nbuilt_in = false\n"
        config = read(text, {"port": 3}, WSD_PORT="2", WSD_DRAIN="2")
        assert (config.port, config.drain, config.built_in, config.frames) == (3, 2.0, False, "auto")

    def test_is_told(self) -> None:
        sources: dict[str, ValueSource] = {}
        environ = {"WSD_PORT": "2", "WSD_DRAIN": "2", "WSD_ROUTE_ECHO_MAX_DELAY": "7"}
        parse('port = 1\n[route."/x"]\nprotocol = "echo"\n', optionsOf, {"port": 3}, environ=environ, sources=sources)
        assert sources["port"] == ValueSource("option")
        assert sources["drain"] == ValueSource("variable", "WSD_DRAIN")
        assert sources['route."/x".protocol'] == ValueSource("file")
        assert sources['route."/echo".max_delay'] == ValueSource("variable", "WSD_ROUTE_ECHO_MAX_DELAY")
        assert sources['route."/echo".origins'] == ValueSource("built-in")
        assert "policies.deflate" not in sources


class TestAFile:
    def test_has_the_value(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("redis://:pw@host/\n")
        sources: dict[str, ValueSource] = {}
        environ = {"WSD_ROUTE_TOPICS_BACKEND_FILE": f"{tmp_path}/secret"}
        config = parse("", optionsOf, environ=environ, sources=sources)
        options: Any = config.routes["/topics/*"].options["topics"]
        assert options.backend == "redis://:pw@host/"
        assert sources['route."/topics/*".backend'] == ValueSource("variable", "WSD_ROUTE_TOPICS_BACKEND_FILE", True)

    def test_of_a_key_that_is_a_path_is_that_path(self, tmp_path: Path) -> None:
        assert read(WSD_HANDLERS_FILE=str(tmp_path)).handlers == str(tmp_path)

    def test_may_be_a_credential_of_systemd(self, tmp_path: Path) -> None:
        (tmp_path / "WSD_DRAIN").write_text("7\n")
        (tmp_path / "WSD_TLS_CERTIFICATE_CERT").write_text("...")
        (tmp_path / "other").write_text("...")
        config = read(CREDENTIALS_DIRECTORY=str(tmp_path), WSD_TLS_PORT="0")
        assert config.drain == 7
        path = str(tmp_path / "WSD_TLS_CERTIFICATE_CERT")
        assert config.tls.certificate == (Certificate(path, path),)

    def test_is_read_again_by_a_reload(self, tmp_path: Path) -> None:
        file = tmp_path / "drain"
        file.write_text("1")
        assert read(WSD_DRAIN_FILE=str(file)).drain == 1
        file.write_text("2")
        assert read(WSD_DRAIN_FILE=str(file)).drain == 2


class TestAMistake:
    @pytest.mark.parametrize(
        ("environ", "sentence"),
        [
            ({"WSD_PORT": "lots"}, 'WSD_PORT: "lots" is not a port; write a number from 0 to 65535'),
            ({"WSD_POLICIES_DEFLATE": "on"}, 'WSD_POLICIES_DEFLATE: "on" is not true or false; '),
            ({"WSD_POLICIES_DEFLAT": "on"}, 'WSD_POLICIES_DEFLAT: there is no such key; did you mean "WSD_POLICIES_D'),
            ({"WSD_ROUTE_ECHO_MAX_DELAY": "-1"}, "WSD_ROUTE_ECHO_MAX_DELAY: -1 is too small; "),
            ({"WSD_ROUTE_ECHO_ORIGIN": "*"}, "WSD_ROUTE_ECHO_ORIGIN: there is no such key; did you mean "),
            ({"WSD_ROUTE_NEW_ORIGINS": "*"}, "WSD_ROUTE_NEW_ORIGINS: there is no such key; "),
            ({"WSD_DRAIN_FILE": "/nowhere"}, "WSD_DRAIN_FILE: /nowhere cannot be read: No such file or directory; "),
            ({"WSD_DRAIN": "1", "WSD_DRAIN_FILE": "/proc/version"}, "WSD_DRAIN_FILE: "),
            ({"WSD_HOST": '["a"'}, "WSD_HOST: "),
        ],
        ids=str,
    )  # fmt: skip
    def test_names_the_variable(self, environ: dict[str, str], sentence: str) -> None:
        if sentence == "WSD_HOST: ":
            assert read(**environ).host == ('["a"',), "a host is not validated before it is bound"
        else:
            assert error(**environ).startswith(sentence)

    def test_of_the_file_names_the_file_s_key(self) -> None:
        assert error("port = 1.5", WSD_DRAIN="1").startswith("port: ")

    def test_of_an_option_is_not_the_variables(self) -> None:
        with pytest.raises(ConfigError) as raised:
            read("", {"port": "x"}, WSD_PORT="1")
        assert raised.value.key == "port"

    def test_two_names_for_one_route_are_told(self) -> None:
        text = '[route."/a-b"]\nprotocol = "echo"\n[route."/a_b"]\nprotocol = "echo"\n'
        sentence = error(text, WSD_ROUTE_A_B_ORIGINS="*")
        assert sentence == (
            'WSD_ROUTE_A_B_ORIGINS: stands for both route."/a-b".origins and route."/a_b".origins; '
            "write them into a file"
        )
        assert not any(name.startswith("WSD_ROUTE_A_B_") for name in keys(text))
        assert read(text, WSD_PORT="1", WSD_ROUTE_ECHO_ORIGINS="*").port == 1, "as long as nobody uses them"

    def test_a_credential_and_a_variable_for_one_key_are_told(self, tmp_path: Path) -> None:
        (tmp_path / "WSD_DRAIN").write_text("7")
        assert error(CREDENTIALS_DIRECTORY=str(tmp_path), WSD_DRAIN="1") == (
            "WSD_DRAIN: there is a credential of this name as well; remove one of them"
        )


class TestAVariableOfAnother:
    def test_is_ignored_with_a_warning(self) -> None:
        assert read(WSD_VERSION="1.2", WSD_PROT="1") == read()
        unknown = Environment({"WSD_VERSION": "1.2", "WSD_PROT": "1"}, Table({}), optionsOf).unknown()
        assert [sentence.partition(";")[0] for sentence in unknown] == [
            "WSD_VERSION: there is no such key, so it is ignored",
            "WSD_PROT: there is no such key, so it is ignored",
        ]
        assert unknown[1].endswith('did you mean "WSD_PORT"?')

    def test_keys_are_collected_only_where_there_is_a_variable(self) -> None:
        """To collect them, each protocol is loaded."""

        def loaded(name: str) -> NoReturn:
            raise AssertionError(f"{name} was loaded")

        assert Environment({"HOME": "/root"}, Table({}), loaded).unknown() == []
        with pytest.raises(AssertionError, match="was loaded"):
            Environment({"WSD_VERSION": "1.2"}, Table({}), loaded).unknown()

    def test_that_kubernetes_sets_for_a_service_of_this_name_is_ignored(self) -> None:
        links = {
            "WSD_PORT": "tcp://10.0.0.1:9998",
            "WSD_SERVICE_HOST": "10.0.0.1",
            "WSD_SERVICE_PORT": "9998",
            "WSD_SERVICE_PORT_WS": "9998",
            "WSD_PORT_9998_TCP": "tcp://10.0.0.1:9998",
            "WSD_PORT_9998_TCP_ADDR": "10.0.0.1",
        }
        assert read(**links) == read()
        assert Environment(links, Table({}), optionsOf).unknown() == []

    def test_that_names_the_file_is_no_key(self) -> None:
        assert Environment({"WSD_CONFIG": "x.toml"}, Table({}), optionsOf).unknown() == []


def test_policies_of_routes_are_those_of_the_daemon_unless_they_are_named() -> None:
    config = read(WSD_POLICIES_PING_INTERVAL="5", WSD_ROUTE_ECHO_PING_INTERVAL="6")
    assert (config.policies.ping_interval, config.routes["/echo"].policies.ping_interval) == (5, 6)
    assert config.routes["/blob"].policies.ping_interval == 5
    assert Policies().ping_interval == 25
