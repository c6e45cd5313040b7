"""
yjs: documents that many people edit at once, in the wire format of y-websocket.

`messages` reads and writes the format, `awareness` knows who is where, `document` is one document with its
connections, `documents` has all of them, `writing` gathers their updates in batches, `weights` reports their memory,
`store` is the SQLite file, `connection` is one WebSocket, and `protocol` is the route.
"""
