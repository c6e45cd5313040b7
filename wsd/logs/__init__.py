"""
The log: one line for each event, with the id of its connection, as text, as JSON, or for systemd's journal.

Untrusted text is escaped, so that nobody can forge lines. Payloads are never logged. `connection` is the log of a
connection, `lines` formats events, and `observers` writes the lines. `access` has the lines about single connections
and requests and limits them, and `journal` writes to systemd's journal in its own protocol.
"""

from wsd.logs.access import ALIKE, MINUTE, AccessSettings
from wsd.logs.connection import ConnectionLog, TracedLog, logOf
from wsd.logs.journal import JOURNAL
from wsd.logs.lines import describeError, escaped, forJournal, isJournal, jsonLine, textLine, textOf
from wsd.logs.observers import DaemonObserver, EventWriter, Forward, LineObserver, Threshold, linesTo, observer

__all__ = [
    "ALIKE",
    "JOURNAL",
    "MINUTE",
    "AccessSettings",
    "ConnectionLog",
    "DaemonObserver",
    "EventWriter",
    "Forward",
    "LineObserver",
    "Threshold",
    "TracedLog",
    "describeError",
    "escaped",
    "forJournal",
    "isJournal",
    "jsonLine",
    "linesTo",
    "logOf",
    "observer",
    "textLine",
    "textOf",
]
