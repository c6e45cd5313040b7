"""
Pages that show what wsd is used for, at `/uses/NAME`. docs/uses.md tells how one is copied and changed.

Each folder is a page: `page.json` has its words, `index.html` the page, `NAME.js` the lesson, and Python what only the
server can do. `shared` has what all pages share, `list` the page at `/uses/`, and `lib` the libraries from npm that
`tools/libraries` has bundled. `protocol` is the route, and `pages` answers HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from wsd.config import stateFolder
from wsd.config.uses import UsesOffer

NAMES = ("feed", "game", "editor", "clicks", "quotes", "scores", "call", "map", "class")
"""The pages, in the order of the list. Each is a folder here."""

NEEDED = ("/blob", "/canvas/*", "/yjs/*")
"""The built-in routes that pages need."""

ROUTES: Mapping[str, Mapping[str, object]] = {
    "/uses/*": {"protocol": "uses"},
    "/uses/topics/*": {
        "protocol": "topics",
        "backend": "file",
        "store": "uses-topics.sqlite",
        "max_message": "64 KiB",
        "max_kept": "16 MiB",
        "history_age": 604800.0,
        "slow": "drop-oldest",
    },
    "/uses/feed/topics/*": {
        "protocol": "topics",
        "backend": "file",
        "store": "uses-feed.sqlite",
        "max_topics": 5000,
        "max_kept": "16 MiB",
        "max_keys": 5000,
        "max_subscriptions": 1000,
        "history_age": 2592000.0,
        "slow": "drop-oldest",
    },
    "/uses/game/play": {"protocol": "wsd.uses.game.play:PlayFactory", "max_message": "1 KiB"},
    "/uses/class/token": {"protocol": "wsd.uses.class.room:TokenFactory"},
    "/uses/class/board/*": {
        "protocol": "wsd.uses.class.board:BoardFactory",
        "deflate": True,
        "max_pixels": 360000,
        "max_canvases": 100,
    },
    "/uses/class/topics/*": {
        "protocol": "wsd.uses.class.room:ClassTopicsFactory",
        **{action: ["token"] for action in ("publish", "subscribe", "history", "presence", "direct")},
        "backend": "file",
        "store": "uses-class.sqlite",
        "max_message": "64 KiB",
        "max_topics": 5000,
        "max_kept": "16 MiB",
        "history_age": 86400.0,
    },
    "/uses/quotes/topics/*": {
        "protocol": "topics",
        "publish": [],
        "max_topics": 10,
        "max_keys": 500,
        "history_count": 0,
        "slow": "latest",
        "high_water": "128 KiB",
        "low_water": "64 KiB",
        "deflate": False,
    },
    "/uses/clicks/topics/*": {
        "protocol": "topics",
        "backend": "file",
        "store": "uses-clicks.sqlite",
        "max_message": "64 KiB",
        "max_topics": 20,
        "max_kept": "32 MiB",
        "history_count": 20_000,
        "history_size": "16 MiB",
        "history_age": 86400.0,
    },
    "/uses/call/topics/*": {
        "protocol": "topics",
        "backend": "file",
        "store": "uses-call.sqlite",
        "max_message": "64 KiB",
        "max_topics": 200,
        "max_kept": "8 MiB",
        "max_members": 4,
        "history_age": 86400.0,
    },
}
"""
The routes of the pages, as in a configuration file, but a `store` is a file in the state folder. A page with routes of
its own adds them here.
"""


def routesOf(environ: Mapping[str, str]) -> Mapping[str, Mapping[str, object]]:
    """The routes of the pages, with the paths of their stores."""
    folder = Path(stateFolder(environ))
    return {
        path: {key: str(folder / str(value)) if key == "store" else value for key, value in keys.items()}
        for path, keys in ROUTES.items()
    }


def offerOf(environ: Mapping[str, str], byDefault: bool = True) -> UsesOffer:
    """The pages, for the configuration."""
    return UsesOffer(routesOf(environ), NEEDED, byDefault)
