"""
pywebsocket: the handlers of Google's pywebsocket, `*_wsh.py` files, unchanged; and the same files as coroutines.

`paths` says which file answers at which path, `loading` runs files with imports of their own, `handlers` keeps what was
loaded and loads it again when it changes. A handler meets a `request` and a stream: `blocking` on a thread of
`threads`, `awaiting` on the reactor, `raw` when it reads bytes itself. `protocol` is the connection and its factory,
`documents` the files beside the handlers. `api` is what handlers import as pywebsocket3 and mod_pywebsocket.
"""
