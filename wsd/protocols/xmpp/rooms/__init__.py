"""
Rooms (XEP-0045), which other servers call multi-user chats.

`service` has all rooms of a server, and passes their stanzas to `entering` (and leaving), `messages`,
`admin` (roles, affiliations, settings) or `info` (disco). `room` is one room, `config` its settings, `history` the
messages that it remembers, `muc` the <x/> and the status codes in what it sends, `records` its rows in the store.
"""
