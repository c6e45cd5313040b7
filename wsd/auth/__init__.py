"""
Authentication: finds out who a client is, by the methods of a route.

`authenticator` tries the methods of a route in their order, and refuses a request that none of them accepts. The
methods are `basic` (with `htpasswd` and `hashes`), `bearer` (with `tokens`, which topics use as well), `certificates`
and `hook`. `outcome` has what a method finds, `logins` what a message may bring instead of a request head, and `shared`
lets equal questions share one answer.
"""
