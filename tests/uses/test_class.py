"""The server of a class: who is the teacher, and that a pupil cannot do what is the teacher's."""

from __future__ import annotations

import json
import os
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import jwt
import pytest
from twisted.logger import capturedLogs

from tests.wire import Client, Daemon
from wsd.connection import Refused

room = import_module("wsd.uses.class.room")
board = import_module("wsd.uses.class.board")

TEACHER, PUPIL, OTHER = "the teacher's secret", "the pupil's own secret", "another pupil's secret"
CLASS = room.userOf(TEACHER)
RULES = dict.fromkeys(("publish", "subscribe", "history", "presence", "direct"), ("token",))
TOPICS = room.ClassTopicsOptions(**RULES)
BLACK = b"\0\0\0\xff" * (400 * 320)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder, which does not exist before a token is asked for."""
    folder = tmp_path / "state"
    monkeypatch.setenv("STATE_DIRECTORY", str(folder))
    return folder


def ask(query: str = "", secret: str = TEACHER, **fields: str) -> tuple[int, dict[str, str], str]:
    """The status, the fields and the body of the answer."""
    wire = Daemon({"/token": room.TokenFactory}).connect()
    fields = {"Host": "localhost:9998", "Authorization": f"Bearer {secret}", **fields}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    answer = wire.exchange(f"GET /token{query} HTTP/1.1\r\n{lines}\r\n".encode()).decode()
    head, _, body = answer.partition("\r\n\r\n")
    status, *rest = head.split("\r\n")
    return int(status.split()[1]), dict(line.split(": ", 1) for line in rest), body


def tokenOf(secret: str = TEACHER, pen: str = "") -> str:
    status, _, body = ask(f"?class={CLASS}" + (f"&pen={pen}" if pen else ""), secret)
    assert status == 200, body
    token: str = json.loads(body)["token"]
    return token


def statusOf(client: Client) -> int:
    """The status that an opening handshake was answered with."""
    assert client.response is not None
    return client.response.status_code


class TestTokens:
    def testWhoeverBeginsAClassIsItsTeacher(self) -> None:
        _, fields, body = ask()
        answer = json.loads(body)
        assert answer["class"] == answer["user"] == CLASS
        assert fields["Cache-Control"] == "no-store"
        again = json.loads(ask(f"?class={CLASS}")[2])
        assert (again["class"], again["user"]) == (CLASS, CLASS), "after a reload too"

    def testWhoeverComesToAClassIsAPupil(self) -> None:
        answer = json.loads(ask(f"?class={CLASS}", PUPIL)[2])
        assert answer["class"] == CLASS
        assert answer["user"] == room.userOf(PUPIL)

    def testThePenIsTheTeachersToGive(self) -> None:
        pupil = room.userOf(PUPIL)
        status, _, body = ask(f"?class={CLASS}&pen={pupil}", PUPIL)
        assert (status, body) == (403, "only the teacher may give the pen\n")
        assert json.loads(ask(f"?class={CLASS}&pen={pupil}")[2])["seconds"] == room.PEN

    @pytest.mark.parametrize(
        ("query", "secret", "status"),
        [("", "short", 401), ("", "x" * 101, 401), ("?class=a", PUPIL, 404), ("?class=../../../../etc/p", PUPIL, 404)],
    )
    def testWhatIsNotValidIsRefused(self, query: str, secret: str, status: int) -> None:
        assert ask(query, secret)[0] == status

    def testPagesOfOtherSitesGetNone(self) -> None:
        assert ask(Origin="https://evil.test")[0] == 403
        assert ask(Origin="http://localhost:9998")[0] == 200

    def testTheKeyIsPrivateAndKept(self, state: Path) -> None:
        token = tokenOf()
        [file] = state.glob("*.key")
        assert file.stat().st_mode & 0o777 == 0o600
        assert jwt.decode(token, file.read_bytes().strip(), algorithms=["HS256"])["sub"] == CLASS


class Topics:
    """The enveloped form, with a token."""

    def __init__(self, daemon: Daemon, secret: str) -> None:
        token = tokenOf(secret)
        self.client = daemon.open("/topics/", subprotocols=["topics.wsd.v1", f"bearer.{token}"])

    def ask(self, name: str, **fields: Any) -> str:
        """The name of the answer, or the code of the error."""
        frames = self.client.say(json.dumps({name: {"id": 1, **fields}}))
        for message in map(json.loads, self.client.messages(frames)):
            [(kind, answer)] = message.items()
            if answer.get("id") == 1:
                return str(answer.get("code", kind))
        raise AssertionError("no answer")


class TestTopics:
    @pytest.fixture
    def daemon(self) -> Daemon:
        daemon = Daemon({"/topics/*": room.ClassTopicsFactory}, options=TOPICS)
        daemon.factories["/topics/*"].started()
        return daemon

    def publish(self, daemon: Daemon, secret: str, topic: str) -> str:
        return Topics(daemon, secret).ask("publish", topic=topic, data=1)

    def testTheTeacherMayPublishEverywhereInTheClass(self, daemon: Daemon) -> None:
        for topic in ("lesson", "by/somebody/hand", f"by/{CLASS}/chat"):
            assert self.publish(daemon, TEACHER, f"{CLASS}/{topic}") == "published"

    def testAPupilMaySpeakForNobodyElse(self, daemon: Daemon) -> None:
        pupil, other = room.userOf(PUPIL), room.userOf(OTHER)
        for topic in ("chat", "hand", "vote"):
            assert self.publish(daemon, PUPIL, f"{CLASS}/by/{pupil}/{topic}") == "published"
            assert self.publish(daemon, PUPIL, f"{CLASS}/by/{other}/{topic}") == "forbidden"
            assert self.publish(daemon, PUPIL, f"{CLASS}/by/{CLASS}/{topic}") == "forbidden"

    def testTheLessonIsTheTeachersAlone(self, daemon: Daemon) -> None:
        assert self.publish(daemon, PUPIL, f"{CLASS}/lesson") == "forbidden"
        assert self.publish(daemon, PUPIL, f"{CLASS}") == "forbidden"

    def testAPupilSendsNoDirectMessages(self, daemon: Daemon) -> None:
        teacher, pupil = Topics(daemon, TEACHER), Topics(daemon, PUPIL)
        for each in (teacher, pupil):
            assert each.ask("enter", topic=f"{CLASS}/people", state=None) == "entered"
        assert pupil.ask("direct", topic=f"{CLASS}/people", to="x", data=1) == "forbidden"
        assert teacher.ask("direct", topic=f"{CLASS}/people", to="x", data=1) == "no_member"

    def testAnotherClassIsClosed(self, daemon: Daemon) -> None:
        elsewhere = room.userOf(OTHER)
        for secret in (TEACHER, PUPIL):
            client = Topics(daemon, secret)
            assert client.ask("publish", topic=f"{elsewhere}/lesson", data=1) == "forbidden"
            assert client.ask("subscribe", topic=f"{elsewhere}/#") == "forbidden"
            assert client.ask("subscribe", topic="#") == "forbidden"

    def testNobodyIsLetInWithoutAToken(self, daemon: Daemon) -> None:
        client = daemon.open("/topics/", subprotocols=["topics.wsd.v1"])
        client.say(json.dumps({"publish": {"id": 1, "topic": f"{CLASS}/lesson", "data": 1}}))
        assert json.loads(client.messages()[-1])["error"]["code"] == "unauthorized"
        assert statusOf(daemon.open("/topics/", subprotocols=["topics.wsd.v1", "bearer.x"])) == 401


class TestBoard:
    @pytest.fixture
    def daemon(self) -> Daemon:
        return Daemon({"/board/*": board.BoardFactory})

    def open(self, daemon: Daemon, token: str, role: str = "painter", name: str = CLASS) -> Client:
        return daemon.open(f"/board/{name}?role={role}", subprotocols=["canvas", f"bearer.{token}"])

    def testTheTeacherPaintsAndAPupilWatches(self, daemon: Daemon) -> None:
        teacher, pupil = self.open(daemon, tokenOf()), self.open(daemon, tokenOf(PUPIL), "viewer")
        assert (statusOf(teacher), statusOf(pupil)) == (101, 101)
        teacher.say(BLACK)
        pupil.exchange()
        assert BLACK in pupil.messages()

    def testAPupilCannotPaint(self, daemon: Daemon) -> None:
        assert statusOf(self.open(daemon, tokenOf(PUPIL))) == 403
        pupil = self.open(daemon, tokenOf(PUPIL), "viewer")
        pupil.say(BLACK)
        assert pupil.closeCode == 1008

    def testThePenLetsAPupilPaintUntilItExpires(self, daemon: Daemon) -> None:
        pupil = self.open(daemon, tokenOf(pen=room.userOf(PUPIL)))
        assert statusOf(pupil) == 101
        daemon.reactor.advance(room.PEN - 5)
        pupil.say(BLACK)
        assert "viewers" in str(pupil.messages()[-1])
        daemon.reactor.advance(10)
        assert pupil.closeCode == 4001

    @pytest.mark.parametrize("name", ["0123456789abcdef", f"{CLASS}x", f"{CLASS}/x"])
    def testATokenIsForOneClass(self, daemon: Daemon, name: str) -> None:
        assert statusOf(self.open(daemon, tokenOf(), name=name)) == 403

    def testATokenOfAnotherKeyOrWithoutEndIsRefused(self, daemon: Daemon) -> None:
        claims = room.claimsOf(CLASS, CLASS)
        tokenOf()
        key = room._key()
        for token in (
            jwt.encode({**claims, "exp": time.time() + 60}, "x" * 64, algorithm="HS256"),
            jwt.encode(claims, key, algorithm="HS256"),
            jwt.encode({**claims, "exp": time.time() - 60}, key, algorithm="HS256"),
            jwt.encode({**claims, "exp": time.time() + 60}, "", algorithm="none"),
            "",
        ):
            assert statusOf(self.open(daemon, token)) == 403

    def testThereIsNoPictureOverHttp(self, daemon: Daemon) -> None:
        wire = daemon.connect()
        answer = wire.exchange(f"GET /board/{CLASS}.png HTTP/1.1\r\nHost: localhost:9998\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 426")


class TestAStoredBoard:
    """The picture of a board stays over a restart of the daemon."""

    def daemon(self) -> Daemon:
        return Daemon({"/board/*": board.BoardFactory})

    def open(self, daemon: Daemon, query: str = "") -> Client:
        return daemon.open(f"/board/{CLASS}{query}", subprotocols=["canvas", f"bearer.{tokenOf()}"])

    def pictures(self, daemon: Daemon, query: str = "?role=viewer") -> list[bytes]:
        client = self.open(daemon, query)
        client.exchange()
        return [each for each in client.messages() if isinstance(each, bytes)]

    def testComesBack(self) -> None:
        daemon = self.daemon()
        self.open(daemon).say(BLACK)
        daemon.reactor.advance(board.KEEP)
        assert self.pictures(self.daemon()) == [BLACK]

    def testIsStoredAtTheStop(self) -> None:
        daemon = self.daemon()
        self.open(daemon).say(BLACK)
        assert self.pictures(self.daemon()) == []
        daemon.factories["/board/*"].stopped()
        assert self.pictures(self.daemon()) == [BLACK]

    def testIsReplacedByWhatIsPaintedLater(self) -> None:
        daemon = self.daemon()
        teacher = self.open(daemon)
        white = b"\xff" * len(BLACK)
        for picture in (BLACK, white):
            teacher.say(picture)
            daemon.reactor.advance(board.KEEP)
        assert self.pictures(self.daemon()) == [white]

    def testIsNotReadWhileTheBoardIsThere(self) -> None:
        daemon = self.daemon()
        teacher = self.open(daemon)
        teacher.say(BLACK)
        daemon.reactor.advance(board.KEEP)
        teacher.say(b"\xff" * len(BLACK))
        assert self.pictures(daemon) == [b"\xff" * len(BLACK)]

    def testOfAnotherSizeIsLeftOut(self) -> None:
        daemon = self.daemon()
        self.open(daemon).say(BLACK)
        daemon.reactor.advance(board.KEEP)
        again = self.daemon()
        assert self.pictures(again, "?role=viewer&width=10&height=10") == []
        assert self.pictures(again) == [BLACK]

    def testThatCannotBeReadIsLeftOut(self, state: Path) -> None:
        file = board.boardFile(CLASS)
        board.write(file, BLACK)
        file.write_bytes(b"?")
        assert self.pictures(self.daemon()) == []

    def testTooManyAndTooOldOnesAreRemoved(self, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(board, "BOARDS", 2)
        for number in range(3):
            board.write(board.boardFile(f"{number}"), b"")
            os.utime(board.boardFile(f"{number}"), (time.time() - 10 + number,) * 2)
        board.write(board.boardFile("3"), b"")
        assert {each.name for each in (state / "uses-class-boards").iterdir()} == {"2", "3"}
        os.utime(board.boardFile("2"), (time.time() - board.DAY - 1,) * 2)
        board.write(board.boardFile("3"), b"")
        assert {each.name for each in (state / "uses-class-boards").iterdir()} == {"3"}

    def testFailsWithALineInTheLog(self, state: Path) -> None:
        daemon = self.daemon()
        teacher = self.open(daemon)
        (state / "uses-class-boards").write_text("a file where the folder would be")
        with capturedLogs() as logged:
            teacher.say(BLACK)
            daemon.reactor.advance(board.KEEP)
        assert [each["log_format"] for each in logged] == ["a whiteboard cannot be stored"]


class TestWithoutPyJwt:
    def testThePageIsToldWhatToInstall(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(room, "jwt", None)
        status, _, body = ask()
        assert (status, "pip install" in body) == (501, True)
        client = Daemon({"/board/*": board.BoardFactory}).open(f"/board/{CLASS}", subprotocols=["canvas", "bearer.x"])
        assert statusOf(client) == 501

    def testTheDaemonStarts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("wsd.auth.tokens.jwt", None)
        with pytest.raises(Refused, match="pip install"):
            room.ClassTopicsOptions().verifier().verify("a.b.c")
