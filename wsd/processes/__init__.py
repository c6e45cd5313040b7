"""
Several processes that serve as one daemon: docs/processes.md.

`channel` carries messages and descriptors between two processes.

Workers: `parent` binds the listening sockets (`sockets`), and starts and watches the workers, each a `child` to it.
`worker` is the daemon in one of them. `handover` passes connections on to the owner of their route, with TLS by a
`relay`. `limits` has the counts that hold for all workers, and `merging` adds their metrics together.

An upgrade: `upgrade` is the old process. `launching` starts the new one with what is `given` to it, and `farewells`
closes what cannot move. `takingover` is the new process. `passing` passes one connection, and `packing` makes the
bodies of messages. `starting` makes a daemon that can be upgraded.
"""
