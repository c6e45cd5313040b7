"""
The control socket: a unix socket at which `wsd ctl` steers the running daemon.

The protocol is JSON lines, as docs/operations.md has it. `socket` creates the socket and removes it, `server` reads the
requests and writes the answers, and `commands` has a function for each command. `fields` reads the fields of a request,
`selection` finds the connections that a request is about, in short steps, and `rows` tells about a connection.
`interface` is what the commands need of the daemon.
"""
