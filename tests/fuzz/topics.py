"""Topics in the enveloped form: whatever messages say, they are answered by messages or a documented close."""

from __future__ import annotations

from tests.fuzz.memory import Caller
from tests.fuzz.messages import converse
from tests.protocols.topics.routes import daemonOf
from wsd.protocols.topics.enveloped import ENVELOPED


def check(data: bytes) -> None:
    """Takes the messages of a client, one on each line."""
    answersTo(data)


def answersTo(data: bytes) -> set[str]:
    """The names of the answers."""
    with Caller(daemonOf()) as caller:
        return converse(caller, "/topics/", ENVELOPED, data)
