"""
How bytes arrive: by listeners (`bind`, `systemd`, `port`) and transports on a `ring`, then the PROXY header, then TLS.

    transport -> [PROXY, from trusted proxies] -> [TLS] -> what stands above

What stands above asks its transport, whatever lies between: `getPeer` and `getHost` tell the true addresses, `wire` how
much waits to be sent, `via` the proxy through which a connection came (there is none without one).
"""
