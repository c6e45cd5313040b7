"""What the daemon tells its status page."""

from __future__ import annotations

from tests.wire import Daemon
from wsd.protocols.echo import EchoFactory
from wsd.service.status import statusOf
from wsd.web.probes import Readiness
from wsd.web.status import RouteStatus, Status


def statusOfDaemon(daemon: Daemon, reasons: tuple[str, ...] = ()) -> Status:
    readiness = Readiness(not reasons, "plain", ["/echo"], list(reasons), [])
    routes = {"/echo": daemon.site.routes[0]}
    return statusOf(readiness, 12.5, daemon.reactor, routes, daemon.admission, daemon.budget)


def test_it_counts_connections_and_messages_of_each_route() -> None:
    daemon = Daemon({"/echo": EchoFactory})
    clients = [daemon.open("/echo"), daemon.open("/echo")]
    clients[0].say("four")
    clients[1].close()
    clients[1].wire.close()
    status = statusOfDaemon(daemon)
    assert status.routes == [RouteStatus("/echo", ["test"], connections=1, opened=2, messages=2, size=8)]
    assert (status.websockets, status.connections) == (1, 1)
    assert (status.uptime, status.max_connections, status.memory_max) == (12.5, 20000, daemon.budget.most)


def test_its_memory_is_what_is_held_now() -> None:
    daemon = Daemon({"/echo": EchoFactory})
    client = daemon.open("/echo")
    client.wire.send(b"\x82\xfe\x03\xe8" + bytes(4) + b"half")
    held = statusOfDaemon(daemon).memory
    assert held > 0
    client.wire.close()
    assert statusOfDaemon(daemon).memory == 0


def test_it_says_why_the_daemon_is_not_ready() -> None:
    status = statusOfDaemon(Daemon({"/echo": EchoFactory}), ("/echo: it is starting",))
    assert (status.ready, status.reasons) == (False, ["/echo: it is starting"])
