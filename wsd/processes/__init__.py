"""
Several processes that serve as one daemon.

`channel` carries messages and descriptors between two of them, `packing` makes bodies of messages, and `passing` passes
one connection. In an upgrade, `upgrade` is the old process: `launching` starts the new one with what is `given` to it,
and `farewells` closes what cannot move. `takingover` is the new process. `starting` makes the daemon.
"""
