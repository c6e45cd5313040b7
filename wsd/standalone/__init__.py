"""
`wsd standalone`: the command line of pywebsocket's standalone.py, served by the daemon.

Its flags become a configuration: one route for everything, whose protocol is pywebsocket's. As there, relative paths
are relative to the document root. What is wrong is one line on stderr and the exit status 1.
"""

from wsd.standalone.flags import addArguments
from wsd.standalone.serving import run

__all__ = ["addArguments", "run"]
