"""The servers for calls beyond one network: the keys stun and turn of the route, as browsers get them."""

from __future__ import annotations

import json
from base64 import b64decode
from hashlib import sha1
from hmac import digest
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock

from tests.protocols.topics.routes import Answer, request
from tests.wire import Wire
from wsd.config import Config, ConfigError, parse
from wsd.protocols import optionsOf
from wsd.service import Daemon
from wsd.tap.check import checkConfig
from wsd.uses.call.ice import VALID, iceServers

SECRET = "as coturn has it"


def read(folder: Path, keys: str) -> Config:
    head = 'port = 0\nhost = "127.0.0.1"\nbuilt_in = false\n[route."/uses/*"]\nprotocol = "uses"\n'
    return parse(f"{head}{keys}", optionsOf, folder=str(folder))


def asked(daemon: Any) -> Any:
    return Answer(Wire(daemon).exchange(request("GET /uses/call/ice.json"))).json["iceServers"]


class TestIceServers:
    def testAreNoneWithoutKeys(self) -> None:
        assert iceServers((), (), None, 0) == []

    def testOfStunNeedNoCredentials(self) -> None:
        assert iceServers(("stun:a", "stun:b"), (), None, 0) == [{"urls": ["stun:a", "stun:b"]}]

    def testOfTurnHaveCredentialsThatExpire(self) -> None:
        """As coturn checks them: its option use-auth-secret."""
        (server,) = iceServers((), ("turn:a",), SECRET, 1_700_000_000.5)
        assert server["urls"] == ["turn:a"]
        assert server["username"] == str(1_700_000_000 + VALID)
        expected = digest(SECRET.encode(), str(server["username"]).encode(), sha1)
        assert b64decode(str(server["credential"])) == expected


class TestKeys:
    @pytest.mark.parametrize(
        ("keys", "sentence"),
        [
            ('stun = "example.com"', '"example.com" is not a STUN server; write "stun:stun.example.com:3478"'),
            (
                'turn = "stun:example.com"',
                '"stun:example.com" is not a TURN server; write "turn:turn.example.com:3478"',
            ),
            ('turn = "turn:example.com"', "turn_secret: is missing; name the file with the secret of the TURN servers"),
        ],
    )
    def testThatAreWrongAreRefused(self, keys: str, sentence: str, tmp_path: Path) -> None:
        with pytest.raises(ConfigError) as error:
            read(tmp_path, keys)
        assert sentence.removeprefix("turn_secret: ") in str(error.value)

    @pytest.mark.parametrize(("content", "sentence"), [(None, "cannot be read"), (" \n", "is empty")])
    def testNameASecretThatCanBeRead(self, content: str | None, sentence: str, tmp_path: Path) -> None:
        if content is not None:
            (tmp_path / "secret").write_text(content)
        config = read(tmp_path, 'turn = "turn:example.com"\nturn_secret = "secret"')
        (fault,) = checkConfig(config, None)
        assert sentence in fault


class TestReload:
    def testChangesWhatBrowsersGet(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text(f"{SECRET}\n")
        keys = ""
        daemon: Any = Daemon(
            read(tmp_path, keys), MemoryReactorClock(), lambda: read(tmp_path, keys), {"STATE_DIRECTORY": str(tmp_path)}
        )
        daemon.startService()
        daemon.reactor.run()
        assert asked(daemon) == []
        keys = 'stun = "stun:a"\nturn = ["turn:b", "turns:c"]\nturn_secret = "secret"'
        daemon.reload()
        daemon.reactor.advance(0)
        stun, turn = asked(daemon)
        assert stun == {"urls": ["stun:a"]}
        assert turn["urls"] == ["turn:b", "turns:c"]
        assert json.dumps(turn).count(SECRET) == 0
        assert b64decode(turn["credential"]) == digest(SECRET.encode(), turn["username"].encode(), sha1)
