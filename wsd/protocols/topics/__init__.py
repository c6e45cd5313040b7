"""
Topics: many connections on a name, and a server that pushes to all of them (publish and subscribe).

    names, position     what clients write: names, filters, positions
    publication, topic  one message; one topic with its history and last values
    backend, memory     where topics are kept: the interface, and in this process
    members             who is present
    trie, audience, hub who subscribes to what, and how a publication reaches them
    outbox              publications that wait for one subscriber, and what happens if it is too slow
    query, plain        the plain form: `new WebSocket("ws://host/topics/NAME")` and nothing else
    options, protocol   the route
"""
