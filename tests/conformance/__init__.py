"""The Autobahn fuzzing suite against the running daemon: `make conformance`."""
