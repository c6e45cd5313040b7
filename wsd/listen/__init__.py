"""
How bytes arrive: by listeners (`bind`, `listener`, `port`) and transports on a `ring`, then the PROXY header, then TLS.

    transport -> [PROXY, from trusted proxies] -> [TLS] -> what stands above

Each layer is the transport of the one above: its `getPeer` and `getHost` return the true addresses, `wire` tells how
much waits to be sent, and `via` is the proxy through which a connection came, if there is one.
"""
