"""
Several processes that serve as one daemon.

`channel` carries messages and descriptors between two of them.
"""
