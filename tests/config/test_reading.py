"""The configuration file: what it may say, what it says when it says nothing, and what a person is told of a slip."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsd.config import (
    AccessLog,
    Certificate,
    Config,
    ConfigError,
    Control,
    Log,
    Policies,
    Route,
    Tls,
    Traces,
    Uses,
    defaultText,
    parse,
)
from wsd.config.auth import Auth
from wsd.protocols import optionsOf

ROOT = Path(__file__).parent.parent.parent
MIB = 1024 * 1024


@dataclass(frozen=True)
class ParrotOptions:
    """The keys of a protocol that lives in these tests."""

    words: int = 3
    cage: int = field(default=1024, metadata={"size": True})
    pause: float = 0.5
    loud: bool = False
    name: str = "Polly"
    songs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.words > 100:
            raise ValueError("words: no parrot knows more than 100; write fewer")


def ofParrot(name: str) -> type[Any]:
    if name == "parrot":
        return ParrotOptions
    return optionsOf(name)


def read(text: str, **overrides: Any) -> Config:
    return parse(text, ofParrot, overrides)


def route(keys: str) -> Route:
    return read(f'[route."/x"]\nprotocol = "parrot"\n{keys}').routes["/x"]


def sentence(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestDefaults:
    def test_an_empty_file_is_the_defaults(self) -> None:
        assert replace(read(""), routes={}) == Config()

    def test_it_listens_on_this_machine_alone(self) -> None:
        config = read("")
        assert (config.port, config.host, config.listen) == (9998, ("127.0.0.1", "::1"), ())
        assert config.hosts == ("localhost", "127.0.0.1", "[::1]")
        assert config.trusted_proxies == ()

    def test_the_limits_are_the_documented_ones(self) -> None:
        policies = read("").policies
        assert policies.max_message == MIB
        assert (policies.opening_timeout, policies.closing_timeout) == (10, 5)
        assert (policies.ping_interval, policies.ping_timeout) == (25, 20)
        assert policies.stall_timeout == 60

    def test_there_are_these_routes(self) -> None:
        routes = read("").routes
        paths = [
            "/",
            "/echo",
            "/ws",
            "/describe",
            "/blob",
            "/canvas/*",
            "/topics/*",
            "/yjs/*",
            "/xmpp",
            "/xmpp-websocket",
            "/soap",
        ]
        assert list(routes) == paths
        singles = ["echo", "echo", None, "describe", "blob", "canvas", "topics", "yjs", "xmpp", "xmpp", "soap"]
        assert [routes[path].single for path in routes] == singles

    def test_echo_takes_messages_of_32_mib_and_offers_soap_and_xmpp(self) -> None:
        echo = read("").routes["/echo"]
        assert echo.policies.max_message == echo.policies.max_frame == 32 * MIB
        assert echo.subprotocols == ("soap", "xmpp")

    def test_only_harmless_routes_admit_the_origin_null(self) -> None:
        routes = read("").routes
        assert [path for path in routes if "null" in routes[path].origins] == ["/", "/echo", "/describe"]
        assert all("*" not in routes[path].origins for path in routes)

    def test_nothing_can_be_changed_afterwards(self) -> None:
        with pytest.raises(FrozenInstanceError):
            read("").port = 1  # type: ignore[misc]


class TestTheBuiltInRoutes:
    """`built_in`."""

    def test_without_them_those_that_are_named_are_left(self) -> None:
        config = read('built_in = false\n[route."/mine"]\nprotocol = "echo"')
        assert list(config.routes) == ["/mine"]

    def test_one_that_is_named_keeps_its_other_keys(self) -> None:
        config = read('built_in = false\n[route."/echo"]\norigins = "https://example.com"')
        assert list(config.routes) == ["/echo"]
        assert replace(config.routes["/echo"], origins=("same-host", "null")) == read("").routes["/echo"]

    def test_handlers_are_none(self, tmp_path: Path) -> None:
        (tmp_path / "one_wsh.py").write_text("")
        assert list(read(f'built_in = false\nhandlers = "{tmp_path}"').routes) == ["/*"]

    def test_it_is_known_which_nobody_asked_for(self) -> None:
        text = '[policies]\nmax_frame = 7\n[route."/echo"]\nmax_delay = 1\n[route."/mine"]\nprotocol = "echo"\n'
        routes = read(text).routes
        assert [path for path in routes if not routes[path].builtIn] == ["/echo", "/mine"]
        assert all(route.builtIn for route in parse(defaultText(), optionsOf).routes.values())
        tight = '[policies]\nmax_unsent = "8 MiB"\n[route."/echo"]\nmax_message = "1 MiB"\n'
        assert not read(tight).routes["/echo"].builtIn
        assert not any(route.builtIn for route in read('built_in = false\n[route."/blob"]').routes.values())


_TABLES = {
    Auth: "auth.",
    Tls: "tls.",
    Log: "log.",
    AccessLog: "access.",
    Traces: "traces.",
    Control: "control.",
    Uses: "uses.",
}
_BESIDE = {"policies", "auth", "tls", "log", "access", "traces", "control", "uses", "routes"}


class TestTheDefaultFile:
    def test_it_is_equal_to_the_defaults(self) -> None:
        assert parse(defaultText(), optionsOf) == parse("", optionsOf)

    def test_the_one_in_conf_is_the_one_in_the_package(self) -> None:
        assert (ROOT / "conf" / "wsd.toml").read_text("utf-8") == defaultText()

    @pytest.mark.parametrize(
        ("shape", "without"),
        [(Config, _BESIDE), (Uses, set()), (Control, set()), (Traces, set()), (Auth, set()),
         (Policies, set()), (Tls, {"certificate"}), (Log, set()), (AccessLog, set()),
         (Certificate, set()), (Route, {"path", "prefix", "single", "options", "policies", "auth", "builtIn", "code"})],
    )  # fmt: skip
    def test_it_has_every_key(self, shape: type, without: set[str]) -> None:
        for name in {each.name for each in fields(shape)} - without:
            assert re.search(rf"^(# )?{name} = ", defaultText(), re.MULTILINE), name

    def test_it_has_every_key_of_echo(self) -> None:
        for name in (each.name for each in fields(optionsOf("echo"))):
            assert re.search(rf"^{name} = ", defaultText(), re.MULTILINE), name

    def test_what_is_commented_out_in_it_is_right_too(self, tmp_path: Path) -> None:
        for name in ("port = 9999", "listen = []", 'client_ca = "clients-ca.pem"', "[[tls.certificate]]"):
            assert f"\n# {name}" in defaultText()
        text = re.sub(
            r"^# ((port|listen|client_ca|client_crl|clients|file|cert|key) = |\[\[)",
            r"\1",
            defaultText(),
            flags=re.MULTILINE,
        )
        text = text.replace('client_auth = "none"', 'client_auth = "optional"')
        config = parse(text, optionsOf, folder=str(tmp_path))
        assert config.tls.port == 9999
        assert config.tls.certificate == (Certificate(f"{tmp_path}/fullchain.pem", f"{tmp_path}/privkey.pem"),)

    def test_the_minimal_file_is_right(self) -> None:
        config = parse((ROOT / "conf" / "minimal.toml").read_text("utf-8"), optionsOf)
        assert config.port is None
        assert config.tls.port == 443
        assert list(config.routes) == ["/echo"]
        assert config.routes["/echo"].origins == ("https://example.com",)


class TestThePage:
    """docs/configuration.md: its examples are right, and it leaves no key out."""

    TEXT = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    EXAMPLES = re.findall(r"^```toml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)

    @pytest.mark.parametrize("example", EXAMPLES)
    def test_each_example_is_a_configuration(self, example: str) -> None:
        assert parse(example, optionsOf) != parse("", optionsOf)

    def test_there_are_examples(self) -> None:
        assert len(self.EXAMPLES) >= 8

    @pytest.mark.parametrize("shape", [Config, Policies, Auth, Tls, Log, AccessLog, Traces, Control, Uses, Certificate])
    def test_every_key_is_told(self, shape: type) -> None:
        table = _TABLES.get(shape, "")
        for name in {each.name for each in fields(shape)} - _BESIDE:
            assert f"`{table}{name}`" in self.TEXT, name

    def test_its_defaults_are_the_defaults(self) -> None:
        for name, value in re.findall(
            r"^\| `(\w+)` \| `([^`]+)` \|", self.TEXT.partition("## Policies")[2], re.MULTILINE
        ):
            if name in {each.name for each in fields(Policies)}:
                assert read(f"[policies]\n{name} = {value}").policies == Policies(), name

    @pytest.mark.parametrize("slip", re.findall(r"^wsd: wsd.toml: (.*)$", TEXT, re.MULTILINE))
    def test_the_slips_it_shows_are_told_so(self, slip: str) -> None:
        wrong = {"policies.max_message": '[policies]\nmax_message = "lots"', "prot": "prot = 1"}
        assert sentence(wrong[slip.partition(": ")[0]]) == slip


class TestSizesAndTimes:
    @pytest.mark.parametrize(
        ("written", "size"),
        [("1048576", MIB), ('"1 MiB"', MIB), ('"64 KiB"', 65536), ('"10 kB"', 10000), ('"0.5 MiB"', MIB // 2),
         ('"2MB"', 2000000), ('"1 mib"', MIB), ('"512"', 512)],
    )  # fmt: skip
    def test_a_size_is_bytes_or_has_a_unit(self, written: str, size: int) -> None:
        assert read(f"[policies]\nmax_message = {written}").policies.max_message == size

    @pytest.mark.parametrize("written", ['"lots"', '"1 MiBs"', '"-1"', "1.5", "true", "[1]", '"１ MiB"'])
    def test_what_is_no_size_is_named(self, written: str) -> None:
        told = sentence(f"[policies]\nmax_message = {written}")
        assert told.startswith(f"policies.max_message: {written} is not a size; write bytes or")

    def test_a_size_may_be_too_little(self) -> None:
        assert sentence("[policies]\nmax_message = 0") == "policies.max_message: 0 is too small; the minimum is 1"

    def test_a_time_is_seconds(self) -> None:
        policies = read("[policies]\nping_interval = 7\nping_timeout = 0.5").policies
        assert (policies.ping_interval, policies.ping_timeout) == (7.0, 0.5)
        assert isinstance(policies.ping_interval, float)

    @pytest.mark.parametrize("written", ['"10s"', "inf", "nan", "true"])
    def test_what_is_no_time_is_named(self, written: str) -> None:
        told = sentence(f"[policies]\nping_timeout = {written}")
        assert told == f"policies.ping_timeout: {written} is not a number of seconds; write 10 or 0.5"

    def test_a_time_is_not_nothing_unless_that_means_never(self) -> None:
        assert read("[policies]\nping_interval = 0").policies.ping_interval == 0
        assert sentence("[policies]\nstall_timeout = 0").startswith("policies.stall_timeout: 0.0 is too small")

    def test_a_count_is_whole(self) -> None:
        told = sentence("[policies]\nmax_connections = 1.5")
        assert told == "policies.max_connections: 1.5 is not a whole number of connections; write 2"


class TestSlips:
    def test_an_unknown_key_is_told_with_the_nearest_one(self) -> None:
        assert sentence("prot = 1") == 'prot: there is no such key; did you mean "port"?'
        assert sentence("[policies]\nmax_mesage = 1").endswith('did you mean "max_message"?')
        assert sentence("[tls]\nprot = 1").startswith("tls.prot: ")
        assert sentence('[log]\nlevle = "info"').endswith('did you mean "level"?')

    def test_an_unknown_key_that_is_near_to_none_is_told_with_all(self) -> None:
        assert sentence("[log]\nzzz = 1").endswith('known are "file", "format", "level"')

    def test_toml_that_is_none_is_told_with_its_line(self) -> None:
        assert sentence("port = 1\nhost = ").startswith("line 2: this is not TOML: ")
        assert sentence("port = 1\na b = 2\nhost = 5").startswith("line 2, column 3: this is not TOML: ")

    def test_a_wrong_type_is_told_with_what_would_be_right(self) -> None:
        assert sentence('port = "x"') == 'port: "x" is not a port; write a number from 0 to 65535'
        assert sentence("port = 70000") == "port: 70000 is too large; the maximum is 65535"
        assert sentence('proxy_protocol = "yes"').endswith("write one of them, without quotes")
        assert sentence("host = 5") == 'host: 5 is not a list; write ["...", "..."]'
        assert sentence("host = [5]") == 'host: 5 is not a string; write it in quotes: "5"'

    def test_a_choice_is_told_with_the_others(self) -> None:
        assert sentence('[log]\nlevel = "wrn"') == 'log.level: "wrn" is not one of "debug", "info", "warn", "error"'

    def test_a_table_that_is_none_is_told(self) -> None:
        assert sentence('log = "json"') == 'log: "json" is not a table; write [log] and its keys below'
        assert sentence("[route]\n'/x' = 1").startswith('route."/x": 1 is not a table')

    def test_a_key_with_a_line_break_makes_no_second_line(self) -> None:
        assert sentence('"a\\nb" = 1').startswith("a\\nb: ")

    def test_letters_of_any_language_stay_readable(self) -> None:
        assert sentence('hosts = ["主机/"]').startswith('hosts: "主机/" is not a host name')

    def test_handlers_are_in_a_folder(self) -> None:
        told = "handlers: /h is not a folder; name the folder with the *_wsh.py files"
        assert sentence('handlers = "/h"') == told

    @settings(deadline=None)
    @given(
        st.dictionaries(
            st.sampled_from([each.name for each in fields(Config) if each.name != "routes"] + ["route"]),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                lambda inner: (
                    st.lists(inner, max_size=3)
                    | st.dictionaries(
                        st.sampled_from(
                            ["/x", "/x/*", "protocol", "port", "max_message", "level", "cert", "certificate"]
                        )
                        | st.text(),
                        inner,
                        max_size=4,
                    )
                ),
                max_leaves=8,
            ),
        )
    )
    def test_whatever_is_written_gives_a_configuration_or_one_line(self, table: dict[str, Any]) -> None:
        with suppress(ConfigError):
            assert isinstance(parse("", ofParrot, table), Config)

    @given(st.text())
    def test_whatever_is_in_a_sentence_it_is_one_line(self, text: str) -> None:
        assert str(ConfigError(text)).isprintable()


class TestListening:
    def test_endpoints_alone_leave_the_port_shut(self) -> None:
        config = read('listen = "unix:/run/x"')
        assert config.port is None
        assert config.listen == ("unix:/run/x",)

    @pytest.mark.parametrize("written", ["8080", "/run/wsd.sock", "tcp:", ":80"])
    def test_what_is_no_endpoint_is_told(self, written: str) -> None:
        told = f'listen: "{written}" is not an endpoint; write one such as "tcp:8080" or "unix:/run/wsd/wsd.sock"'
        assert sentence(f'listen = "{written}"') == told
        assert sentence(f'[tls]\nlisten = "{written}"') == f"tls.{told}"

    def test_a_port_beside_endpoints_holds_too(self) -> None:
        assert read('port = 1234\nlisten = ["unix:/run/x"]').port == 1234

    def test_false_shuts_the_port(self) -> None:
        assert read("port = false\n[tls]\nport = 0\nself_signed = true").port is None

    def test_something_must_be_open(self) -> None:
        assert sentence("port = false").startswith("port: false leaves no listener; set ")

    def test_a_host_may_stand_alone(self) -> None:
        assert read('host = "0.0.0.0"').host == ("0.0.0.0",)

    def test_a_host_is_not_written_twice(self) -> None:
        assert sentence('host = ["::1", "::1"]') == 'host: "::1" is listed twice; remove one'


class TestWhoIsThere:
    def test_proxies_are_addresses_networks_or_unix(self) -> None:
        assert read('trusted_proxies = ["10.0.0.0/8", "::1", "unix"]').trusted_proxies == ("10.0.0.0/8", "::1", "unix")

    @pytest.mark.parametrize("written", ["proxy.example", "10.0.0.1/8", "10.0.0.0/33", "1.2.3", "10.0.0.1:80", ""])
    def test_other_proxies_are_told(self, written: str) -> None:
        assert sentence(f'trusted_proxies = ["{written}"]').startswith(f'trusted_proxies: "{written}" is ')

    @pytest.mark.parametrize("written", ["::1", "localhost:80", "http://localhost", "a b", "[::1]:80", ""])
    def test_hosts_are_names_without_ports(self, written: str) -> None:
        assert sentence(f'hosts = ["{written}"]').startswith(f'hosts: "{written}" is ')

    def test_hosts_compare_in_small_letters(self) -> None:
        assert read('hosts = ["Example.COM"]').hosts == ("example.com",)

    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("*", "*"),
            ("*.localhost", "*.localhost"),
            ("Example.com.", "example.com"),
            ("[0:0:0:0:0:0:0:1]", "[::1]"),
            ("[::ffff:127.0.0.1]", "127.0.0.1"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("straße.example", "xn--strae-oqa.example"),
            ("*.Bücher.example", "*.xn--bcher-kva.example"),
        ],
    )
    def test_hosts_have_one_form_however_they_are_written(self, written: str, meant: str) -> None:
        assert read(f'hosts = ["{written}"]').hosts == (meant,)

    @pytest.mark.parametrize("written", ["*example.com", "a.*.example.com", "**", "*.", "bü cher", "ü..example"])
    def test_other_hosts_are_told(self, written: str) -> None:
        assert sentence(f'hosts = ["{written}"]').startswith(f'hosts: "{written}" is not a host name; write ')

    def test_metrics_are_allowed_to_networks(self) -> None:
        assert read('metrics_allow = "192.0.2.0/24"').metrics_allow == ("192.0.2.0/24",)
        assert sentence('metrics_allow = "all"').startswith('metrics_allow: "all" is not an address or network')


class TestPolicies:
    def test_the_low_water_mark_is_below_the_high_one(self) -> None:
        told = sentence('[policies]\nlow_water = "2 MiB"')
        assert told == "policies.low_water: low_water (2097152 bytes) must be less than high_water (1048576)"

    def test_what_is_received_may_be_echoed(self) -> None:
        told = sentence('[policies]\nmax_message = "64 MiB"')
        assert told.startswith(
            "policies.max_message: max_unsent (67108864 bytes) must be at least high_water plus max_message"
        )

    def test_a_route_overrides_and_takes_the_rest_from_the_daemon(self) -> None:
        config = read('[policies]\nping_interval = 7\n[route."/x"]\nprotocol = "parrot"\nmax_message = "2 MiB"')
        assert config.routes["/x"].policies == replace(config.policies, max_message=2 * MIB)
        assert config.routes["/ws"].policies == config.policies
        assert config.policies.ping_interval == 7

    @pytest.mark.parametrize(
        "key", ["memory_max", "max_connections", "max_connections_per_address", "handshakes_per_second"]
    )
    def test_what_holds_for_the_daemon_is_no_routes(self, key: str) -> None:
        told = sentence(f'[route."/x"]\nprotocol = "parrot"\n{key} = 1')
        assert told == f'route."/x".{key}: applies to the whole daemon; move it to [policies]'

    def test_a_wrong_override_names_the_route(self) -> None:
        told = sentence('[route."/echo"]\nmax_message = "lots"')
        assert told == 'route."/echo".max_message: "lots" is not a size; write bytes or "1 MiB"'

    def test_an_override_must_go_with_the_rest(self) -> None:
        told = sentence('[route."/echo"]\nhigh_water = 10')
        assert told.startswith('route."/echo".high_water: low_water (262144 bytes) must be less')


class TestRoutes:
    def test_a_files_routes_are_added_to_the_built_in_ones(self) -> None:
        routes = read('[route."/x"]\nprotocol = "parrot"').routes
        assert list(routes) == [*read("").routes, "/x"]
        assert (routes["/x"].path, routes["/x"].prefix, routes["/x"].single) == ("/x", False, "parrot")

    def test_a_trailing_star_makes_a_prefix(self) -> None:
        prefix = read('[route."/x/*"]\nprotocol = "parrot"').routes["/x/*"]
        assert (prefix.path, prefix.prefix) == ("/x", True)

    def test_a_star_alone_is_everything(self) -> None:
        whole = read('[route."/*"]\nprotocol = "parrot"').routes["/*"]
        assert (whole.path, whole.prefix) == ("", True)

    def test_enabled_false_removes_one(self) -> None:
        assert "/describe" not in read('[route."/describe"]\nenabled = false').routes

    def test_a_key_for_a_built_in_route_replaces_that_key_alone(self) -> None:
        echo = read('[route."/echo"]\norigins = "*"').routes["/echo"]
        assert echo.origins == ("*",)
        assert echo.subprotocols == ("soap", "xmpp")

    @pytest.mark.parametrize("path", ["x", "", "/x/", "/x*", "/x/*/y", "/a b", "/a?b", "/a#b", "/ä", "*"])
    def test_what_is_no_path_is_told(self, path: str) -> None:
        assert sentence(f'[route."{path}"]\nprotocol = "parrot"') == (
            f'route."{path}": is not a path; write "/name", or "/name/*" to include everything below it'
        )

    @pytest.mark.parametrize("path", ["/_wsd", "/_wsd/x", "/_wsd/*", "/healthz", "/readyz", "/metrics"])
    def test_the_daemons_own_paths_are_no_routes(self, path: str) -> None:
        assert "is reserved for the daemon" in sentence(f'[route."{path}"]\nprotocol = "parrot"')

    def test_a_protocol_must_be_named(self) -> None:
        assert sentence('[route."/x"]').startswith('route."/x".protocol: is missing; write protocol = "echo"')

    def test_an_unknown_protocol_is_told_with_the_nearest(self) -> None:
        told = sentence('[route."/x"]\nprotocol = "ecko"')
        assert told == 'route."/x".protocol: there is no protocol "ecko"; did you mean "echo"?'

    def test_clients_are_subjects_of_certificates(self) -> None:
        tls = '[tls]\nport = 0\nclient_ca = "a"\nclient_auth = "optional"\n[[tls.certificate]]\ncert = "c"\n'
        config = read(tls + '[route."/echo"]\nclients = ["CN=me,O=Doors", "*"]')
        assert config.routes["/echo"].clients == ("CN=me,O=Doors", "*")
        told = sentence(tls + '[route."/echo"]\nclients = "me"')
        assert told.startswith(
            'route."/echo".clients: "me" is not a certificate subject; write it as /describe shows it'
        )

    def test_clients_must_be_asked_for_a_certificate(self) -> None:
        told = sentence('[route."/echo"]\nclients = "*"')
        assert told.startswith('route."/echo".clients: clients are not asked for a certificate; set tls.client_auth')

    def test_origins_are_written_in_full_of_international_names_in_either_form(self) -> None:
        assert route('origins = "https://Bücher.example:444"').origins == ("https://xn--bcher-kva.example:444",)

    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("http://localhost:9998/", "http://localhost:9998"),
            ("HTTP://[::1]/", "http://[::1]"),
            ("file:///", "file://"),
        ],
    )
    def test_origins_may_end_on_the_slash_that_some_programs_send(self, written: str, meant: str) -> None:
        assert route(f'origins = "{written}"').origins == (meant,)

    @pytest.mark.parametrize("written", ["file://", "qrc://", "app://-", "tauri://localhost", "chrome-extension://abc"])
    def test_origins_of_programs_are_named_as_they_send_them(self, written: str) -> None:
        assert route(f'origins = "{written}"').origins == (written,)

    @pytest.mark.parametrize(
        "written", ["https://example.com", "http://localhost:8000", "https://[::1]:1", "chrome-extension://abc"]
    )
    def test_origins_are_written_in_full(self, written: str) -> None:
        assert route(f'origins = "{written}"').origins == (written,)

    @pytest.mark.parametrize(
        "written",
        [
            "example.com",
            "https://example.com/x",
            "https://a b",
            "https://u@h",
            "https://*.x",
            "https://",
            "file://:1",
            "https://é b",
        ],
    )
    def test_other_origins_are_told(self, written: str) -> None:
        told = sentence(f'[route."/x"]\nprotocol = "parrot"\norigins = ["{written}"]')
        assert told.startswith(f'route."/x".origins: "{written}" is not an origin; write one as "https://example.com"')


class TestSubprotocols:
    def test_without_the_key_they_are_the_protocols_own(self) -> None:
        assert route("").subprotocols is None

    def test_they_keep_their_order_and_their_letters(self) -> None:
        chosen = route('subprotocols = ["B", "a"]\nprefer = "server"\nrequire_subprotocol = true')
        assert (chosen.subprotocols, chosen.prefer, chosen.require_subprotocol) == (("B", "a"), "server", True)

    @pytest.mark.parametrize("written", ["a b", "a,b", "é", ""])
    def test_they_are_tokens(self, written: str) -> None:
        told = sentence(f'[route."/x"]\nprotocol = "parrot"\nsubprotocols = ["{written}"]')
        assert told.startswith(f'route."/x".subprotocols: "{written}" is ')

    def test_none_at_all_cannot_be_required(self) -> None:
        told = sentence('[route."/x"]\nprotocol = "parrot"\nsubprotocols = []\nrequire_subprotocol = true')
        assert told.startswith('route."/x".require_subprotocol: nobody could connect')

    def test_a_table_gives_each_its_protocol(self) -> None:
        table = read('[route."/x"]\nprotocol = { b = "parrot", a = "echo", "" = "echo" }').routes["/x"]
        assert table.single is None
        assert table.protocol == {"b": "parrot", "a": "echo", "": "echo"}
        assert table.subprotocols == ("b", "a")
        assert set(table.options) == {"parrot", "echo"}

    def test_a_tables_order_may_be_given(self) -> None:
        keys = 'protocol = { b = "parrot", a = "echo" }\nsubprotocols = ["a", "b"]'
        assert read(f'[route."/x"]\n{keys}').routes["/x"].subprotocols == ("a", "b")

    def test_only_those_of_the_table_may_be_offered(self) -> None:
        told = sentence('[route."/x"]\nprotocol = { chat = "parrot" }\nsubprotocols = ["chap"]')
        assert told == 'route."/x".subprotocols: there is no protocol for the subprotocol "chap"; did you mean "chat"?'

    @pytest.mark.parametrize("written", ["{}", "5", "[]", "{ a = 5 }", '{ "a b" = "echo" }'])
    def test_another_table_is_told(self, written: str) -> None:
        assert sentence(f'[route."/x"]\nprotocol = {written}').startswith('route."/x".protocol')


class TestAProtocolsOwnKeys:
    def test_they_become_its_options(self) -> None:
        keys = 'words = 7\ncage = "2 KiB"\npause = 1\nloud = true\nname = "Rex"\nsongs = ["a", "b"]'
        assert route(keys).options == {"parrot": ParrotOptions(7, 2048, 1.0, True, "Rex", ("a", "b"))}

    def test_without_them_it_has_its_defaults(self) -> None:
        assert route("").options == {"parrot": ParrotOptions()}

    def test_an_unknown_one_is_told(self) -> None:
        told = sentence('[route."/x"]\nprotocol = "parrot"\nwrods = 1')
        assert told == 'route."/x".wrods: there is no such key; did you mean "words"?'

    @pytest.mark.parametrize(
        ("keys", "told"),
        [
            ("words = 1.5", "words: 1.5 is not a whole number; write 2"),
            ("words = -1", "words: -1 is too small; the minimum is 0"),
            ('cage = "big"', 'cage: "big" is not a size; write bytes or "1 MiB"'),
            ("loud = 1", "loud: 1 is not true or false; write one of them, without quotes"),
            ("name = 1", 'name: 1 is not a string; write it in quotes: "1"'),
            ("words = 101", "words: no parrot knows more than 100; write fewer"),
        ],
    )
    def test_a_wrong_one_is_told(self, keys: str, told: str) -> None:
        assert sentence(f'[route."/x"]\nprotocol = "parrot"\n{keys}') == f'route."/x".{told}'


class TestTls:
    def test_a_pair_and_a_port_are_enough(self) -> None:
        tls = read('[tls]\nport = 9999\n[[tls.certificate]]\ncert = "/c"\nkey = "/k"').tls
        assert (tls.port, tls.certificate) == (9999, (Certificate("/c", "/k"),))

    def test_a_key_may_lie_in_the_certificates_file(self) -> None:
        assert read('[tls]\nport = 0\n[[tls.certificate]]\ncert = "/c"').tls.certificate == (Certificate("/c", "/c"),)

    def test_paths_are_relative_to_the_file(self) -> None:
        tls = '[tls]\nport = 0\nclient_ca = "a"\nclient_auth = "required"\n[[tls.certificate]]\ncert = "c"'
        text = f'[log]\nfile = "l"\n{tls}'
        config = parse(text, ofParrot, folder="/etc/wsd")
        assert config.tls.certificate == (Certificate("/etc/wsd/c", "/etc/wsd/c"),)
        assert (config.tls.client_ca, config.log.file) == ("/etc/wsd/a", "/etc/wsd/l")

    @pytest.mark.parametrize(
        ("keys", "key"),
        [
            ("port = 9999", "tls.port: TLS needs a certificate"),
            ('listen = "tcp:1"', "tls.listen: TLS needs a certificate"),
            ("self_signed = true", "tls.self_signed: there is no TLS listener"),
            ('[[tls.certificate]]\ncert = "/c"', "tls.certificate: there is no TLS listener"),
            ('[[tls.certificate]]\nkey = "/c"', "tls.certificate[1].cert: is missing"),
            (
                '[[tls.certificate]]\ncrt = "/c"',
                'tls.certificate[1].crt: there is no such key; did you mean "cert"?',
            ),
            ('[tls.certificate]\ncert = "/c"', "tls.certificate: a table is not a list of tables"),
            ('client_auth = "required"', 'tls.client_auth: "required" needs tls.client_ca'),
            ('client_ca = "/a"', "tls.client_ca: has no effect while"),
            ('client_crl = "/a"', "tls.client_crl: has no effect without tls.client_ca"),
        ],
    )
    def test_what_does_not_go_together_is_told(self, keys: str, key: str) -> None:
        assert sentence(f"[tls]\n{keys}").startswith(key)


class TestOverrides:
    def test_they_win_over_the_file(self) -> None:
        config = parse('port = 1\n[log]\nlevel = "warn"', ofParrot, {"port": 2, "log.level": "debug"})
        assert (config.port, config.log.level) == (2, "debug")

    def test_they_are_checked_as_the_file_is(self) -> None:
        with pytest.raises(ConfigError, match=r'^log\.level: "x" is not one of '):
            parse("", ofParrot, {"log.level": "x"})


class TestWorkers:
    def test_is_a_number_or_one_for_each_core(self) -> None:
        assert read("").workers == 1
        assert read("workers = 3").workers == 3
        assert read('workers = "auto"').workers == len(os.sched_getaffinity(0))
        assert read("", workers="auto").workers == len(os.sched_getaffinity(0))

    @pytest.mark.parametrize(
        ("value", "said"),
        [
            ("0", "workers: 0 is too small; the minimum is 1"),
            ("65", "workers: 65 is too large; the maximum is 64"),
            ('"many"', 'workers: "many" is not a number of workers; write 10'),
            ("1.5", "workers: 1.5 is not a whole number of workers; write 2"),
        ],
    )
    def test_refuses_anything_else(self, value: str, said: str) -> None:
        assert sentence(f"workers = {value}").startswith(said)
