"""
The server of a game: up to 16 players chase one crown, and whoever wears it scores.

The server decides everything. A client sends numbered steps, one for each tick, and each says only which way it wants
to go. At every tick the server makes the steps that have arrived, at most as many as ticks have passed, and tells
everyone where everyone is and which step of each player was the last. So a client can show its own steps at once, and
correct itself when the server's answer differs. Messages are JSON texts:

    page    {"join": {"name", "key"}}   {"step": [number, x, y, dash]}   {"ping": [time, the ping before in ms]}
    server  {"welcome": {"id", ...RULES}}   {"people": [[id, name, score in s, ping], ...]}   {"pong": time}
            {"tick", "left", "crown": id or [x, y], "players": [[id, x, y, rest, number], ...]} at each tick
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from math import cos, hypot, isfinite, pi, sin
from types import MappingProxyType
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from wsd.connection import CloseCode, Closed, Connection, Factory

TICK = 1 / 30
"""Seconds."""
ROUND, PAUSE = 120 * 30, 8 * 30
"""Ticks of a round, and of the pause in which its winner is shown."""
PLAYERS = 16
WIDTH, HEIGHT, RADIUS = 960, 600, 18
"""The field, and a player, in the field's own unit."""
PILLARS = ((230, 150, 46), (730, 150, 46), (230, 450, 46), (730, 450, 46), (480, 300, 64))
"""The x, y and radius of what nobody can walk through."""
SPEED, CROWNED, DASH = 8.0, 7.0, 20.0
"""Units a step: usually, with the crown, and in a dash."""
DASHING, REST = 6, 75
"""Steps that a dash takes, and from its begin to the next."""
SAFE = 30
"""Ticks for which nobody can take the crown again."""
RATE, BURST, WAITING = 1.05, 6, 12
"""Steps that a player may make at each tick, a little more than one so that what waits after a delay is made up for; at
most at one tick; and that may wait. More are dropped."""
ROBOT = 0.8
"""The pace of the robot, of a person's."""
RULES = {"tick": TICK, "width": WIDTH, "height": HEIGHT, "radius": RADIUS, "pillars": PILLARS, "speed": SPEED}
RULES |= {"crowned": CROWNED, "dash": DASH, "dashing": DASHING, "rest": REST}


@dataclass(eq=False)
class Player:
    """One player, and the steps that it has still to make."""

    id: int
    name: str
    x: float = 0.0
    y: float = 0.0
    rest: int = 0
    score: int = 0
    ping: int | None = None
    """Milliseconds, as the page measured it."""
    last: int = 0
    """The number of the last step that was made."""
    credit: float = 0.0
    """Steps that it may make now."""
    steps: deque[tuple[int, float, float, bool]] = field(default_factory=deque)

    def move(self, x: float, y: float, dash: bool, wears: bool) -> None:
        """Make one step. The page makes the same one, with the same numbers."""
        if self.rest:
            self.rest -= 1
        elif dash and not wears:
            self.rest = REST
        pace = DASH if self.rest > REST - DASHING else CROWNED if wears else SPEED
        pace /= max(1.0, hypot(x, y))
        self.x += x * pace
        self.y += y * pace
        for left, top, radius in PILLARS:
            away, reach = hypot(self.x - left, self.y - top), radius + RADIUS
            if 0 < away < reach:
                self.x = left + (self.x - left) / away * reach
                self.y = top + (self.y - top) / away * reach
        self.x = min(max(self.x, RADIUS), WIDTH - RADIUS)
        self.y = min(max(self.y, RADIUS), HEIGHT - RADIUS)


class Play(Connection):
    """One person. Without a place in the game, it watches until one is free."""

    factory: PlayFactory
    player: Player | None = None
    name = ""
    key = ""
    """What the page keeps, to have its score back after a lost connection."""

    async def received(self, payload: bytes, isBinary: bool) -> None:
        """Read one message."""
        try:
            [(kind, value)] = json.loads(payload).items()
            if kind == "join" and not self.name:
                self.name, self.key = str(value["name"])[:20].strip() or "?", str(value["key"])[:40]
                self.factory.join(self)
            elif kind == "step":
                self.step(*value)
            elif kind == "ping":
                sent, took = value
                self.send(json.dumps({"pong": float(sent)}))
                if self.player is not None and took is not None:
                    self.player.ping = min(max(int(took), 0), 9999)
            else:
                raise ValueError
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError):
            raise Closed(CloseCode.INVALID_DATA, "expected one join, a step, or a ping, in JSON") from None

    def step(self, number: int, x: float, y: float, dash: bool) -> None:
        """Take a step, which is made at the next tick. Raises ValueError if it is none."""
        if type(number) is not int or not 0 < number < 2**53 or not isfinite(x + y):
            raise ValueError
        if self.player is not None and len(self.player.steps) < WAITING:
            self.player.steps.append((number, float(x), float(y), dash is True))

    async def closed(self, code: int | None, reason: str) -> None:
        """Leave the game."""
        self.factory.leave(self)


class PlayFactory(Factory):
    """The game, which runs while anybody is there."""

    connection = Play
    about = MappingProxyType({"en": "The game at /uses/game.", "zh": "/uses/game 页面的游戏。"})
    tick = 0
    left = ROUND
    """Ticks until the round ends; below 0 in the pause."""
    crown: Player | tuple[float, float] = (WIDTH / 2, 90.0)
    """Who wears it, or where it lies."""
    safe = 0
    robot: Player | None = None
    """Plays with somebody who is alone."""
    running: Deferred[None] | None = None

    def started(self) -> None:
        """Begin without anybody."""
        self.people: list[Play] = []
        self.players: list[Player] = []
        self.ids = count(1)
        self.scores: dict[str, int] = {}
        """The scores of this round of those who have left, by their key."""

    def stopped(self) -> None:
        """Stop the clock of the game."""
        if self.running is not None:
            self.running.cancel()

    def join(self, person: Play) -> None:
        """Somebody has come: late comers have the place and the score that they left with, or none."""
        self.people.append(person)
        self.seat()
        if person.player is None:
            person.send(json.dumps({"welcome": {"id": None, **RULES}}))
        if self.running is None:
            self.running = Deferred.fromCoroutine(self.run())
            self.running.addErrback(lambda failure: failure.check(CancelledError) or self.log.failure("", failure))

    def leave(self, person: Play) -> None:
        """Somebody has gone: the crown lies where it was, and who waits takes the place."""
        if person in self.people:
            self.people.remove(person)
            if person.player is not None:
                if person.player.score:
                    self.scores[person.key] = person.player.score
                self.remove(person.player)
            self.seat()

    def seat(self) -> None:
        """Give free places to those who wait, and a robot to whoever is alone."""
        if self.robot is not None and len(self.people) != 1:
            self.remove(self.robot)
            self.robot = None
        for person in self.people:
            if person.player is None and len(self.players) < PLAYERS:
                person.player = self.enter(person.name, self.scores.pop(person.key, 0))
                person.send(json.dumps({"welcome": {"id": person.player.id, **RULES}}))
        if self.robot is None and len(self.people) == 1:
            self.robot = self.enter("", 0)
        self.tell()

    def enter(self, name: str, score: int) -> Player:
        """A new player, at a place of its own on the edge."""
        number = next(self.ids)
        player = Player(number, name, *placeOf(number), score=score)
        self.players.append(player)
        return player

    def remove(self, player: Player) -> None:
        """A player leaves the field, without the crown."""
        self.players.remove(player)
        if self.crown is player:
            self.crown = (player.x, player.y)

    async def run(self) -> None:
        """Tick while anybody is there. After a delay, ticks are not made up for."""
        due = self.clock.seconds()
        try:
            while self.people:
                now = self.clock.seconds()
                due = max(due + TICK, now)
                await deferLater(self.clock, due - now, self.advance)
        finally:
            self.running = None

    def advance(self) -> None:
        """One tick."""
        self.tick += 1
        self.left -= 1
        self.safe = max(0, self.safe - 1)
        if self.left <= -PAUSE:
            self.begin()
        if self.robot is not None:
            self.robot.steps.append((self.tick, *self.think(self.robot), False))
        # lesson: server
        for player in self.players:
            player.credit = min(player.credit + RATE, BURST)
            while player.steps and player.credit >= 1:
                player.last, x, y, dash = player.steps.popleft()
                player.credit -= 1
                player.move(x, y, dash, wears=self.crown is player)
        # end of lesson
        self.contest()
        if self.tick % 30 == 0:
            self.tell()
        crown = self.crown.id if isinstance(self.crown, Player) else self.crown
        rows = [[each.id, round(each.x, 2), round(each.y, 2), each.rest, each.last] for each in self.players]
        self.cast({"tick": self.tick, "left": round(self.left * TICK, 1), "crown": crown, "players": rows})

    # lesson: cast
    def cast(self, message: dict[str, Any]) -> None:
        """Send to everyone who has read what came before."""
        prepared = self.prepare(json.dumps(message))
        for person in self.people:
            if not person.isFull:
                person.send(prepared)

    # end of lesson

    def contest(self) -> None:
        """Who touches the crown takes it, and who wears it scores."""
        x, y = (self.crown.x, self.crown.y) if isinstance(self.crown, Player) else self.crown
        others = [each for each in self.players if each is not self.crown]
        nearest = min(others, key=lambda each: hypot(each.x - x, each.y - y), default=None)
        if nearest is not None and not self.safe and hypot(nearest.x - x, nearest.y - y) < 2 * RADIUS + 2:
            self.crown, self.safe = nearest, SAFE
            self.tell()
        if isinstance(self.crown, Player) and self.left > 0:
            self.crown.score += 1

    def begin(self) -> None:
        """A new round."""
        self.left, self.crown, self.safe = ROUND, PlayFactory.crown, 0
        self.scores.clear()
        for player in self.players:
            player.score = 0

    def think(self, robot: Player) -> tuple[float, float]:
        """Where the robot goes: to the crown, or with it around the field."""
        if self.crown is robot:
            x, y = placeOf(self.tick // 60 % 16 * 7)
        else:
            x, y = (self.crown.x, self.crown.y) if isinstance(self.crown, Player) else self.crown
        away = hypot(x - robot.x, y - robot.y) or 1.0
        return (x - robot.x) / away * ROBOT, (y - robot.y) / away * ROBOT

    def tell(self) -> None:
        """Tell everyone the names, scores and pings."""
        self.cast({"people": [[each.id, each.name, round(each.score * TICK, 1), each.ping] for each in self.players]})


def placeOf(number: int) -> tuple[float, float]:
    """One of 16 places around the field."""
    angle = number * 0.618 * 2 * pi
    return WIDTH / 2 + cos(angle) * WIDTH * 0.46, HEIGHT / 2 + sin(angle) * HEIGHT * 0.46
