"""basic: users and passwords, from a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from tests.auth.helpers import SECRET, basic, daemonWith, fetched, fieldOf, hashed, opened, sentenceOf, statusOf, users
from tests.auth.test_hashes import ssha
from tests.web.test_door import get, upgrade
from tests.wire import Daemon
from wsd.auth.htpasswd import PasswordFile, usersIn
from wsd.config import Config

CHALLENGE = 'Basic realm="wsd", charset="UTF-8"'


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    return daemonWith(methods=("basic",), htpasswd=users(tmp_path, ann=hashed(), bob=hashed("other")))


class TestAWebSocket:
    def test_opens_for_a_user_with_the_right_password(self, daemon: Daemon) -> None:
        assert statusOf(opened(daemon, basic("ann"))) == 101
        assert [connection.user for connection in daemon.connections] == ["ann"]

    @pytest.mark.parametrize(
        "field",
        [
            basic("ann", "wrong"),
            basic("ann", "other"),
            basic("ann", ""),
            basic("eve"),
            basic("", SECRET),
            b"Authorization: Basic !!!",
            b"Authorization: Basic YW5u",
            b"Authorization: Bearer YW5uOmNvcnJlY3QgaG9yc2U=",
            b"Cookie: a=b",
        ],
    )
    def test_is_refused_otherwise_with_a_challenge(self, daemon: Daemon, field: bytes) -> None:
        answer = opened(daemon, field)
        assert statusOf(answer) == 401
        assert fieldOf(answer, "WWW-Authenticate") == CHALLENGE
        assert "password" in sentenceOf(answer)
        assert daemon.connections == []

    def test_needs_exactly_one_authorization(self, daemon: Daemon) -> None:
        assert statusOf(opened(daemon, basic("ann"), basic("bob", "other"))) == 401

    def test_talks_at_once_although_frames_come_with_the_handshake(self, daemon: Daemon) -> None:
        daemon.pool.slow = True
        wire = daemon.connect()
        assert wire.exchange(upgrade(b"/echo", basic("ann")) + bytes.fromhex("818200000000") + b"hi") == b""
        wire.send(bytes.fromhex("818200000000") + b"ho")
        daemon.pool.catchUp()
        answer = wire.exchange(b"")
        assert statusOf(answer) == 101
        assert answer.endswith(b"\x81\x02hi\x81\x02ho")

    def test_may_be_asked_for_on_a_kept_connection(self, daemon: Daemon) -> None:
        wire = daemon.connect()
        assert statusOf(wire.exchange(get(b"/describe", basic("ann")))) == 200
        assert statusOf(wire.exchange(upgrade(b"/echo", basic("bob", "other")))) == 101
        assert [connection.user for connection in daemon.connections] == ["bob"]

    def test_ends_the_wait_when_the_client_leaves(self, daemon: Daemon) -> None:
        daemon.pool.slow = True
        wire = daemon.connect()
        wire.exchange(upgrade(b"/echo", basic("ann")))
        wire.transport.connectionLost(Failure(ConnectionDone()))
        daemon.pool.catchUp()
        assert daemon.connections == []
        assert not daemon.admission.users()

    def test_of_a_foreign_page_is_refused_although_the_browser_sends_the_password(self, daemon: Daemon) -> None:
        answer = opened(daemon, basic("ann"), b"Origin: https://evil.example")
        assert statusOf(answer) == 403
        assert daemon.pool.begun == 0


class TestARequestOverHttp:
    def test_is_answered_with_the_right_password(self, daemon: Daemon) -> None:
        assert statusOf(fetched(daemon, basic("ann"))) == 200

    def test_is_refused_otherwise(self, daemon: Daemon) -> None:
        answer = fetched(daemon)
        assert statusOf(answer) == 401
        assert fieldOf(answer, "WWW-Authenticate") == CHALLENGE
        assert fieldOf(answer, "Cache-Control") == "no-store"

    def test_a_browser_gets_the_page_of_errors(self, daemon: Daemon) -> None:
        answer = fetched(daemon, b"Accept: text/html")
        assert statusOf(answer) == 401
        assert b"<!doctype html>" in answer

    def test_pipelined_requests_are_answered_in_their_order(self, daemon: Daemon) -> None:
        daemon.pool.slow = True
        wire = daemon.connect()
        right, wrong = get(b"/describe", basic("ann")), get(b"/describe", basic("ann", "x"))
        assert wire.exchange(right + wrong + right) == b""
        daemon.pool.catchUp()
        answers = wire.exchange(b"")
        assert [int(each[:3]) for each in answers.split(b"HTTP/1.1 ")[1:]] == [200, 401, 200]

    def test_a_route_without_a_page_does_not_say_so_before(self, daemon: Daemon) -> None:
        assert statusOf(fetched(daemon, path=b"/echo")) == 401
        assert statusOf(fetched(daemon, basic("ann"), path=b"/echo")) == 426

    def test_the_client_may_leave_meanwhile(self, daemon: Daemon) -> None:
        daemon.pool.slow = True
        wire = daemon.connect()
        wire.exchange(get(b"/describe", basic("ann")))
        wire.transport.connectionLost(Failure(ConnectionDone()))
        daemon.pool.catchUp()


class TestThePasswords:
    def test_are_hashed_on_the_pool_alone(self, daemon: Daemon) -> None:
        daemon.pool.slow = True
        wire = daemon.connect()
        assert wire.exchange(upgrade(b"/echo", basic("ann"))) == b""
        assert daemon.pool.begun == 1
        daemon.pool.catchUp()
        assert statusOf(wire.exchange(b"")) == 101

    def test_that_are_right_are_hashed_once(self, daemon: Daemon) -> None:
        for _ in range(5):
            assert statusOf(opened(daemon, basic("ann"))) == 101
        assert daemon.pool.begun == 1

    def test_that_are_wrong_are_hashed_each_time(self, daemon: Daemon) -> None:
        for _ in range(3):
            assert statusOf(opened(daemon, basic("ann", "wrong"))) == 401
        assert daemon.pool.begun == 3

    def test_that_come_together_are_hashed_once(self, daemon: Daemon) -> None:
        daemon.pool.slow = True
        wires = [daemon.connect() for _ in range(10)]
        for wire in wires:
            wire.exchange(upgrade(b"/echo", basic("ann")))
        assert daemon.pool.begun == 1
        daemon.pool.catchUp()
        assert [statusOf(wire.exchange(b"")) for wire in wires] == [101] * 10

    def test_of_unknown_users_are_hashed_as_well(self, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
        """Otherwise the time of the answer would tell which users exist: the same work is done for both."""
        compared: list[bytes] = []
        check = bcrypt.checkpw

        def counted(given: bytes, known: bytes) -> bool:
            compared.append(known)
            return check(given, known)

        monkeypatch.setattr(bcrypt, "checkpw", counted)
        opened(daemon, basic("ann", "wrong"))
        opened(daemon, basic("eve", "wrong"))
        opened(daemon, basic("eve"))
        assert daemon.pool.begun == 3
        assert len(compared) == 3
        assert {known[:7] for known in compared} == {b"$2y$04$"}, "the work is the same"

    def test_that_are_too_many_are_not_queued_without_end(self, daemon: Daemon) -> None:
        daemon.pool.slow = True
        wires = [daemon.connect() for _ in range(210)]
        answers = [wire.exchange(upgrade(b"/echo", basic("ann", f"{n}"))) for n, wire in enumerate(wires)]
        refused = [answer for answer in answers if answer]
        assert len(refused) == 8
        assert {statusOf(answer) for answer in refused} == {503}
        assert fieldOf(refused[0], "Retry-After") == "1"

    def test_that_take_too_long_are_refused(self, daemon: Daemon) -> None:
        daemon.pool.slow = True
        wire = daemon.connect()
        wire.exchange(upgrade(b"/echo", basic("ann")))
        daemon.pass_(11)
        assert statusOf(wire.exchange(b"")) == 503


class TestTheFile:
    def test_is_read_again_when_it_changes(self, tmp_path: Path) -> None:
        path = users(tmp_path, ann=hashed())
        daemon = daemonWith(methods=("basic",), htpasswd=path)
        assert statusOf(opened(daemon, basic("ann"))) == 101
        users(tmp_path, ann=hashed("a new password"), bob=hashed())
        assert statusOf(opened(daemon, basic("ann"))) == 401, "the old password is not remembered"
        assert statusOf(opened(daemon, basic("ann", "a new password"))) == 101
        assert statusOf(opened(daemon, basic("bob"))) == 101
        users(tmp_path, bob=hashed())
        assert statusOf(opened(daemon, basic("ann", "a new password"))) == 401

    def test_that_becomes_wrong_or_is_gone_leaves_the_old_users(self, tmp_path: Path) -> None:
        path = users(tmp_path, ann=hashed())
        file = PasswordFile(path)
        Path(path).write_text("ann:$apr1$x$y\n")
        assert file.find("ann") is not None
        os.unlink(path)
        assert file.find("ann") is not None

    def test_may_have_comments_blank_lines_and_further_fields(self) -> None:
        known = hashed()
        found = usersIn(f"# users\n\nann:{known}:more\r\n王:{ssha(b'x')}\n".encode(), "f")
        assert list(found) == ["ann", "王"]
        assert found["ann"].text == known

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("ann", "f, line 1: this is not USER:HASH"),
            (f":{hashed()}", "f, line 1: this is not USER:HASH"),
            (f"\nann:{hashed()}\nann:{hashed()}", "f, line 3: this user is listed twice"),
            ("ann:secret", "f, line 1: a hash of an unknown kind"),
            (f"a\x07b:{hashed()}", "f, line 1: this is not USER:HASH"),
        ],
        ids=["no hash", "no name", "twice", "no kind", "a control character"],
    )
    def test_with_a_wrong_line_is_refused_with_its_number(self, content: str, words: str) -> None:
        with pytest.raises(ValueError, match=words) as caught:
            usersIn(content.encode(), "f")
        assert "secret" not in str(caught.value)

    def test_without_users_lets_nobody_in(self, tmp_path: Path) -> None:
        daemon = daemonWith(methods=("basic",), htpasswd=users(tmp_path))
        assert statusOf(opened(daemon, basic("ann"))) == 401

    def test_unknown_users_are_compared_with_the_same_hash_each_time(self, tmp_path: Path) -> None:
        file = PasswordFile(users(tmp_path, ann=hashed(), bob=ssha(b"x")))
        found = {file.decoyFor("eve") for _ in range(20)}
        assert len(found) == 1
        assert {file.decoyFor(f"user{n}") for n in range(50)} == {file.find("ann"), file.find("bob")}


class TestPasswordsInTheClear:
    """They are there for digests, and are accepted like any other."""

    @staticmethod
    def write(folder: Path, mode: int) -> str:
        path = Path(users(folder, ann=hashed(), bob="{CLEARTEXT}a:b c"))
        path.chmod(mode)
        return str(path)

    @pytest.mark.parametrize("mode", [0o600, 0o640])
    def test_are_read_from_a_file_that_others_cannot_read(self, tmp_path: Path, mode: int) -> None:
        file = PasswordFile(self.write(tmp_path, mode))
        bob, ann = file.find("bob"), file.find("ann")
        assert bob is not None
        assert ann is not None
        assert (bob.secret, ann.secret, file.hasSecrets) == (b"a:b c", None, True)
        daemon = daemonWith(methods=("basic",), htpasswd=self.write(tmp_path, mode))
        assert statusOf(opened(daemon, basic("bob", "a:b c"))) == 101
        assert statusOf(opened(daemon, basic("bob", "a"))) == 401

    def test_are_refused_in_a_file_that_everyone_can_read(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="every user can read it; chmod o-r it"):
            PasswordFile(self.write(tmp_path, 0o644))

    def test_that_are_added_to_an_open_file_leave_the_old_users(self, tmp_path: Path) -> None:
        path = users(tmp_path, ann=hashed())
        file = PasswordFile(path)
        self.write(tmp_path, 0o644)
        assert file.find("ann") is not None
        assert file.find("bob") is None
        assert not file.hasSecrets
        os.chmod(path, 0o600)
        os.utime(path, ns=(1, 1))
        assert file.hasSecrets


class TestWithoutTls:
    """A password may be sent in the clear on this machine only, unless the configuration says otherwise."""

    BEHIND = Config(trusted_proxies=("127.0.0.1",))

    def _answer(self, tmp_path: Path, *fields: bytes, **auth: Any) -> bytes:
        path = users(tmp_path, ann=hashed())
        daemon = daemonWith(methods=("basic",), htpasswd=path, others={"config": self.BEHIND}, **auth)
        return opened(daemon, basic("ann"), b"X-Forwarded-For: 192.0.2.7", *fields)

    def test_a_client_of_a_proxy_without_tls_is_refused(self, tmp_path: Path) -> None:
        answer = self._answer(tmp_path)
        assert statusOf(answer) == 401
        assert "without TLS" in sentenceOf(answer)

    def test_one_with_tls_is_not(self, tmp_path: Path) -> None:
        assert statusOf(self._answer(tmp_path, b"X-Forwarded-Proto: https")) == 101

    def test_nor_if_that_is_wanted(self, tmp_path: Path) -> None:
        assert statusOf(self._answer(tmp_path, basic_without_tls=True)) == 101
