"""
Blobs: a store that keeps what it has acknowledged, and the ways to it: bare, reliable, tus, and plain HTTP.

From the disk up, each module imports only those before it:

- `file`, `index`, `quota`, `finished`, `upload` and `store` block, and know nothing of the network.
- `iopool`, `backlog`, `pipe` and `transfers` bring them to the reactor's thread; `service` is what clients may do.
- `bare`, `reliable` and `sending` are spoken over a WebSocket, `download`, `tus`, `slots` and `pages` over HTTP.
- `connection` is one WebSocket, `protocol` the route.
"""
