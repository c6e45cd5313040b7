"""
Clients, of the commands of `wsd` and for programs.

`echo` tests whether a server answers, and `blob` uploads and downloads files by `blobclient`. Both connect by
`connection`; `url` reads the URLs that people write. `topics` is a client of topics for programs on Twisted.
"""
