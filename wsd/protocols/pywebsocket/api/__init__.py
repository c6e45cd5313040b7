"""
What handlers import as `pywebsocket3` and `mod_pywebsocket`: the same modules, names and exceptions.

The names of these modules and of what is in them are those that handlers know, which is why they are written as they
are and not as the rest of wsd.
"""
