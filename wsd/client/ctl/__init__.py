"""
`wsd ctl`: shows and steers a running daemon, through its control socket.

`command` has the command line. A `link` sends requests and reads the answers, and `shown` makes text of them. `top` is
the live view; it imports prompt_toolkit, which nothing else here needs.
"""
