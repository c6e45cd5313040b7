"""
Canvases: pictures that some clients paint and others watch, frame by frame.

`picture` composes, `messages` and `query` read what clients send, `frame` is a picture at one moment, `board` a canvas
with its connections. `png` and `pages` answer over HTTP; `connection` is one WebSocket, `protocol` the route.
"""
