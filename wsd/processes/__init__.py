"""
Several processes that serve as one daemon: docs/processes.md.

`parent` binds the listening sockets (`sockets`), and starts and watches the workers, each a `child` to it. `worker` is
the daemon in one of them. `channel` carries messages and descriptors between two processes. `handover` passes
connections on to the owner of their route, with TLS by a `relay`. `limits` has the counts that hold for all
workers, and `merging` adds their metrics together.
"""
