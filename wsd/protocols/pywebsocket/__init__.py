"""
pywebsocket: the handlers of Google's pywebsocket, `*_wsh.py` files, unchanged; and the same files as coroutines.

`loading` runs files with imports of their own; `handlers` finds and keeps what was loaded, and loads it again when it
changes. A handler gets a `request` and a `stream`: `blocking` on one of the `threads`, `awaited` on the reactor, and
`bytewise` if it reads bytes itself; `exchange` is what goes between it and its connection. `protocol` is the connection
and its factory, `documents` the files beside the handlers. `api` is what handlers import as pywebsocket3 and
mod_pywebsocket.
"""
