"""
Topics for programs on Twisted, and `wsd topics`: a client of topics.wsd.v1.

    link          one connection after the other: back-off, tokens, answers to requests
    requests      a request that waits for its answer, and the error that may be the answer
    subscription  a topic or filter, and how far it has come
    client        `TopicsClient`: subscribing, publishing, presence
    connection    one WebSocket
    tool          `wsd topics watch`, `publish` and `presence`
    session       a run of one of them
    shown         how they show what comes
"""

from wsd.client.topics.client import TopicsClient
from wsd.client.topics.requests import TopicsError
from wsd.client.topics.subscription import Gap, ReceivedMessage, Subscription

__all__ = ["Gap", "ReceivedMessage", "Subscription", "TopicsClient", "TopicsError"]
