"""
The gateway: a client's stream (RFC 7395) is carried to another server's port for clients (RFC 6120), and back.

`bridge` joins the two streams, `upstream` is the connection to the other server with its TLS, `translation` is the XML
that differs between the two sides, `streamparser` splits the other server's stream into elements.
"""
