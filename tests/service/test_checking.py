"""`--check`: everything that a configuration names is loaded, and each fault is told with its route."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from twisted.internet.testing import MemoryReactorClock

from tests.certificates import Authority
from wsd.config import parse
from wsd.protocols import optionsOf
from wsd.service.checking import Findings, check

HANDLER = "def web_socket_do_extra_handshake(request): pass\ndef web_socket_transfer_data(request): pass\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With what configurations name: a file, a folder, a module, handlers. The state folder does not exist."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "file").write_text("this is a file")
    (tmp_path / "folder").mkdir()
    (tmp_path / "wsd_checked.py").write_text("def double(n): return 2 * n\nnumber = 1\n")
    (tmp_path / "handlers").mkdir()
    (tmp_path / "handlers/good_wsh.py").write_text(HANDLER)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/bad_wsh.py").write_text("x =")
    return tmp_path


def checked(text: str, folder: Path) -> Findings:
    return check(parse(text, optionsOf, folder=str(folder)), MemoryReactorClock(), os.environ)


def faults(text: str, folder: Path) -> list[str]:
    return [fault.replace(str(folder), "FOLDER") for fault in checked(text, folder).faults]


def warnings(text: str, folder: Path) -> list[str]:
    found = checked(text, folder)
    assert not found.faults
    return [warning.replace(str(folder), "FOLDER") for warning in found.warnings]


class TestItself:
    def test_the_defaults_are_without_fault(self, folder: Path) -> None:
        found = checked("", folder)
        assert (list(found.faults), list(found.warnings)) == ([], [])

    def test_it_writes_nothing(self, folder: Path) -> None:
        before = set(folder.rglob("*"))
        checked("[tls]\nport = 0\nself_signed = true", folder)
        assert set(folder.rglob("*")) == before

    def test_it_tells_every_fault_and_not_the_first_alone(self, folder: Path) -> None:
        text = """
            listen = ["tcp:eighty"]
            [log]
            file = "folder"
            [tls]
            port = 0
            self_signed = true
            client_auth = "required"
            client_ca = "file"
            [route."/b"]
            protocol = "blob"
            store = "file"
            [route."/s"]
            protocol = "soap"
            service = "nowhere"
        """
        assert [fault.partition(": ")[0] for fault in faults(text, folder)] == [
            'route."/b".store',
            'route."/s".service',
            "listen 'tcp:eighty' has no port; write tcp:PORT or tcp:PORT:interface=ADDRESS",
            "tls.client_ca",
            "log.file",
        ]


SOAP = 'protocol = "soap"\nservice = "wsd_checked"'
GATEWAY = 'protocol = "xmpp"\nupstream = "tcp:a:5222"'
TOPICS = 'protocol = "topics"'
HANDLERS = 'protocol = "pywebsocket"'

FAULTS = {
    # -- stores --
    'protocol = "blob"\nstore = "file"': ".store: FOLDER/file/index.sqlite cannot be created: FOLDER/file is not a",
    'protocol = "blob"\nstore = "file/x"': ".store: FOLDER/file/x/index.sqlite cannot be created: FOLDER/file is",
    'protocol = "xmpp"\nstore = "folder"': ".store: FOLDER/folder cannot be opened: unable to open",
    'protocol = "xmpp"\nstore = "file/x"': ".store: FOLDER/file/x cannot be created: FOLDER/file is not a folder",
    TOPICS + '\nbackend = "file"\nstore = "folder"': ".store: FOLDER/folder cannot be opened: unable to open",
    # -- what is imported --
    'protocol = "soap"\nservice = "nowhere"': '.service: there is no module "nowhere", neither in the folder',
    'protocol = "soap"\nservice = "wsd_checked:nothing"': '.service: FOLDER/wsd_checked.py has no "nothing"; known are',
    SOAP: ".contract: FOLDER/wsd_checked.py has no contract of its own; name its WSDL",
    SOAP + '\ncontract = "missing.wsdl"': ": FOLDER/missing.wsdl cannot be read: ",
    SOAP + '\ncontract = "file"': ": FOLDER/file is not XML: ",
    TOPICS + '\npublish = "nowhere:may"': '.publish: there is no module "nowhere", neither in the folder',
    TOPICS
    + '\npublish = "wsd_checked:number"': '.publish: "FOLDER/wsd_checked.py:number" is not callable; name a function',
    HANDLERS + '\nhandlers = "broken"\nhandlers_strict = true': ": FOLDER/broken/bad_wsh.py:1: SyntaxError",
    # -- files --
    TOPICS + '\ntoken_key = "missing"': ".token_key: FOLDER/missing cannot be read: No such file or directory",
    GATEWAY + '\nupstream_ca = "missing"': ".upstream_ca: FOLDER/missing cannot be read as certificates",
    GATEWAY + '\nupstream_ca = "file"': ".upstream_ca: FOLDER/file cannot be read as certificates",
    # -- routes that would refuse everybody --
    'protocol = { "" = "echo", wash = "soap" }': ".protocol: soap has no other name as a subprotocol; write soap =",
    'protocol = { "" = "echo", chat = "xmpp" }': ".protocol: xmpp has no other name as a subprotocol; write xmpp =",
}
"""The keys of a route, and what is said of them behind its name."""


@pytest.mark.parametrize("keys", FAULTS)
def test_a_route_that_could_not_serve_is_told_with_its_name(folder: Path, keys: str) -> None:
    (fault,) = faults(f'[route."/x/*"]\n{keys}', folder)
    assert fault.startswith(f'route."/x/*"{FAULTS[keys]}')
    assert "\n" not in fault


@pytest.mark.parametrize(("protocol", "what"), [("topics", "topic"), ("canvas", "canvas")])
def test_a_path_that_nothing_lies_below_is_told(folder: Path, protocol: str, what: str) -> None:
    assert faults(f'[route."/x"]\nprotocol = "{protocol}"', folder) == [
        f'route."/x": no {what} can be named below this path; write route."/x/*"'
    ]


def test_two_servers_of_xmpp_do_not_share_a_store(folder: Path) -> None:
    keys = 'protocol = "xmpp"\nstore = "s"'
    text = f'[route."/a"]\n{keys}\ndomains = "a"\n[route."/b"]\n{keys}\ndomains = '
    assert faults(text + '"b"', folder)[0] == (
        'route."/a".store: FOLDER/s is the store of route."/b" too, which has other domains; name another file'
    )
    assert faults(text + '"a"', folder) == []


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (TOPICS + '\npublish = "token"', 'nobody has a "token" while token_key is not set'),
        (TOPICS + '\ntoken_issuer = "me"', "token_issuer is not used without token_key"),
        (TOPICS + '\nstore = "s"', 'store is not used with the backend "memory"'),
        ('protocol = "blob"\ncredit = "64 KiB"', "credit (65536 bytes) is less than max_chunk (1048576)"),
        ('protocol = "blob"\nquota = "1 MiB"', "max_file (1073741824 bytes) is more than quota (1048576)"),
        (HANDLERS + '\nhandlers = "broken"', "FOLDER/broken/bad_wsh.py:1: SyntaxError"),
        (HANDLERS + '\nhandlers = "handlers"\nhandlers_map = "missing"', "FOLDER/missing: cannot be read"),
        (
            HANDLERS + '\nhandlers = "handlers"\ndocument_root = "folder"\ncgi_paths = "/cgi"',
            "cgi_paths: /cgi is not a folder in FOLDER/folder",
        ),
    ],
)
def test_what_serves_and_is_hardly_meant_is_a_warning_with_the_routes_name(folder: Path, keys: str, told: str) -> None:
    (warning,) = warnings(f'[route."/x/*"]\n{keys}', folder)
    assert warning.startswith(f'route."/x/*": {told}')


class TestListeners:
    @pytest.mark.parametrize(
        ("text", "told"),
        [
            (
                "[tls]\nport = 9998\nself_signed = true",
                "port (host 127.0.0.1) and tls.port (host 127.0.0.1) would both",
            ),
            ('host = ["0.0.0.0", "127.0.0.1"]', "port (host 0.0.0.0) and port (host 127.0.0.1) would both listen at"),
            ('port = 7\nlisten = "tcp:7"', "port (host 127.0.0.1) and listen 'tcp:7' would both listen at port 7 on"),
            (
                'listen = "unix:/run/a"\n[tls]\nself_signed = true\nlisten = "unix:/run/a"',
                "listen 'unix:/run/a' and tls.listen 'unix:/run/a' would both listen at /run/a; change one of them",
            ),
            ('listen = "unix:{folder}/file"', "listen 'unix:FOLDER/file': FOLDER/file is there, and is not a socket"),
            (f'listen = "unix:/{"x" * 107}"', f"listen 'unix:/{'x' * 107}' has a path of more than 107 bytes"),
            (
                'listen = "ssl:443:privateKey=missing.pem"',
                "listen 'ssl:443:privateKey=missing.pem' is not an endpoint: ",
            ),
        ],
    )
    def test_what_cannot_be_bound_is_told(self, folder: Path, text: str, told: str) -> None:
        (fault,) = faults(text.replace("{folder}", str(folder)), folder)
        assert fault.startswith(told)

    @pytest.mark.parametrize(
        "text",
        [
            'port = 0\nhost = ["127.0.0.1", "::1"]\n[tls]\nport = 0\nself_signed = true',
            'host = ["0.0.0.0", "::"]',
            'port = 7\nlisten = "tcp:8"',
        ],
    )
    def test_what_does_not_collide_is_not_told(self, folder: Path, text: str) -> None:
        assert faults(text, folder) == []

    def test_a_proxy_header_that_nobody_may_send_is_a_warning(self, folder: Path) -> None:
        (warning,) = warnings("proxy_protocol = true", folder)
        assert warning.startswith("proxy_protocol: every connection is dropped, since trusted_proxies is empty")
        assert warnings('proxy_protocol = true\ntrusted_proxies = "10.0.0.1"', folder) == []


class TestMemory:
    @pytest.mark.parametrize(
        ("text", "table"),
        [
            ('[policies]\nmemory_max = "32 MiB"\nmax_message = "9 MiB"', "policies"),
            ('[policies]\nmemory_max = "32 MiB"\n[route."/x"]\nprotocol = "echo"\nmax_message = "9 MiB"', 'route."/x"'),
        ],
    )
    def test_a_message_that_never_fits_is_a_warning(self, folder: Path, text: str, table: str) -> None:
        (warning,) = warnings(f"built_in = false\n{text}", folder)
        assert warning.startswith(f"{table}.max_message: 9437184 bytes are more than one connection may hold, 8388608 ")


class TestTls:
    def test_the_authorities_are_read_even_if_the_certificate_is_made(self, folder: Path) -> None:
        text = '[tls]\nport = 0\nself_signed = true\nclient_auth = "required"\nclient_ca = "missing"'
        assert faults(text, folder) == [
            "tls: the client_ca FOLDER/missing cannot be read: No such file or directory; use a file that wsd can read"
        ]

    def test_a_certificate_that_could_not_be_stored_is_told(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("STATE_DIRECTORY", str(folder / "file/state"))
        (fault,) = faults("built_in = false\n[tls]\nport = 0\nself_signed = true", folder)
        assert fault.startswith("tls.self_signed: FOLDER/file/state/tls cannot be created: Not a directory; ")

    def test_what_has_expired_is_a_warning(self, folder: Path) -> None:
        authority = Authority(folder)
        pair = authority.server("old", "localhost", begin=timedelta(days=-2), end=timedelta(days=-1))
        text = f'[tls]\nport = 0\n[[tls.certificate]]\ncert = "{pair.cert}"\nkey = "{pair.key}"'
        assert warnings(text, folder) == ["tls: the certificate for localhost has expired; replace it"]


def test_a_missing_file_of_header_fields_for_traces_is_told(folder: Path) -> None:
    assert faults('[traces]\nenabled = true\nheaders_file = "none"', folder) == [
        "traces.headers_file: FOLDER/none cannot be read: No such file or directory; name a file that wsd can read"
    ]


class TestTheLog:
    def test_a_folder_is_no_file(self, folder: Path) -> None:
        assert faults('[log]\nfile = "folder"', folder) == ["log.file: FOLDER/folder is a folder; name a file"]

    def test_a_missing_folder_is_a_warning(self, folder: Path) -> None:
        assert warnings('[log]\nfile = "missing/log"', folder) == [
            "log.file: the folder FOLDER/missing does not exist yet"
        ]

    @pytest.mark.parametrize(("name", "counts"), [("file", (1, 0)), ("folder/log", (0, 1))])
    def test_what_this_user_may_not_write_is_told(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, counts: tuple[int, int]
    ) -> None:
        # Root may write everything.
        monkeypatch.setattr("wsd.service.checking.os.access", lambda *_: False)
        found = checked(f'built_in = false\n[log]\nfile = "{name}"', folder)
        assert (len(found.faults), len(found.warnings)) == counts
