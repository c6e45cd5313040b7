"""
wsd: a WebSocket daemon on Twisted and Autobahn, started by `twistd wsd --port 9998`.

The rooms (packages) of the tree, lowest first. A room imports only rooms above it in this list, which
tests/test_architecture.py checks:

    head          one HTTP request head, read strictly
    commands      the tree of `wsd COMMAND`, in which each command registers itself
    config        the configuration: TOML as frozen dataclasses
    errors        the errors that protocols tell their clients
    completion    `wsd completion`: scripts for shells
    metrics       counters, and their text for Prometheus
    logs          the log
    resources     what protocols need of HTTP: bodies, answers by coroutines, pages
    frames        how frames are read and written
    policies      who may connect, and limits: origins, true addresses, rates, memory, threads, time
    traces        OpenTelemetry traces of requests and of calls to other services
    auth          who a client is: passwords, tokens, certificates, hooks
    connection    the classes that protocols are made of, on Autobahn
    protocols     what answers at a path; each protocol is a module or package, and imports no other
    web           HTTP: the door reads each request head, and passes it to a route or to a page of the site
    listen        listeners and transports: TCP, unix, systemd; then PROXY; then TLS
    control       the control socket, for `wsd ctl`
    service       puts the rooms together: start, reload, drain, stop
    processes     several processes as one daemon: messages and descriptors between them
    uses          pages that show what wsd is used for, one folder each
    tap           the command line of `twistd wsd` and `wsd serve`
    standalone    the command line of pywebsocket's standalone.py
    client        the clients of `wsd connect`, `wsd echo`, `wsd blob` and `wsd topics`
    why           `wsd why`: what the log says about a connection, in sentences
    backup        `wsd backup`: a copy of the state folder while the daemon runs
    __main__      `wsd COMMAND`: the list of all commands

A pywebsocket handler is a file NAME_wsh.py in the folder of `twistd wsd -w FOLDER`. It answers at /NAME with two
functions, which run on a thread of their own or, if they are written with `async def`, as coroutines:

    def web_socket_do_extra_handshake(request):
        pass  # Let everyone in.

    def web_socket_transfer_data(request):
        while (message := request.ws_stream.receive_message()) is not None:
            request.ws_stream.send_message(message)

docs/handlers.md has the rest, and docs/migrating.md the flags of standalone.py, which `wsd standalone` takes.

Words: a *listener* accepts *connections*. The *door* passes each request to the *route* of its path, where a *protocol*
answers, or to a *page* of the site. A *policy* is a limit, or says who may connect.
"""

__version__ = "0.1.0"
