"""
`wsd connect URL`: a WebSocket at a terminal, or in a pipe.

`command` has the options. A `session` connects, reconnects and decides the exit status. What is at the user's end of it
is a front: `pipe` for standard input and output by `streams`, or `terminal` for a person, whose `/commands` are in
`slash`. `terminal` imports prompt_toolkit, so only an interactive run needs it.
"""
