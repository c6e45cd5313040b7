"""
OpenTelemetry traces: what a request cost, here and in the services that it needed.

`tracing` switches them on and off, `tracer` begins spans, and `semantics` has their attributes. `export` sends spans to
a collector from a thread of its own, and `headers` reads the header fields for it. The libraries of OpenTelemetry are
imported only while traces are on: of this room, others import `tracing` alone, and the types of `tracer` for
annotations.
"""
