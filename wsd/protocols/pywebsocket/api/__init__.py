"""
What handlers import as `pywebsocket3` and `mod_pywebsocket`: the same modules, names and exceptions.

All names here are pywebsocket's own, so they do not follow the style of the rest of wsd.
"""
