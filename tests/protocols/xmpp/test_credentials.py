"""Credentials: which keys are stored, which are refused, and the decoy of a user who does not exist."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path

import pytest

from tests.protocols.xmpp.talk import keysOf
from wsd.protocols.xmpp import credentials
from wsd.protocols.xmpp.credentials import FOR_PLAIN, SCRAM, ScramKeys, check, decoy, readKeys
from wsd.protocols.xmpp.sqlite import SqliteStore

SIZES = {"SCRAM-SHA-512": 64, "SCRAM-SHA-256": 32, "SCRAM-SHA-1": 20}


def stored(**changes: object) -> str:
    """Stored keys for one mechanism."""
    values = {"salt": "AAAA", "storedKey": "AAAA", "serverKey": "AAAA", "iterations": 4096, **changes}
    return json.dumps({FOR_PLAIN: list(values.values())})


class TestDerivedKeys:
    @pytest.mark.parametrize("mechanism", SCRAM)
    def test_have_ten_thousand_iterations_and_the_sizes_of_their_hash(self, mechanism: str) -> None:
        keys = readKeys(keysOf("secret"), mechanism)
        assert keys.iterations == 10_000
        assert (len(keys.salt), len(keys.storedKey), len(keys.serverKey)) == (16, *2 * [SIZES[mechanism]])

    def test_have_another_salt_for_each_mechanism_and_each_time(self) -> None:
        kept = [keysOf("secret"), credentials.derive("secret")]
        assert len({readKeys(each, mechanism).salt for each in kept for mechanism in SCRAM}) == 6

    @pytest.mark.parametrize("password", ["a\0b", "\ud800"])
    def test_are_refused_for_what_cannot_be_a_password(self, password: str) -> None:
        with pytest.raises(ValueError, match="this is not a valid password"):
            credentials.derive(password)


class TestStoredKeys:
    @pytest.mark.parametrize("iterations", [1, 1_000_000])
    def test_are_read_up_to_the_limit_of_iterations(self, iterations: int) -> None:
        assert readKeys(stored(iterations=iterations), FOR_PLAIN) == ScramKeys(bytes(3), bytes(3), bytes(3), iterations)

    @pytest.mark.parametrize("iterations", [0, -1, 1_000_001, True, 4096.0, "4096", None])
    def test_are_refused_with_another_number_of_iterations(self, iterations: object) -> None:
        with pytest.raises(ValueError, match="is not a number of iterations"):
            readKeys(stored(iterations=iterations), FOR_PLAIN)

    @pytest.mark.parametrize("kept", ["{}", "[]", "7", "null", "{", "[" * 100_000, stored(salt=7), stored(more=1)])
    def test_are_refused_if_they_are_no_keys(self, kept: str) -> None:
        with pytest.raises(ValueError, match=r".+"):
            readKeys(kept, FOR_PLAIN)


class TestAPassword:
    def test_is_checked_with_the_stored_key(self) -> None:
        assert check("secret", keysOf("secret"))
        assert not check("wrong", keysOf("secret"))

    def test_does_not_fit_a_user_who_does_not_exist(self) -> None:
        assert not check("secret", None)

    @pytest.mark.parametrize("kept", [None, keysOf("secret")], ids=["nobody", "somebody"])
    @pytest.mark.parametrize("password", ["a\0b", "\ud800", ""])
    def test_that_cannot_be_one_does_not_fit(self, password: str, kept: str | None) -> None:
        assert not check(password, kept)

    def test_takes_as_many_iterations_for_a_user_who_does_not_exist(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[int] = []
        make = credentials.mechanism

        class Counting:
            def make_auth_info(self, password: str, iteration_count: int, salt: bytes) -> object:
                asked.append(iteration_count)
                return make(FOR_PLAIN).make_auth_info(password, iteration_count=iteration_count, salt=salt)

        monkeypatch.setattr(credentials, "mechanism", lambda name: Counting())
        check("secret", None)
        check("secret", keysOf("secret"))
        assert asked == [10_000, 10_000]


class TestDecoyKeys:
    @pytest.mark.parametrize("mechanism", SCRAM)
    def test_look_like_those_of_a_user(self, mechanism: str) -> None:
        keys, real = decoy(b"secret", "nobody@localhost", mechanism), readKeys(keysOf("secret"), mechanism)
        assert keys.iterations == real.iterations
        assert [*map(len, (keys.salt, keys.storedKey, keys.serverKey))] == [
            *map(len, (real.salt, real.storedKey, real.serverKey))
        ]

    def test_have_the_same_salt_each_time_and_another_for_each_user_mechanism_and_secret(self) -> None:
        def salt(secret: bytes, user: str, mechanism: str) -> bytes:
            return decoy(secret, user, mechanism).salt

        salts = [salt(secret, user, mechanism) for secret in (b"a", b"b") for user in "xy" for mechanism in SCRAM]
        assert len(set(salts)) == len(salts)
        assert salt(b"a", "x", SCRAM[0]) == salts[0]

    def test_cannot_be_computed_by_anybody(self) -> None:
        keys = [decoy(b"secret", "nobody", FOR_PLAIN) for _ in range(2)]
        assert len({key for each in keys for key in (each.storedKey, each.serverKey)}) == 4

    def test_fit_no_password(self) -> None:
        keys = decoy(b"secret", "nobody", FOR_PLAIN)
        encoded = (b64encode(part).decode() for part in (keys.salt, keys.storedKey, keys.serverKey))
        assert not check("", json.dumps({FOR_PLAIN: [*encoded, keys.iterations]}))


class TestTheSecret:
    def test_is_made_once_and_kept(self, tmp_path: Path) -> None:
        store = SqliteStore(tmp_path / "xmpp.sqlite")
        with store.transaction():
            secret = credentials.secretOf(store)
        store.close()
        store = SqliteStore(tmp_path / "xmpp.sqlite")
        with store.transaction():
            assert credentials.secretOf(store) == secret
        assert len(bytes.fromhex(secret)) == 32
        store.close()


class TestUsers:
    @pytest.fixture
    def store(self, tmp_path: Path) -> SqliteStore:
        return SqliteStore(tmp_path / "xmpp.sqlite")

    def test_are_added_once(self, store: SqliteStore) -> None:
        assert not credentials.has(store, "alice@localhost")
        assert credentials.add(store, "alice@localhost", "one")
        assert not credentials.add(store, "alice@localhost", "two")
        assert credentials.has(store, "alice@localhost")
        assert store.get("user", "alice@localhost", "keys") == "one"

    def test_are_changed_if_they_exist(self, store: SqliteStore) -> None:
        assert not credentials.change(store, "alice@localhost", "one")
        assert not credentials.has(store, "alice@localhost")
        credentials.add(store, "alice@localhost", "one")
        assert credentials.change(store, "alice@localhost", "two")
        assert store.get("user", "alice@localhost", "keys") == "two"
