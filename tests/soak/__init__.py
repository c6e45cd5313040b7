"""
Attacks on a running daemon, beside clients that behave.

    peers     raw clients: sockets, handshakes and frames, valid or not
    attacks   one class for each attack
    calm      the clients that behave, and how long they wait for their echoes
    rig       runs an attack beside them, and compares what was measured with the bounds

`make soak` runs each attack in full size and prints a table (`python -m tests.soak`). `test_attacks.py` does the same
in about a second each.
"""
