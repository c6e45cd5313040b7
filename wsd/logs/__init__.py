"""
The log: one line for each event, with the id of its connection, as text, as JSON, or for systemd's journal.

Untrusted text is escaped, so that nobody can forge lines. Payloads are never logged. `connection` is the log of a
connection, `lines` formats events, and `observers` writes the lines.
"""

from wsd.logs.connection import ConnectionLog
from wsd.logs.lines import describeError, escaped, forJournal, isJournal, jsonLine, textLine, textOf
from wsd.logs.observers import Forward, LineObserver, RefusalLimit, observer

__all__ = [
    "ConnectionLog",
    "Forward",
    "LineObserver",
    "RefusalLimit",
    "describeError",
    "escaped",
    "forJournal",
    "isJournal",
    "jsonLine",
    "observer",
    "textLine",
    "textOf",
]
