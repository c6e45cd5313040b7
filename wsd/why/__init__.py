"""
`wsd why ID`: finds what the log says about a connection or a request, and tells it in sentences with what to do.

`sources` finds the lines in files and in systemd's journal, `records` reads them, `words` has the explanations, and
`story` tells it.
"""

from wsd.why.command import addCommands

__all__ = ["addCommands"]
