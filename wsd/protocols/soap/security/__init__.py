"""
WS-Security: a user name and a password in each message (WSS: SOAP Message Security 1.1, UsernameToken Profile 1.1).

- `guard`: authenticates each message before a node answers it
- `header`: reads the Security header of a message; `token`: the UsernameToken in it
- `timestamps`: reads and writes times; `nonces`: the digests that were used; `faults`
"""
