"""
Canvases: pictures that some clients paint and others watch, frame by frame.

- `picture` is made of pixels, `frame` is a picture at one moment, `board` a canvas with its connections.
- `query` parses the URL of a client, `messages` its text messages.
- `png` encodes pictures, `pages` answers HTTP. `connection` is one WebSocket, `protocol` the route.
"""
