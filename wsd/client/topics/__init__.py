"""
Topics for programs on Twisted, and `wsd topics`: a client of topics.wsd.v1.

    link          one connection after the other: requests and their answers, tokens, back-off
    subscription  a topic or filter, and how far it has come
    client        `TopicsClient`: subscribing, publishing, presence
    tool          `wsd topics watch`, `publish` and `presence`
"""

from wsd.client.topics.client import TopicsClient
from wsd.client.topics.link import TopicsError
from wsd.client.topics.subscription import Gap, ReceivedMessage, Subscription

__all__ = ["Gap", "ReceivedMessage", "Subscription", "TopicsClient", "TopicsError"]
