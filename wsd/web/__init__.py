"""
HTTP: from the head of a request to its answer.

`door` reads heads and decides who answers: `peer` says who has sent a request, `site` finds its `route` or page, and
`upgrading` checks opening handshakes. `channel` and `request` answer requests over HTTP, and `ending` has the time-outs
and the end of a connection. `starting` starts routes, and `draining` ends all connections.

`console`, `probes` and `status` are the daemon's own pages, and `directory` tells them what the daemon serves. In
`errorpage` a refusal becomes a page or a text, with the words of `errorwords`. `attempts` tells the console why its
connection failed.
"""
