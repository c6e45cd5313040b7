"""
What tries to break a running daemon, and the table of it: docs/soak.md.

    peers     raw clients: sockets, handshakes and frames, valid or not
    attacks   one class for each attack
    calm      the clients that behave, and how long they wait for their echoes
    rig       runs an attack beside them, and compares what was measured with the bounds
    others    the same attacks on other servers
    crowd     many connections that echo for minutes
    day       all protocols at once; `actors` and `chat` are its clients
    faults    the faults with the tests that assert their outcomes, and the long runs
    outcome   makes a row of what tests or a program say
    rows      all rows
    table     a row, the table, and what is kept of it

`make soak` runs everything in full size and prints the table (`python -m tests.soak`). The tests here do it on a small
scale.
"""
