"""
The Redis backend: topics that many daemons share.

    address     what a URL of Redis says
    endpoint    where Redis is reached, also by Sentinel, and why it could not be
    link        the two connections to Redis, made again whenever they are lost
    names       what keys and channels are called
    scripts     what Redis does in one step, in Lua
    wire        messages as Redis keeps and passes them on
    lineage     the epochs of a topic, of which a new one begins when Redis may have lost messages
    limits      the limits of the route, and errors of Redis as those of topics
    publishing  publishes on their way to Redis, and those that wait for it
    reading     what Redis keeps
    presence    members at all daemons
    listening   which channels are listened to, and whether a message has come by the right one
    follower    delivers each topic in order and without gaps, whatever Redis's Pub/Sub has lost
    feed        what this daemon hears, and how it makes good what it missed
    backend     the backend, made of these
"""
