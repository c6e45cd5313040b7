"""
Canvases: pictures that some paint and others watch, frame by frame.

`picture` composes, `messages` and `asked` are what clients say, `board` is one canvas and who is there, `boards` all of
them; `png` and `pages` are what HTTP answers; `protocol` is the route.
"""
