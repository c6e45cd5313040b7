"""
XMPP over WebSocket (RFC 7395): a server for real clients, and a gateway to another one.

From the message up: `framing` and `stanza` (what is said), `jid` (to whom), `sasl` with `credentials` and `guard` (by
whom), `stream` (from <open/> to <close/>), `streammanagement` and `session` (so that nothing is lost), `ledger` (nor
too much held), `user`, `roster`, `presence`, `routing`, `forgery`, `values`, `offline`, `blocking`, `carbons`,
`queries`, `caps`, `register`, `rooms` (the rules), `server` (what all of them share), `store` with `sqlite` (what is
kept), `gateway` (the other server), `protocol` (the route).
"""
