"""
The enveloped form, topics.wsd.v1: many topics on one connection, with acknowledgements, presence and errors.

    socket    the connection, as the others see it
    form      reads what the client asks for, publishes, and answers with errors
    feed      what it subscribes to, and how it is sent that
    presence  where it is present, and messages to single members

`messages` is the grammar.
"""

from wsd.protocols.topics.enveloped.form import ENVELOPED, EnvelopedForm

__all__ = ["ENVELOPED", "EnvelopedForm"]
