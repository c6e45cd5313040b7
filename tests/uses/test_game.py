"""The game's server: it makes the steps that players ask for, and no move that is impossible."""

from __future__ import annotations

import json
from math import hypot
from typing import Any

import pytest

from tests.wire import Client, Daemon
from wsd.uses.game.play import BURST, PAUSE, PILLARS, PLAYERS, RADIUS, ROUND, SPEED, TICK, WIDTH, Player, PlayFactory


class Game:
    """The game's route in memory, and people who play."""

    def __init__(self) -> None:
        self.daemon = Daemon({"/play": PlayFactory})
        self.factory: PlayFactory = self.daemon.factories["/play"]
        self.factory.started()
        self.people: list[Person] = []

    def join(self, name: str = "Ann", key: str = "") -> Person:
        person = Person(self, name, key or f"key of {name}")
        self.people.append(person)
        return person

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            self.daemon.reactor.advance(TICK * 1.0001)
        for person in self.people:
            person.read()

    def player(self, person: Person) -> Player:
        [player] = [each for each in self.factory.players if each.id == person.id]
        return player


class Person:
    """Somebody at a page."""

    def __init__(self, game: Game, name: str, key: str) -> None:
        self.client: Client = game.daemon.open("/play")
        self.heard: list[dict[str, Any]] = []
        self.said = 0
        self.say("join", {"name": name, "key": key})

    def say(self, kind: str, value: object) -> None:
        self.heard += [json.loads(each) for each in self.client.messages(self.client.say(json.dumps({kind: value})))]

    def read(self) -> None:
        self.heard += [json.loads(each) for each in self.client.messages(self.client.exchange())]

    def step(self, x: float, y: float, dash: bool = False) -> None:
        self.said += 1
        self.say("step", [self.said, x, y, dash])

    def last(self, kind: str) -> Any:
        return [each[kind] for each in self.heard if kind in each][-1]

    @property
    def id(self) -> int:
        found: int = self.last("welcome")["id"]
        return found

    @property
    def row(self) -> list[Any]:
        """Its row of the last tick: id, x, y, rest, step."""
        state = [each for each in self.heard if "players" in each][-1]
        return next(list(each) for each in state["players"] if each[0] == self.id)


@pytest.fixture
def game() -> Game:
    return Game()


def test_a_step_moves_by_the_speed_and_is_acknowledged(game: Game) -> None:
    ann = game.join()
    game.tick()
    _, x, y, _, _ = ann.row
    way = -1 if x > WIDTH / 2 else 1
    ann.step(way, 0)
    game.tick()
    assert ann.row[1:3] == [pytest.approx(x + way * SPEED, abs=0.02), pytest.approx(y, abs=0.02)]
    assert ann.row[4] == 1


def test_everyone_is_told_where_everyone_is(game: Game) -> None:
    ann, ben = game.join("Ann"), game.join("Ben")
    game.tick()
    assert {row[0] for row in [each for each in ann.heard if "players" in each][-1]["players"]} == {ann.id, ben.id}
    assert {row[1] for row in ben.last("people")} == {"Ann", "Ben"}


@pytest.mark.parametrize("length", [1.5, 1e6, 1e308])
def test_a_step_longer_than_one_is_made_as_one(game: Game, length: float) -> None:
    ann = game.join()
    game.tick()
    _, x, y, _, _ = ann.row
    ann.step(-length if x > WIDTH / 2 else length, length)
    game.tick()
    assert hypot(ann.row[1] - x, ann.row[2] - y) <= SPEED + 0.1
    assert ann.row[4] == 1


def test_steps_faster_than_time_wait_and_of_more_the_newest_are_made(game: Game) -> None:
    ann = game.join()
    game.tick(20)
    x = ann.row[1]
    way = -1 if x > WIDTH / 2 else 1
    for _ in range(100):
        ann.step(way, 0)
    game.tick()
    assert abs(ann.row[1] - x) <= SPEED * BURST + 0.1
    game.tick(100)
    assert abs(ann.row[1] - x) <= SPEED * 12 + 0.1
    assert ann.row[4] == 100, "so the page replays none of those that were dropped"


def test_nobody_leaves_the_field_or_walks_through_a_pillar(game: Game) -> None:
    ann = game.join()
    for way in ((1, 0.2), (-0.3, 1), (-1, -0.5), (0.4, -1)):
        for _ in range(150):
            ann.step(*way)
            game.tick()
            _, x, y, _, _ = ann.row
            assert RADIUS <= x <= 960 - RADIUS
            assert RADIUS <= y <= 600 - RADIUS
            assert all(hypot(x - left, y - top) >= radius + RADIUS - 0.1 for left, top, radius in PILLARS)


@pytest.mark.parametrize(
    "message",
    [
        '{"step": [1, NaN, 0, false]}',
        '{"step": [1, 1e999, 0, false]}',
        f'{{"step": [1, 1{"0" * 400}, 0, false]}}',
        f'{{"step": [1{"0" * 400}, 1, 0, false]}}',
        '{"step": [1, 1, 0, 1]}',
        '{"step": [1, "0", 0, false]}',
        '{"step": [1.5, 0, 0, false]}',
        '{"step": [1, 0]}',
        '{"place": [3, 3]}',
        '{"join": {"name": "again", "key": ""}}',
        '{"ping": ["a", 1]}',
        "[]",
        "3",
        "{",
    ],
)
def test_what_is_no_step_ends_the_connection_and_the_game_goes_on(game: Game, message: str) -> None:
    ann, ben = game.join("Ann"), game.join("Ben")
    ann.client.say(message)
    assert ann.client.closeCode == 1007
    game.people.remove(ann)
    game.tick()
    assert [row[1] for row in ben.last("people")] == ["Ben", ""]


def test_a_dash_is_fast_short_and_needs_rest(game: Game) -> None:
    ann = game.join()
    game.join("Ben")
    player = game.player(ann)
    player.x, player.y = 100.0, 40.0
    moved = []
    for _ in range(90):
        before = player.x
        ann.step(0.2, 0, dash=True)
        game.tick()
        moved.append(player.x > before + 2)
    assert moved[:6] == [True] * 6
    assert not any(moved[6:74])
    assert any(moved[74:])


def test_who_touches_the_crown_wears_it_and_scores(game: Game) -> None:
    ann, ben = game.join("Ann"), game.join("Ben")
    for each, x in ((ann, 300.0), (ben, 340.0)):
        player = game.player(each)
        player.x, player.y = x, 90.0
    game.factory.crown = (280.0, 90.0)
    game.tick(10)
    assert ann.last("crown") == ann.id, "nobody takes it back at once"
    player = game.player(ben)
    player.x = 500.0
    game.tick(30)
    assert game.player(ann).score == 40
    assert ann.last("people")[0][2] == pytest.approx(40 * TICK, abs=1)
    player.x = 320.0
    game.tick()
    assert ann.last("crown") == ben.id


def test_a_leaver_drops_the_crown_and_has_the_score_back_on_return(game: Game) -> None:
    ann, ben = game.join("Ann", "secret"), game.join("Ben")
    game.player(ann).x, game.player(ann).y = 480.0, 90.0
    game.tick(30)
    score = game.player(ann).score
    assert score
    ann.client.close()
    game.people.remove(ann)
    game.tick()
    assert ben.last("crown") == [480.0, 90.0]
    again = game.join("Ann", "secret")
    assert again.id != ann.id
    assert game.player(again).score == score
    assert game.player(game.join("Eve", "another")).score == 0


def test_the_seventeenth_watches_until_there_is_a_place(game: Game) -> None:
    people = [game.join(f"P{number}") for number in range(PLAYERS)]
    late = game.join("Late")
    game.tick()
    assert late.id not in [row[0] for row in late.last("people")]
    late.step(1, 0)
    game.tick()
    assert len([each for each in late.heard if "players" in each][-1]["players"]) == PLAYERS
    people[3].client.close()
    game.people.remove(people[3])
    game.tick()
    assert late.id in [row[0] for row in late.last("people")]
    late.step(1, 0)
    game.tick(2)
    assert late.row[4] == 2


def test_whoever_is_alone_plays_with_a_robot_which_gets_the_crown(game: Game) -> None:
    ann = game.join()
    assert [row[1] for row in ann.last("people")] == ["Ann", ""]
    game.tick(300)
    assert ann.last("crown") == ann.last("people")[1][0]
    game.join("Ben")
    game.tick()
    assert [row[1] for row in ann.last("people")] == ["Ann", "Ben"]


def test_a_round_ends_and_another_begins_without_scores(game: Game) -> None:
    ann = game.join()
    ben = game.join("Ben")
    game.player(ann).x, game.player(ann).y = 480.0, 90.0
    game.tick(3)
    game.factory.left = 1
    game.tick(3)
    ended = game.player(ann).score
    game.tick(10)
    assert game.player(ann).score == ended > 0
    assert ben.last("left") < 0
    game.factory.left = 1 - PAUSE
    game.tick()
    assert game.player(ann).score <= 1
    assert ben.last("left") == pytest.approx(ROUND * TICK, abs=1)


def test_a_ping_is_answered_and_what_the_page_measured_is_shown(game: Game) -> None:
    ann = game.join()
    ann.say("ping", [12.5, None])
    assert ann.last("pong") == 12.5
    ann.say("ping", [13.5, 42])
    game.tick(31)
    assert ann.last("people")[0][3] == 42


def test_without_players_nothing_ticks(game: Game) -> None:
    ann = game.join()
    game.tick(2)
    ann.client.close()
    game.people.clear()
    game.tick(3)
    before = game.factory.tick
    game.daemon.reactor.advance(10)
    assert game.factory.tick == before
    game.factory.left = 1
    game.join()
    game.tick(2)
    assert game.factory.tick > before
    assert game.factory.left == ROUND - 2, "whoever is the first begins a round"


def test_the_stop_of_the_daemon_stops_the_clock(game: Game) -> None:
    game.join()
    game.tick()
    game.factory.stopped()
    before = game.factory.tick
    game.daemon.reactor.advance(1)
    assert game.factory.tick == before
