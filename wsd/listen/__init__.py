"""How bytes arrive: listeners, the transport, then the PROXY header, then TLS."""
