"""The options in force. A reload replaces them while the server runs."""

from __future__ import annotations

from wsd.config.values import MIB
from wsd.protocols.xmpp.framing import XmlLimits
from wsd.protocols.xmpp.options import XmppOptions

_STORED = 2 * MIB
"""Stored stanzas up to this size can always be read, so that none is lost when `max_stanza` is lowered."""


class Settings:
    """The options of a server. Its parts read them anew each time, since a reload changes them."""

    def __init__(self, options: XmppOptions) -> None:
        self.options = options
        self.domains = frozenset(options.domains)
        """The domains served; they stay those of the start."""
        self.limits = XmlLimits(size=options.max_stanza)
        """Limits of a message from a client."""
        self.storedLimits = _storedLimits(options)
        """Limits of a stored stanza: wider, since the server adds elements to what it let in."""

    def update(self, options: XmppOptions) -> None:
        """Use these options from now on."""
        if options.max_stanza > self.options.max_stanza:
            self.storedLimits = _storedLimits(options)
        self.limits = XmlLimits(size=options.max_stanza)
        self.options = options


def _storedLimits(options: XmppOptions) -> XmlLimits:
    size = max(8 * options.max_stanza, _STORED)
    return XmlLimits(size, 200, 100_000, 200, size)
