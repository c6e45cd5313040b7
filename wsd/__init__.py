"""
wsd: a WebSocket daemon on Twisted and Autobahn, started by `twistd wsd --port 9998`.

The plan of the house, lowest room first; a room knows only those above it in this list, and tests/test_architecture.py
keeps it so:

    head          one HTTP request head, read strictly
    config        the configuration: TOML as frozen dataclasses
    errors        the errors that protocols tell their clients
    metrics logs  what is counted, what is written down
    resources     what protocols need of HTTP: bodies, answers by coroutines, pages
    frames        how frames are read and written
    policies      who may, and how much: origins, true addresses, limits, time
    connection    everything Autobahn: what a protocol is made of
    protocols     what answers at a path: one name, one module, none of them knows another
    web           what a URL is: the door reads one request head and gives it to a route or to the site
    listen        how bytes arrive: TCP, unix, systemd; then PROXY; then TLS
    service       puts the house together: start, reload, drain, stop
    tap           the command line of `twistd wsd`
    standalone    the command line of pywebsocket's standalone.py
    client        the small client of `wsd echo`
    __main__      `wsd COMMAND`: the small tools beside the daemon

A handler as pywebsocket knew them is a file NAME_wsh.py in a folder that `twistd wsd -w FOLDER` is given, and answers
at /NAME with two functions, on a thread of its own or, written with `async def`, as a coroutine:

    def web_socket_do_extra_handshake(request):
        pass  # Let everyone in.

    def web_socket_transfer_data(request):
        while (message := request.ws_stream.receive_message()) is not None:
            request.ws_stream.send_message(message)

docs/handlers.md has the rest, and docs/migrating.md the flags of standalone.py, which `wsd standalone` takes.

Words: a *listener* takes *connections*; the *door* gives each to the *route* of its path, where a *protocol* answers,
or to a *page* of the site; a *policy* says who may and how much.
"""

__version__ = "0.1.0"
