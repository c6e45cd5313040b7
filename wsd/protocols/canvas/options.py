"""The configuration keys of a route of canvases."""

from __future__ import annotations

from dataclasses import dataclass, field

from wsd.protocols.canvas.picture import USUAL


@dataclass(frozen=True)
class CanvasOptions:
    """How many canvases there may be, how large they may be, and for how long they are kept."""

    max_canvases: int = field(default=64, metadata={"unit": "canvases", "least": 1})
    """Canvases at a time. A connection to one more is refused with 503."""
    max_pixels: int = field(default=1_048_576, metadata={"unit": "pixels", "least": USUAL.pixels})
    """Pixels of a picture, four bytes each."""
    idle: float = field(default=3600.0, metadata={"unit": "seconds", "least": 0.1})
    """Seconds for which a picture is kept after the last connection has gone."""
    list: bool = True
    """Whether clients may list the canvases."""
    threads: int = field(default=2, metadata={"unit": "threads", "least": 1, "most": 16})
    """Threads that encode PNGs."""
