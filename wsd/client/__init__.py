"""
Clients: of the commands of `wsd`, and for programs.

The package `connect` is `wsd connect`, and `ctl` is `wsd ctl`. `echo` sends messages and times their answers, and
`blob` uploads and downloads files by `blobclient`. All but `ctl` connect by `connection` to a `target`: a `url`, with
`trust` for TLS, or through a `proxy`. `refusal` reads why a server refused, `failures` has the errors and exit
statuses, and `show` makes text of messages. `topics` is a client of topics for programs on Twisted.
"""
