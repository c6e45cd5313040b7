"""
How bytes arrive: listeners (`bind`, `listener`, `port`), transports on a `ring`, then the PROXY header, then TLS.

    transport -> [PROXY, from trusted proxies] -> [TLS] -> the protocol above

Each layer is the transport of the one above. `getPeer` and `getHost` return the true addresses, `wire` knows how many
bytes are unsent, and `via` is the proxy through which a connection came, if there is one.
"""
