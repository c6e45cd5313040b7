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
from math import cos, dist, hypot, isfinite, pi, sin
from types import MappingProxyType
from typing import Any

from twisted.internet.task import LoopingCall

from wsd.connection import CloseCode, Closed, Connection, Factory

TICK = 1 / 30
"""Seconds."""
ROUND, PAUSE = 120 * 30, 8 * 30
"""Ticks of a round, and of the pause in which its winner is shown."""
PLAYERS = 16
WIDTH, HEIGHT, RADIUS = 960, 600, 18
"""The field, and a player, in the field's own unit."""
PILLARS = ((230, 150, 46), (730, 150, 46), (230, 450, 46), (730, 450, 46), (480, 300, 64))
"""The x, y and radius of obstacles."""
SPEED, CROWNED, DASH = 8.0, 7.0, 20.0
"""Units a step: usually, with the crown, and in a dash."""
DASHING, REST = 6, 75
"""Steps that a dash takes, and those from its beginning to the next dash."""
REACH, SAFE = 2 * RADIUS + 2, 30
"""How near a player has to be to take the crown; the ticks for which nobody can then take it again."""
RATE, BURST, WAITING = 1.05, 6, 12
"""The steps of a player: how many a tick on average, a little more than one so that it can catch up after a delay; how
many in one tick; and how many may wait. If more wait, the oldest are dropped."""
ROBOT = 0.8
"""The pace of the robot, as a share of a player's."""
RULES = {"tick": TICK, "width": WIDTH, "height": HEIGHT, "radius": RADIUS, "pillars": PILLARS, "speed": SPEED}
RULES |= {"crowned": CROWNED, "dash": DASH, "dashing": DASHING, "rest": REST}


@dataclass(eq=False)
class Player:
    """One player, and the steps that it has still to make."""

    id: int
    name: str
    key: str
    """A secret of the page, by which it gets its score back after a lost connection."""
    x: float
    y: float
    score: int = 0
    rest: int = 0
    ping: int | None = None
    """Milliseconds, as the page measured it."""
    last: int = 0
    """The number of the last step that was made."""
    credit: float = 0.0
    """Steps that it may make now."""
    steps: deque[tuple[int, float, float, bool]] = field(default_factory=lambda: deque(maxlen=WAITING))
    """Each is the number of a step, its direction, and whether to dash."""

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
    """One person, who plays or waits for a place."""

    factory: PlayFactory

    async def received(self, payload: bytes, isBinary: bool) -> None:
        """Read one message."""
        player = self.factory.people.get(self)
        try:
            match json.loads(payload):
                case {"join": {"name": str(name), "key": str(key)}} if player is None:
                    self.factory.join(self, name[:20].strip() or "?", key[:40])
                case {"step": [int(number), x, y, bool(dash)]} if player and all(map(isfinite, (number, x, y))):
                    player.steps.append((number, x, y, dash))
                case {"ping": [int() | float() as sent, int() | None as took]} if player:
                    self.send(json.dumps({"pong": sent}))
                    player.ping = took and min(max(took, 0), 9999)
                case _:
                    raise ValueError
        except (ValueError, TypeError, OverflowError):
            raise Closed(CloseCode.INVALID_DATA, "expected one join, a step, or a ping, in JSON") from None

    async def closed(self, code: int | None, reason: str) -> None:
        """Leave the game."""
        self.factory.leave(self)


class PlayFactory(Factory):
    """The game, which runs while anybody is there."""

    connection = Play
    about = MappingProxyType({"en": "The game at /uses/game.", "zh": "/uses/game 页面的游戏。"})
    tick = 0
    wearer: Player | None = None
    safe = 0
    """The tick from which on somebody else can take the crown."""

    def started(self) -> None:
        """Begin without players."""
        self.people: dict[Play, Player] = {}
        """In the order in which they came."""
        self.ids = count(1)
        self.ticking = LoopingCall(self.advance)
        self.ticking.clock = self.clock

    def stopped(self) -> None:
        """Stop the clock of the game."""
        if self.ticking.running:
            self.ticking.stop()

    @property
    def players(self) -> list[Player]:
        """The first who have come. Whoever is alone plays with the robot."""
        players = list(self.people.values())[:PLAYERS]
        return [*players, self.robot] if len(players) == 1 else players

    def join(self, person: Play, name: str, key: str) -> None:
        """Somebody has come, or has come back and gets the score of this round again."""
        if not self.ticking.running:
            self.begin()
            self.ticking.start(TICK, now=False).addErrback(lambda failure: self.log.failure("the game failed", failure))
        number = next(self.ids)
        self.people[person] = Player(number, name, key, *placeOf(number), score=self.scores.pop(key, 0))
        person.send(json.dumps({"welcome": {"id": number, **RULES}}))
        self.tell()

    def leave(self, person: Play) -> None:
        """Somebody has gone. The next who waits gets the place."""
        if (player := self.people.pop(person, None)) is not None:
            self.scores[player.key] = player.score
        if not self.people:
            self.stopped()
        self.tell()

    def advance(self) -> None:
        """One tick."""
        self.tick += 1
        self.left -= 1
        if self.left <= -PAUSE:
            self.begin()
        players = self.players
        if self.robot in players:
            self.guide(self.robot)
        # lesson: server
        for player in players:
            player.credit = min(player.credit + RATE, BURST)
            while player.steps and player.credit >= 1:
                player.last, x, y, dash = player.steps.popleft()
                player.credit -= 1
                player.move(x, y, dash, wears=self.wearer is player)
        # end of lesson
        self.contest(players)
        if self.tick % 30 == 0:
            self.tell()
        crown = self.crown if self.wearer is None else self.wearer.id
        rows = [[each.id, round(each.x, 2), round(each.y, 2), each.rest, each.last] for each in players]
        self.cast({"tick": self.tick, "left": round(self.left * TICK, 1), "crown": crown, "players": rows})

    # lesson: cast
    def cast(self, message: dict[str, Any]) -> None:
        """Send to everyone who has read what came before."""
        prepared = self.prepare(json.dumps(message))
        for person in list(self.people):
            if not person.isFull:
                person.send(prepared)

    # end of lesson

    def contest(self, players: list[Player]) -> None:
        """Whoever touches the crown takes it, and whoever wears it scores."""
        if self.wearer in players:
            self.crown = (self.wearer.x, self.wearer.y)
        else:
            self.wearer = None  # It lies where its wearer was.
        touching = {dist((each.x, each.y), self.crown): each for each in players if each is not self.wearer}
        if touching and min(touching) < REACH and self.tick >= self.safe:
            self.wearer, self.safe = touching[min(touching)], self.tick + SAFE
        if self.wearer is not None and self.left > 0:
            self.wearer.score += 1

    def begin(self) -> None:
        """A new round."""
        self.left, self.crown, self.wearer = ROUND, (WIDTH / 2, 90.0), None
        """The ticks until it ends, below 0 in the pause after it; the place of the crown; who wears it."""
        self.robot = Player(0, "", "", *placeOf(0))
        """Plays with somebody who is alone."""
        self.scores: dict[str, int] = {}
        """The scores of those who have left, by their key."""
        for player in self.people.values():
            player.score = 0

    def guide(self, robot: Player) -> None:
        """Let the robot go to the crown, or with it around the field."""
        x, y = placeOf(self.tick // 60 % 16 * 7) if self.wearer is robot else self.crown
        away = hypot(x - robot.x, y - robot.y) or 1.0
        robot.steps.append((self.tick, (x - robot.x) / away * ROBOT, (y - robot.y) / away * ROBOT, False))

    def tell(self) -> None:
        """Tell everyone the names, scores and pings."""
        rows = [[each.id, each.name, round(each.score * TICK, 1), each.ping] for each in self.players]
        self.cast({"people": rows})


def placeOf(number: int) -> tuple[float, float]:
    """One of 16 places around the field."""
    angle = number * 0.618 * 2 * pi
    return WIDTH / 2 + cos(angle) * WIDTH * 0.46, HEIGHT / 2 + sin(angle) * HEIGHT * 0.46
