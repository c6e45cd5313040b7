"""
Rooms (XEP-0045), which other servers call multi-user chats.

`config` is what an owner may set, `room` one room and who is in it, `talk` its messages, `admin` what moderators,
admins and owners do, `service` all the rooms of a server.
"""
