"""
Blobs: a store of files, and the protocols to reach it: bare messages, blob.wsd.v1, tus and plain HTTP.

From the disk up, each module imports only modules above it in this list:

- `file`, `index`, `quota`, `finished`, `upload` and `store` block, and know nothing of the network.
- `iopool`, `backlog`, `pipe` and `transfers` run them on threads. `service` is what clients may do.
- `bare`, `reliable` and `sending` are spoken over a WebSocket; `download`, `tus`, `slots` and `pages` over HTTP.
- `connection` is one WebSocket, `protocol` the route.
"""
