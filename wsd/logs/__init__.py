"""
The log: one line for each event, with the id of its connection; as text, as JSON, or for the journal.

What comes from outside is escaped before it is written, so that nobody can forge lines; payloads are never logged.
`connection` is the log of a connection, `lines` formats events, and `observers` writes the lines.
"""

from wsd.logs.connection import ConnectionLog
from wsd.logs.lines import describeError, escaped, forJournal, isJournal, jsonLine, textLine
from wsd.logs.observers import LineObserver, RefusalLimit, observer

__all__ = [
    "ConnectionLog",
    "LineObserver",
    "RefusalLimit",
    "describeError",
    "escaped",
    "forJournal",
    "isJournal",
    "jsonLine",
    "observer",
    "textLine",
]
