"""
`wsd backup`: copies the state folder to another folder while the daemon runs.

`command` is the command line, `folder` the folder as a whole, `files` one file of it, and `filestore` a folder of
stored files with its index.
"""
