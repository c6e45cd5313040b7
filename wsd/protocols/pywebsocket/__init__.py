"""
pywebsocket: runs the handlers of Google's pywebsocket, `*_wsh.py` files, unchanged. Handlers may be coroutines too.

- `handlers` finds the files of a folder; `loading` runs them, with imports of their own.
- A handler runs on one of the `threads` (`blocking`), on the reactor as a coroutine (`awaited`), or on a thread that
  reads the bytes of its connection (`bytewise`). It gets a `request` and a `stream`.
- `exchange` defines what a connection and its handler pass to each other; `answers` translates what a handler returns.
- `protocol` is a route of handlers, and `connection` a connection to one of them. `access` checks passwords,
  `documents` and `cgi` answer HTTP.
- `api` is what handlers import as pywebsocket3 and mod_pywebsocket.
"""
