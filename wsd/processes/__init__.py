"""
Several processes that serve as one daemon: docs/processes.md.

`channel` carries messages and `descriptors` between two processes.

Workers: `parent` binds the listeners (`listening`, with a socket for each worker: `sockets`), and starts and watches
the workers, each a `child` to it, in processes from its `supply`. It lets them reload (`reloading`), and joins what
they say (`gathering`). `worker` is the daemon in one of them, and its pages show what all say `together`. `handover`
passes connections on to the owner of their route, with TLS by a `relay`. `limits` and `rates` have the limits that hold
for all workers, and `merging` adds their metrics together. `startingworkers` makes the parent, and `steering` is what
its control socket may do.

An upgrade: `upgrade` is the old process. `launching` starts the new one with what is `given` to it, and
`conversation` talks with it. `moves` has the steps by which connections move from their `doors`; `sending` sends them
in batches, and `passing` passes one of them; `packing` makes the bodies of messages. `takingover` is the new process.
`starting` makes a daemon that can be upgraded. With workers, `parentupgrade` is the old parent, `workerupgrade` an
old worker, and `parenttakingover` the new parent; a new worker takes over as a daemon of one process does.
"""
