"""
Blobs: a store that keeps what it acknowledged, and the ways to it: bare, reliable, tus, and HTTP.

From the disk up: `file`, `index`, `part`, `store` block and know no network; `disk`, `pipe`, `transfers` bring them to
the reactor's thread; `bare`, `reliable`, `pages`, `tus` are what clients speak; `protocol` is the route.
"""
