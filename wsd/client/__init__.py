"""
The clients of `wsd` commands.

`echo` tests whether a server answers, and `blob` uploads and downloads files by `blobclient`. Both connect by
`connection`; `url` reads the URLs that people write.
"""
