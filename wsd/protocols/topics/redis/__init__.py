"""
The Redis backend: topics that many daemons share.

    address    what a URL of Redis says
    link       the two connections to Redis, made again whenever they are lost
    scripts    what Redis does in one step, in Lua
    wire       messages as Redis keeps and passes them on
    listening  which channels are listened to, and whether a message has come by the right one
    follower   delivers each topic in order and without gaps, whatever Redis's Pub/Sub has lost
    backend    the backend
"""
