"""
XMPP over WebSocket (RFC 7395): a server for clients, and a gateway to another server.

A stanza passes `protocol` (the route and its WebSockets), `stream` (with `framing`), `established`, `routing`, then
`messages`, `presence`, `queries` or `rooms`, then the receiver's `session`, and that session's stream and WebSocket.

The route: `protocol`, `options`, `clientinfo`, `hostmeta`, `tool` (the command `wsd xmpp`).
XML: `framing` (RFC 7395), `stanza`, `errors`, `forms` (XEP-0004), `jid`, `values`.
A stream: `stream`, `negotiation` (login and binding), `established` (afterwards), `streammanagement` (XEP-0198).
Logins: `logins`, `sasl`, `credentials`, `guard` (limits), `register` (XEP-0077).
Users and sessions: `session` (with `boundstream`), `sessions`, `resumption`, `accounts`, `ledger` (limits of memory).
Stanzas: `routing`, `messages`, `offline`, `delay`, `carbons`, `presence`, `roster`, `rosteritem`, `blocking`,
`forgery` (elements that clients may not send), `queries`, `disco`, `caps`, `upload`, `rooms`.
The store: `records` (its rows), `store` with `sqlite`, `asyncstore` with `storeworker`, `quarantine` (rows that cannot
be read), `faults` (refusals while it fails).
The server: `server` builds the parts, `settings` has the options in force.
The gateway: `gateway`.
"""
