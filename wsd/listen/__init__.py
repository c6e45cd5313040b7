"""
How bytes arrive: listeners, transports on a `ring`, then the PROXY header, then TLS.

    transport -> [PROXY, from trusted proxies] -> [TLS] -> the protocol above

Each layer is the transport of the one above. `getPeer` and `getHost` return the true addresses, `wire` knows how many
bytes are unsent, and `via` is the proxy through which a connection came, if there is one.

`bind` makes each `listener` of the configuration, `checking` checks them without binding, and `rebinding` changes them
in a reload. A `port` accepts connections, whose `transport` has its sending half in `sending`. `proxy` reads PROXY
headers. `tls` has the certificates, and `secure` the transport of a TLS connection, with `handshake`, `records` and
`sealing`; where it fits, `_openssl` takes the place of `records`. `systemd` and `handed` have sockets that another
process has bound.
"""
