"""
Topics: many connections on a name, and a server that pushes to all of them (publish and subscribe).

    names, position          what clients write: names, filters, positions
    publication, topic       one message; one topic with its history and last values
    members                  who is present
    backend, local, choice   where topics are kept: the interface, what backends of one process share, which one serves
    memory                   topics in this process
    file, journal, recorded  topics in this process and in a file
    redis                    topics in a Redis that many daemons share
    trie, audience, hub      who subscribes to what, and how a publication reaches them
    outbox, inflight         publications that wait for one subscriber, and publishes that wait for the backend
    query, replay            what a URL asks for, and what a subscriber is sent first
    plain                    the plain form: `new WebSocket("ws://host/topics/NAME")` and nothing else
    messages, enveloped      the enveloped form, topics.wsd.v1
    resource, posting        HTTP: POST, GET and DELETE
    pages                    the list of topics at the route itself, with its page
    events, polling, streams answers that go on: server-sent events and long polls
    rules, tokens, access    who may do what
    encoding, errors         publications as messages; codes and sentences
    options, parts, protocol the route
"""
