"""WCF's own client asks the demonstration: over ws, wss and HTTP, and through the gateway to a service of SoapCore."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.auth.helpers import hashed
from tests.bench.dotnet import dotnet
from tests.daemon import RunningDaemon, runningDaemon
from tests.protocols.soap.encodings.corpus import PEER, needsPeer

pytestmark = needsPeer

SOCKET = ("defaults text binary mtom streamed gzip deflate msbin1 msbinsession1 soap11a soap12a utf16 utf16be").split()
HTTP = "basic http11 http12 http12a httpbinary httpmtom httpmtom11".split()
SECURE = [mode if mode in ("defaults", "text") else pytest.param(mode, marks=pytest.mark.soak) for mode in SOCKET]
"""TLS is the same below each encoding, so two of them are enough for `make test`."""


def checks(url: str, mode: str, authority: str = "", user: str = "", only: str = "") -> tuple[int, list[str]]:
    """
    Returns how many checks hold, and the others: the beginning of each line says which.

    `user` is name:password, and `only` how the names of the checks to do begin, besides that a WebSocket is opened.
    """
    told = {"SSL_CERT_FILE": authority, "NETPEER_USER": user}
    environ = {**os.environ, **{name: value for name, value in told.items() if value}}
    done = subprocess.run(
        [PEER, "wcf", url, mode, *filter(None, [only])], env=environ, capture_output=True, text=True, timeout=120
    )
    lines = done.stdout.splitlines()[1:]
    return sum(line.startswith("ok ") for line in lines), [line for line in lines if not line.startswith("ok ")]


@pytest.fixture(scope="module")
def daemon() -> Iterator[RunningDaemon]:
    with runningDaemon("--tls-self-signed", "--tls-port", "0") as daemon:
        yield daemon


class TestTheDemonstration:
    @pytest.mark.parametrize("mode", SOCKET)
    def test_over_a_websocket_all_checks_hold(self, daemon: RunningDaemon, mode: str) -> None:
        assert checks(f"ws://localhost:{daemon.port()}/soap", mode) == (15, [])

    @pytest.mark.parametrize("mode", SECURE)
    def test_and_over_wss_with_the_development_certificate(self, daemon: RunningDaemon, mode: str) -> None:
        authority = str(daemon.folder / "wsd" / "tls" / "authority.crt")
        assert checks(f"wss://localhost:{daemon.port('wss')}/soap", mode, authority) == (15, [])

    def test_without_the_authority_the_client_does_not_connect(self, daemon: RunningDaemon) -> None:
        held, failed = checks(f"wss://localhost:{daemon.port('wss')}/soap", "defaults")
        assert (held, bool(failed)) == (0, True)

    @pytest.mark.parametrize("mode", HTTP)
    def test_over_http_all_checks_hold(self, daemon: RunningDaemon, mode: str) -> None:
        assert checks(f"http://localhost:{daemon.port()}/soap", mode) == (4, [])


USERS = """
[route."/basic"]
protocol = "soap"
auth = {{ methods = ["basic"], htpasswd = "{users}" }}

[route."/token"]
protocol = "soap"
username_token = true
auth = {{ methods = ["basic"], htpasswd = "{users}" }}

[route."/gate"]
protocol = "soap"
username_token = true
upstream = "http://127.0.0.1:{port}/soap12"
auth = {{ methods = ["basic"], htpasswd = "{users}" }}
"""


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    """A daemon where ann has the password secret."""
    path = tmp_path_factory.mktemp("users") / "users.htpasswd"
    path.write_text(f"ann:{hashed('secret')}\n")
    with (
        dotnet("soapcore") as (_, port),
        runningDaemon("--tls-self-signed", "--tls-port", "0", config=USERS.format(users=path, port=port)) as daemon,
    ):
        yield daemon


class TestUsers:
    """HTTP Basic, and TransportWithMessageCredential with a user name."""

    @staticmethod
    def ask(daemon: RunningDaemon, path: str, mode: str, password: str, only: str = "") -> tuple[int, list[str]]:
        scheme = "https" if mode.startswith("http") else "wss"
        authority = str(daemon.folder / "wsd" / "tls" / "authority.crt")
        return checks(f"{scheme}://localhost:{daemon.port('wss')}{path}", mode, authority, f"ann:{password}", only)

    @pytest.mark.parametrize(
        ("path", "mode", "count"),
        [
            ("/basic", "soap12a+basic", 15),
            ("/basic", "http12a+basic", 4),
            ("/token", "soap12a+token", 15),
            ("/token", "msbinsession1+token", 15),
            ("/token", "http12a+token", 4),
        ],
    )
    def test_with_the_right_password_all_checks_hold(
        self, users: RunningDaemon, path: str, mode: str, count: int
    ) -> None:
        assert self.ask(users, path, mode, "secret") == (count, [])

    @pytest.mark.parametrize(
        ("path", "mode", "raised"),
        [
            ("/basic", "soap12a+basic", "open: CommunicationException: The server returned status code '401'"),
            ("/basic", "http12a+basic", "add: MessageSecurityException: "),
            ("/token", "soap12a+token", "add: SecurityAccessDeniedException: the user name or the password is wrong"),
            ("/token", "http12a+token", "add: MessageSecurityException: "),
        ],
    )
    def test_with_a_wrong_one_the_client_raises(self, users: RunningDaemon, path: str, mode: str, raised: str) -> None:
        _, failed = self.ask(users, path, mode, "wrong", "add")
        assert [line.removeprefix("FAIL ")[: len(raised)] for line in failed] == [raised]

    def test_without_tls_it_is_told_to_use_it(self, users: RunningDaemon) -> None:
        url = f"ws://localhost:{users.port()}/token"
        (failed,) = checks(url, "soap12a+token", user="ann:secret", only="add")[1]
        assert "this route takes passwords over TLS only" in failed

    def test_the_gateway_logs_users_in_for_soapcore(self, users: RunningDaemon) -> None:
        held, failed = self.ask(users, "/gate", "soap12a+token", "secret")
        assert held == 13
        assert [re.split("[ :]+", line)[1] for line in failed] == ["fault", "push"]


CONFIG = """
[route."/gate12"]
protocol = "soap"
upstream = "http://127.0.0.1:{port}/soap12"

[route."/gate11"]
protocol = "soap"
upstream = "http://127.0.0.1:{port}/soap11"
"""


@pytest.fixture(scope="module")
def gateway() -> Iterator[RunningDaemon]:
    with dotnet("soapcore") as (_, port), runningDaemon(config=CONFIG.format(port=port)) as daemon:
        yield daemon


class TestTheGatewayBeforeSoapCore:
    """
    SoapCore pushes nothing, and its faults have no details: the client gets them without a type.

    It takes no MTOM, which the gateway passes on as it is.
    """

    @pytest.mark.parametrize(
        ("path", "mode"),
        [("gate12", "defaults"), ("gate12", "text"), ("gate12", "utf16"), ("gate12", "gzip"), ("gate11", "soap11a")],
    )
    def test_over_a_websocket_all_else_holds(self, gateway: RunningDaemon, path: str, mode: str) -> None:
        held, failed = checks(f"ws://localhost:{gateway.port()}/{path}", mode)
        assert held == 13
        assert [re.split("[ :]+", line)[1] for line in failed] == ["fault", "push"]
        assert "the file is forbidden" in failed[0]

    @pytest.mark.parametrize(("path", "mode"), [("gate12", "http12a"), ("gate12", "httpbinary"), ("gate11", "basic")])
    def test_over_http_all_else_holds(self, gateway: RunningDaemon, path: str, mode: str) -> None:
        held, failed = checks(f"http://localhost:{gateway.port()}/{path}", mode)
        assert held == 3
        assert [re.split("[ :]+", line)[1] for line in failed] == ["fault"]
