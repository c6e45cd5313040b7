"""
`wsd standalone`: the command line of pywebsocket's standalone.py, served by the daemon.

Its flags become a configuration with a single route, `/*`, whose protocol is pywebsocket. As in standalone.py, relative
paths are relative to the document root. An error is one line on stderr and the exit status 1.
"""

from wsd.standalone.serving import addCommands

__all__ = ["addCommands"]
