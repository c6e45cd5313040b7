"""The command line: its options over the file, what it says of a slip, and that it is the same however it is run."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.commands import MODES, commandLine, run, running, until
from wsd import __version__
from wsd.config import Certificate, ConfigError
from wsd.protocols.xmpp.sqlite import SqliteStore
from wsd.tap import Options
from wsd.tap.background import describe

SOAP = '[route."/s"]\nprotocol = "soap"\n'


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody else listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def writePair(folder: Path, name: str) -> None:
    """A certificate and its key: NAME.crt, NAME.key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def mismatch(folder: Path) -> str:
    """What is said of the key "two" with the certificate "one"."""
    return f"the key {folder}/two.key does not match the certificate {folder}/one.crt; use a matching pair"


def isHandled(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler of its own for a signal."""
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> (number - 1) & 1)


def parsed(*arguments: str) -> Options:
    options = Options()
    options.parseOptions(arguments)
    return options


def refusal(*arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        parsed(*arguments)
    assert isinstance(caught.value.code, str)
    return caught.value.code


class TestOptions:
    def test_without_any_it_is_the_defaults(self) -> None:
        config = parsed().config
        assert (config.port, config.host, config.tls.port) == (9998, ("127.0.0.1", "::1"), None)

    def test_port_has_a_short_form_and_0_takes_a_free_one(self) -> None:
        assert parsed("-p", "0").config.port == parsed("--port", "0").config.port == 0

    def test_host_may_be_repeated(self) -> None:
        assert parsed("-H", "0.0.0.0", "--host", "::").config.host == ("0.0.0.0", "::")

    def test_listen_may_be_repeated_and_shuts_the_port_unless_that_is_given_too(self) -> None:
        config = parsed("--listen", "unix:/a", "--listen", "tcp:1").config
        assert (config.listen, config.port) == (("unix:/a", "tcp:1"), None)
        assert parsed("--listen", "unix:/a", "-p", "1").config.port == 1

    def test_a_route_may_be_repeated(self) -> None:
        routes = parsed("--route", "/a=echo", "--route", "/b/*=describe").config.routes
        assert (routes["/a"].single, routes["/b/*"].single, routes["/b/*"].prefix) == ("echo", "describe", True)

    def test_a_route_changes_only_the_protocol_of_the_files(self, tmp_path: Path) -> None:
        (tmp_path / "wsd.toml").write_text(
            '[route."/a.b"]\nprotocol = "describe"\norigins = "*"\n[route."/c"]\nprotocol = "echo"'
        )
        routes = parsed("-c", str(tmp_path / "wsd.toml"), "--route", "/a.b=echo").config.routes
        assert (routes["/a.b"].single, routes["/a.b"].origins, routes["/c"].single) == ("echo", ("*",), "echo")

    def test_a_route_of_own_code_is_relative_to_the_current_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "mine.py").write_text(
            "from wsd.connection import Connection, Factory\nclass Mine(Connection): pass\n"
        )
        monkeypatch.chdir(tmp_path)
        for name in ("mine.py:Mine", "mine:Mine", f"{tmp_path}/mine.py:Mine"):
            assert parsed("--route", f"/mine={name}").config.routes["/mine"].single == f"{tmp_path}/mine.py:Mine"

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            ("/a", '--route: "/a" has no protocol; write /PATH=PROTOCOL, such as /shout=shout.py:ShoutFactory'),
            ("/a=", '--route: "/a=" has no protocol; write /PATH=PROTOCOL, such as /shout=shout.py:ShoutFactory'),
            ("a=echo", '--route a: is not a path; write "/name", or "/name/*" to include everything below it'),
            ("/a=ecko", '--route /a: there is no protocol "ecko"; did you mean "echo"?'),
            ("/a=mine.py", '--route /a: "mine.py" has no class; write "mine.py:ShoutFactory"'),
            ("/a=mien.py:X", '--route /a: there is no file {}/mien.py; did you mean "mine.py"?'),
            ("/a=mine.py:Miner", '--route /a: {}/mine.py has no "Miner"; did you mean "Mine"?'),
            ("/a=mine.py:json", "--route /a: {}/mine.py:json is not a protocol; name a subclass of wsd.connection.Fac"),
            (
                "/a=mine.py:Mine",
                "--route /a: Mine.received cannot be called (too many positional arguments); write def",
            ),
            ("/a=bad.py:X", "--route /a: {}/bad.py cannot be loaded: NameError: name 'oops' is not defined (line 2)"),
        ],
    )
    def test_a_mistake_in_a_route_is_told_with_its_path(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, told: str
    ) -> None:
        (tmp_path / "mine.py").write_text(
            "import json\nfrom wsd.connection import Connection\n"
            "class Mine(Connection):\n    def received(self, payload): pass\n"
        )
        (tmp_path / "bad.py").write_text("\noops")
        monkeypatch.chdir(tmp_path)
        assert refusal("--route", given).startswith(f"wsd: {told.format(tmp_path)}")

    def test_a_certificate_and_its_key(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        tls = parsed("--tls-port", "0", "--tls-cert", "c.pem", "--tls-key", "k.pem").config.tls
        assert tls.certificate == (Certificate(f"{tmp_path}/c.pem", f"{tmp_path}/k.pem"),)
        tls = parsed("--tls-port", "0", "--tls-cert", "c.pem").config.tls
        assert tls.certificate == (Certificate(f"{tmp_path}/c.pem", f"{tmp_path}/c.pem"),)

    def test_a_certificate_to_develop_with(self) -> None:
        assert parsed("--tls-port", "0", "--tls-self-signed").config.tls.self_signed is True

    def test_the_log(self) -> None:
        log = parsed("--log-format", "json", "--log-level", "debug").config.log
        assert (log.format, log.level) == ("json", "debug")

    def test_the_workers(self) -> None:
        assert parsed("--workers", "3").config.workers == 3
        assert parsed("--workers", "auto").config.workers == len(os.sched_getaffinity(0))

    def test_a_worker_gets_the_same_options(self, tmp_path: Path) -> None:
        (tmp_path / "shout.py").write_text("from wsd.protocols.echo import EchoFactory as ShoutFactory\n")
        words = ["-p", "0", "-H", "127.0.0.1", "-H", "::1", "--listen", "tcp:0", "--tls-port=0", "--tls-self-signed"]
        options = parsed(*words, "--workers=2", "--log-level=warn", "--route", f"/s={tmp_path}/shout.py:ShoutFactory")
        assert parsed(*options.commandLine()).config == options.config
        assert not options.usesByDefault, "other machines can reach it"

    def test_version_is_ours(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as caught:
            parsed("--version")
        assert (caught.value.code, capsys.readouterr().out) == (0, f"wsd {__version__}\n")

    def test_help_tells_each(self) -> None:
        text = str(Options())
        for option in ("-p, --port=", "-H, --host=", "--listen=", "--tls-port=", "--tls-cert=", "--tls-key=",
                       "--tls-self-signed", "-c, --config=", "--check", "-w, --handlers=", "--log-format=",
                       "--log-level=", "--workers="):  # fmt: skip
            assert option in text
        assert all(len(line) <= 80 for line in text.splitlines())


class TestTheFile:
    def test_the_command_line_wins_over_it(self, tmp_path: Path) -> None:
        file = tmp_path / "wsd.toml"
        file.write_text('port = 1\nhost = "10.0.0.1"\n[log]\nlevel = "warn"\nformat = "json"')
        config = parsed("-c", str(file), "-p", "2", "--log-level", "error").config
        assert (config.port, config.host, config.log.level, config.log.format) == (2, ("10.0.0.1",), "error", "json")

    def test_it_is_read_anew_under_the_same_options(self, tmp_path: Path) -> None:
        file = tmp_path / "wsd.toml"
        file.write_text("port = 1")
        options = parsed("-c", str(file), "--log-level", "error")
        file.write_text('port = 2\n[log]\nlevel = "warn"')
        assert (options.reread().port, options.reread().log.level) == (2, "error")

    def test_it_is_found_again_from_another_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "wsd.toml").write_text("port = 1")
        monkeypatch.chdir(tmp_path)
        options = parsed("-c", "wsd.toml")
        monkeypatch.chdir("/")
        assert options.reread().port == 1

    def test_a_slip_in_it_is_told_with_its_path(self, tmp_path: Path) -> None:
        file = tmp_path / "wsd.toml"
        file.write_text("prot = 1")
        assert refusal("-c", str(file)) == f'wsd: {file}: prot: there is no such key; did you mean "port"?'

    def test_a_slip_that_comes_later_is_told_to_who_reads_it_anew(self, tmp_path: Path) -> None:
        file = tmp_path / "wsd.toml"
        file.write_text("")
        options = parsed("-c", str(file))
        file.unlink()
        with pytest.raises(ConfigError, match="cannot be read: No such file"):
            options.reread()

    def test_a_byte_order_mark_is_skipped(self, tmp_path: Path) -> None:
        file = tmp_path / "wsd.toml"
        file.write_bytes(b"\xef\xbb\xbfport = 1\r\n")
        assert parsed("-c", str(file)).config.port == 1

    def test_one_that_is_not_utf8_is_told(self, tmp_path: Path) -> None:
        file = tmp_path / "wsd.toml"
        file.write_bytes(b"# \xff\n")
        assert refusal("-c", str(file)) == f"wsd: {file}: is not UTF-8 at byte 2; save it as UTF-8"


class TestSlips:
    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["--port", "x"], '--port: "x" is not a port; write a number from 0 to 65535'),
            (["--port", "70000"], "--port: 70000 is too large; the maximum is 65535"),
            (["--tls-port", "-1"], '--tls-port: "-1" is not a port; write a number from 0 to 65535'),
            (["--log-format", "xml"], '--log-format: "xml" is not one of "text", "json", "journal"'),
            (["--log-level", "loud"], '--log-level: "loud" is not one of "debug", "info", "warn", "error"'),
            (["-w", "/h"], "--handlers: /h is not a folder; name the folder with the *_wsh.py files"),
            (["--tls-key", "k"], "--tls-key: needs --tls-cert, its certificate"),
            (["--nope"], "option --nope not recognized; see --help"),
            (["nope"], '"nope" is not an option; see --help'),
            (
                ["-c", "/nope/wsd.toml"],
                "/nope/wsd.toml: cannot be read: No such file or directory; use a file that wsd can read",
            ),
        ],
    )
    def test_they_are_told_by_the_options_name(self, arguments: list[str], told: str) -> None:
        assert refusal(*arguments) == f"wsd: {told}"

    def test_tls_needs_a_certificate(self) -> None:
        assert refusal("--tls-port", "0").startswith("wsd: --tls-port: TLS needs a certificate; ")

    def test_a_certificate_needs_a_port(self) -> None:
        assert refusal("--tls-self-signed").startswith("wsd: --tls-self-signed: there is no TLS listener; ")
        assert refusal("--tls-cert", "c").startswith("wsd: --tls-cert: there is no TLS listener; ")


def lastLine(folder: Path, mode: str, *options: str) -> str:
    """What a person reads last; and nothing ran, nothing was left, and no traceback was shown."""
    done = run(folder, commandLine(mode, *options))
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert not (folder / "wsd.pid").exists()
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("mode", MODES)
class TestTheLastLineInEachMode:
    def test_of_an_unknown_key(self, mode: str, tmp_path: Path) -> None:
        (tmp_path / "wsd.toml").write_text("[policies]\nmax_mesage = 1")
        told = lastLine(tmp_path, mode, "-c", "wsd.toml")
        assert (
            told == f'wsd: {tmp_path}/wsd.toml: policies.max_mesage: there is no such key; did you mean "max_message"?'
        )

    def test_of_an_unreadable_file(self, mode: str, tmp_path: Path) -> None:
        told = lastLine(tmp_path, mode, "-c", str(tmp_path))
        assert told == f"wsd: {tmp_path}: cannot be read: Is a directory; use a file that wsd can read"

    def test_of_a_wrong_option(self, mode: str, tmp_path: Path) -> None:
        if mode == "wsd serve":
            done = run(tmp_path, commandLine(mode, "--nope"))
            assert (done.returncode, done.stdout) == (2, "")
            assert done.stderr.endswith("wsd serve: error: unrecognized arguments: --nope\n")
        else:
            assert lastLine(tmp_path, mode, "--nope") == "wsd: option --nope not recognized; see --help"

    def test_of_a_taken_port(self, mode: str, tmp_path: Path, taken: int) -> None:
        told = lastLine(tmp_path, mode, "-p", str(taken))
        assert told.startswith("wsd: ")
        assert str(taken) in told

    def test_of_a_key_that_is_another_certificates(self, mode: str, tmp_path: Path) -> None:
        writePair(tmp_path, "one")
        writePair(tmp_path, "two")
        told = lastLine(tmp_path, mode, "-p", "0", "--tls-port", "0", "--tls-cert", "one.crt", "--tls-key", "two.key")
        assert told == f"wsd: tls: {mismatch(tmp_path)}"

    def test_of_a_log_that_cannot_be_written(self, mode: str, tmp_path: Path) -> None:
        (tmp_path / "wsd.toml").write_text('[log]\nfile = "nope/wsd.log"')
        told = lastLine(tmp_path, mode, "-p", "0", "-c", "wsd.toml")
        assert told.startswith(f"wsd: log.file: {tmp_path}/nope/wsd.log cannot be written: No such file or directory; ")


@pytest.mark.parametrize("mode", MODES)
class TestCheckInEachMode:
    def test_it_says_ok_and_starts_nothing(self, mode: str, tmp_path: Path, taken: int) -> None:
        done = run(tmp_path, commandLine(mode, "--check", "-p", str(taken)))
        assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")
        assert not (tmp_path / "wsd.pid").exists()

    def test_it_says_what_is_wrong(self, mode: str, tmp_path: Path) -> None:
        (tmp_path / "wsd.toml").write_text('[route."/x"]\nprotocol = "ecko"')
        told = lastLine(tmp_path, mode, "--check", "-c", "wsd.toml")
        assert told.endswith('wsd.toml: route."/x".protocol: there is no protocol "ecko"; did you mean "echo"?')


class TestCheck:
    def test_it_loads_the_certificates(self, tmp_path: Path) -> None:
        writePair(tmp_path, "one")
        writePair(tmp_path, "two")
        (tmp_path / "wsd.toml").write_text('[tls]\nport = 0\n[[tls.certificate]]\ncert = "one.crt"\nkey = "two.key"')
        told = refusal("--check", "-c", str(tmp_path / "wsd.toml"))
        assert told == f"wsd: {tmp_path}/wsd.toml: tls: {mismatch(tmp_path)}"

    def test_a_good_pair_is_ok(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        writePair(tmp_path, "one")
        with pytest.raises(SystemExit) as caught:
            parsed(
                "--check", "--tls-port", "0", "--tls-cert", f"{tmp_path}/one.crt", "--tls-key", f"{tmp_path}/one.key"
            )
        assert (caught.value.code, capsys.readouterr().out) == (0, "ok\n")

    def test_it_makes_no_certificate(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
        with pytest.raises(SystemExit):
            parsed("--check", "--tls-port", "0", "--tls-self-signed")
        assert not (tmp_path / "state").exists()

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ('listen = "tpc:8080"', "listen 'tpc:8080' is not an endpoint: "),
            ('listen = "tcp:eighty"', "listen 'tcp:eighty' has no port; "),
            ('listen = "unix:/run/x:mode=rw"', "listen 'unix:/run/x:mode=rw' is not unix:PATH"),
            ('listen = "systemd:domain=INET"', "listen 'systemd:domain=INET' is not systemd:index=N"),
            ('host = "192.0.2.77"', "host '192.0.2.77' is not an address of this machine; "),
            (f'{SOAP}service = "nomod:x"', 'route."/s".service: there is no module "nomod", neither in the folder '),
            (f'{SOAP}service = "json:nothing"', 'route."/s".service: json has no "nothing"; known are "detect_enc'),
            (f'{SOAP}service = "wsd_exits"', 'route."/s".service: wsd_exits cannot be loaded: SystemExit: 0'),
            (
                f'{SOAP}service = "raises.py:X"',
                'route."/s".service: {folder}/raises.py:X cannot be built: ZeroDivision',
            ),
            (f'{SOAP}service = "json"', 'route."/s".contract: json has no contract of its own; name its WSDL'),
        ],
    )
    def test_it_finds_what_the_daemon_would_not_start_with(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, sentence: str
    ) -> None:
        (tmp_path / "raises.py").write_text("class X:\n    def __init__(self):\n        1 / 0\n")
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere/wsd_exits.py").write_text("raise SystemExit(0)")
        monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
        (tmp_path / "wsd.toml").write_text(text)
        told = refusal("--check", "-c", str(tmp_path / "wsd.toml"))
        assert told.startswith(f"wsd: {tmp_path}/wsd.toml: {sentence.format(folder=tmp_path)}")
        assert "\n" not in told

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ('listen = "unix:{}/wsd.sock"', "listen 'unix:{}/wsd.sock': "),
            ('[tls]\nself_signed = true\nlisten = "unix:{}/wsd.sock:mode=660"', "listen 'unix:{}/wsd.sock:mode=660': "),
            ('[log]\nfile = "{}/wsd.log"', "log.file: "),
        ],
    )
    def test_it_warns_of_a_folder_that_is_not_there_yet(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, told: str
    ) -> None:
        folder = tmp_path / "nope"
        (tmp_path / "wsd.toml").write_text(text.format(folder))
        with pytest.raises(SystemExit) as caught:
            parsed("--check", "-c", str(tmp_path / "wsd.toml"))
        assert caught.value.code == 0
        assert capsys.readouterr().err == f"wsd: warning: {told.format(folder)}the folder {folder} does not exist yet\n"

    @pytest.mark.parametrize("kind", ["xmpp", "blob"])
    @pytest.mark.parametrize("spoilt", ["truncated", "no database", "a folder"])
    def test_it_opens_the_stores_that_are_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, spoilt: str
    ) -> None:
        monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
        path = tmp_path / ("xmpp.sqlite" if kind == "xmpp" else "blob/index.sqlite")
        path.parent.mkdir(exist_ok=True)
        if spoilt == "truncated":
            with closing(sqlite3.connect(path)) as store:
                store.execute("CREATE TABLE record (value TEXT)")
                store.executemany("INSERT INTO record VALUES (?)", [("x" * 1000,)] * 100)
                store.commit()
            os.truncate(path, path.stat().st_size // 2)
        elif spoilt == "no database":
            path.write_bytes(b"this is no database" * 100)
        else:
            path.mkdir()
        routes = ("/ws", "/xmpp", "/xmpp-websocket") if kind == "xmpp" else ("/blob",)
        told = refusal("--check").splitlines()
        assert [line.partition(" cannot be opened: ")[0] for line in told] == [
            f'wsd: route."{route}".store: {path}' for route in routes
        ]

    def test_it_leaves_no_trace_of_itself_in_them(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
        SqliteStore(tmp_path / "xmpp.sqlite").close()
        before = (tmp_path / "xmpp.sqlite").read_bytes()
        with pytest.raises(SystemExit) as caught:
            parsed("--check")
        assert caught.value.code == 0
        assert [path.name for path in tmp_path.iterdir()] == ["xmpp.sqlite"]
        assert (tmp_path / "xmpp.sqlite").read_bytes() == before

    def test_it_reads_those_that_are_in_use(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
        store = SqliteStore(tmp_path / "xmpp.sqlite")
        with store.transaction():
            store.put("account", "ada@localhost", "", "x")
        with pytest.raises(SystemExit) as caught:
            parsed("--check")
        assert caught.value.code == 0
        assert store.get("account", "ada@localhost", "") == "x"
        store.close()


@pytest.mark.parametrize("mode", MODES)
class TestServingInEachMode:
    def test_it_says_where_it_listens_and_serves_there(self, mode: str, tmp_path: Path) -> None:
        with running(tmp_path, mode, "-p", "0") as daemon:
            url = daemon.url().replace("ws:", "http:")
            with urlopen(f"{url}/healthz", timeout=10) as answer:
                assert json.load(answer) == {"status": "ok"}
            daemon.stop()
        assert "Traceback" not in daemon.log

    def test_its_log_is_json_when_it_is_asked_for(self, mode: str, tmp_path: Path) -> None:
        with running(tmp_path, mode, "-p", "0", "--log-format", "json") as daemon:
            daemon.url()
            daemon.stop()
        lines: list[dict[str, Any]] = [json.loads(line) for line in daemon.log.splitlines()]
        assert all({"time", "level", "message"} <= line.keys() for line in lines)
        assert [line for line in lines if line["message"].startswith("listening ws://127.0.0.1:")]

    def test_its_log_goes_to_the_configurations_file(self, mode: str, tmp_path: Path) -> None:
        (tmp_path / "wsd.toml").write_text('[log]\nfile = "wsd.log"')
        with running(tmp_path, mode, "-p", "0", "-c", "wsd.toml", log="wsd.log") as daemon:
            daemon.url()
            daemon.stop()
        said = (tmp_path / "out.log").read_text()
        if mode == "wsd serve":
            assert re.fullmatch(rf"open http://localhost:\d+/; the log is in {tmp_path}/wsd.log\n", said)
        elif mode == "twistd":
            log, pid = tmp_path / "wsd.log", tmp_path / "wsd.pid"
            assert said == f"wsd runs in the background. Its log is {log}, its process ID is in {pid}.\n"
        else:
            assert said == ""

    def test_its_log_keeps_to_its_level(self, mode: str, tmp_path: Path) -> None:
        (tmp_path / "wsd.toml").write_text('[log]\nfile = "wsd.log"\nlevel = "error"')
        with running(tmp_path, mode, "-p", "0", "-c", "wsd.toml", log="wsd.log") as daemon:
            until(lambda: isHandled(daemon.pid, signal.SIGHUP), "it has started")
            (tmp_path / "wsd.toml").write_text("prot = 1")
            daemon.send(signal.SIGHUP)
            daemon.logged(" error not reloaded")
            daemon.stop()
        assert len(daemon.log.splitlines()) == 1

    def test_its_log_file_is_opened_anew_on_usr1_and_hup(self, mode: str, tmp_path: Path) -> None:
        log = tmp_path / "wsd.log"
        (tmp_path / "wsd.toml").write_text('[log]\nfile = "wsd.log"')
        with running(tmp_path, mode, "-p", "0", "-c", "wsd.toml", log="wsd.log") as daemon:
            daemon.url()
            for number in (signal.SIGUSR1, signal.SIGHUP):
                log.rename(tmp_path / f"{number.name}.log")
                daemon.send(number)
                until(log.exists, "a new log")
            daemon.logged("reloaded")
            daemon.stop()


class TestTheFileOfTwistd:
    def test_it_turns_on_usr1(self, tmp_path: Path) -> None:
        with running(tmp_path, "twistd", "-p", "0") as daemon:
            daemon.url()
            daemon.send(signal.SIGUSR1)
            until((tmp_path / "daemon.log.1").exists, "the old log")
            daemon.stop()

    def test_a_daemon_does_not_log_to_its_terminal(self, tmp_path: Path) -> None:
        name = commandLine("twistd")[0]
        done = run(tmp_path, [name, "--pidfile", "wsd.pid", "--logfile", "-", "wsd", "-p", "0"])
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("wsd: --logfile: a daemon has no terminal to log to; name a file")


class TestTheBackground:
    def test_twistd_says_where_its_log_and_its_process_id_are(self, tmp_path: Path) -> None:
        with running(tmp_path, "twistd", "-p", "0") as daemon:
            log, pid = tmp_path / "daemon.log", tmp_path / "wsd.pid"
            assert (tmp_path / "out.log").read_text() == (
                f"wsd runs in the background. Its log is {log}, its process ID is in {pid}.\n"
            )
            assert "listening" in daemon.logged("listening").string
            assert int(pid.read_text()) == daemon.pid

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            (
                ["--pidfile", "/nope/wsd.pid"],
                "/nope/wsd.pid cannot be written; name another file with twistd",
            ),
            (["--logfile", "/nope/wsd.log"], "/nope/wsd.log cannot be written: No such file or directory; name a file"),
        ],
    )
    def test_a_file_that_cannot_be_written_is_told_at_the_terminal(
        self, tmp_path: Path, options: list[str], told: str
    ) -> None:
        done = run(tmp_path, [commandLine("twistd")[0], *options, "wsd", "-p", "0"])
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"wsd: {told}")

    def test_the_process_id_is_looked_for_from_rundir(self) -> None:
        assert describe({"pidfile": "a.pid", "rundir": "/tmp"}, "/x.log").endswith("its process ID is in /tmp/a.pid.")

    def test_without_files_it_says_so(self) -> None:
        assert describe({"pidfile": ""}, None) == "wsd runs in the background. It logs to syslog."


class TestReloading:
    def test_hup_reads_the_file_again(self, tmp_path: Path) -> None:
        file = tmp_path / "wsd.toml"
        file.write_text("")
        with running(tmp_path, "twistd -n", "-p", "0", "-c", "wsd.toml") as daemon:
            url = daemon.url().replace("ws:", "http:")
            file.write_text('[route."/new"]\nprotocol = "describe"')
            daemon.send(signal.SIGHUP)
            daemon.logged("reloaded")
            with urlopen(f"{url}/new", timeout=10) as answer:
                assert json.load(answer)["line"] == "GET /new HTTP/1.1"

    def test_a_slip_changes_nothing_and_is_logged(self, tmp_path: Path) -> None:
        file = tmp_path / "wsd.toml"
        file.write_text('[route."/kept"]\nprotocol = "describe"')
        with running(tmp_path, "twistd -n", "-p", "0", "-c", "wsd.toml") as daemon:
            url = daemon.url().replace("ws:", "http:")
            file.write_text("prot = 1")
            daemon.send(signal.SIGHUP)
            daemon.logged(r'wsd\.toml: prot: there is no such key; did you mean "port"\?')
            with urlopen(f"{url}/kept", timeout=10) as answer:
                assert answer.status == 200
