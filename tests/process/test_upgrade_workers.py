"""An upgrade of a daemon with two workers: real processes, real sockets, kills in the middle."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect, unix_connect

from tests.commands import running, until
from tests.daemon import PATIENCE
from tests.process.test_systemd import activated, echoes, urlOf
from tests.process.test_upgrade import opened, says, stopsInOrder
from tests.process.test_upgrade_systemd import Keeper, ends, keeper
from tests.process.test_workers import childrenOf, fetch, isReady, metrics, pidOf, workerOf
from tests.process.upgradeload import measure
from tests.threadedtls import trusting
from tests.upgrades import Upgradable, isAlive, isListening, upgradable

__all__ = ["ends", "keeper"]

TOP = "workers = 2\ndrain = 1\nbuilt_in = false\n"
ROUTES = """
[route."/echo"]
protocol = "echo"
[route."/topics/*"]
protocol = "topics"
"""
CONFIG = TOP + ROUTES
FAILING = """
[route."/fails"]
protocol = "tests.process.failing:FailingFactory"
[route."/free"]
protocol = "tests.process.failing:FreeFactory"
[route."/busy"]
protocol = "tests.process.failing:BusyFactory"
"""


@contextmanager
def clients(daemon: Upgradable, path: str = "/echo") -> Iterator[list[ClientConnection]]:
    """Connections in both workers, if the route is free."""
    with ExitStack() as stack:
        found = [stack.enter_context(opened(daemon, path)) for _ in range(16)]
        for number, client in enumerate(found):
            client.send(f"hello {number}")
            assert client.recv(10) == f"hello {number}"
        yield found


def areServed(found: list[ClientConnection], text: str) -> None:
    for number, client in enumerate(found):
        assert says(client, f"{text} {number}")


def socketsOf(pid: int) -> int:
    """The sockets that a process has open. Its files come and go by themselves."""
    count = 0
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            count += os.readlink(each).startswith("socket:")
    return count


class TestConnections:
    def test_of_both_workers_stay_open_through_two_upgrades(self) -> None:
        with upgradable(config=CONFIG) as daemon, clients(daemon) as found:
            assert {workerOf(daemon.daemon, client) for client in found} == {0, 1}
            pids = [daemon.pid]
            for number in range(2):
                said = daemon.upgrade()
                assert "16 connections were moved, " in said
                assert said.endswith("and 0 are being closed")
                pids.append(daemon.pid)
                areServed(found, f"{number}")
                with opened(daemon) as new:
                    assert says(new, "new")
            assert len(set(pids)) == 3
            assert daemon.daemon.process.wait(PATIENCE) == 0
            until(lambda: not isAlive(pids[1]), "the end of the second parent")
            assert metrics(daemon.daemon)["wsd_connections"] == 1 + len(found)
            assert fetch(daemon.daemon, "/readyz")["ready"]

    def test_of_a_shared_route_meet_again_with_its_state(self) -> None:
        with upgradable(config=CONFIG) as daemon, clients(daemon) as found, ExitStack() as stack:
            topics = [stack.enter_context(opened(daemon, "/topics/x?echo")) for _ in range(6)]
            topics[0].send("before")
            assert {client.recv(10) for client in topics} == {"before"}
            assert "22 connections were moved, " in daemon.upgrade()
            topics[5].send("after")
            assert {client.recv(10) for client in topics} == {"after"}
            with opened(daemon, "/topics/x?history=1") as late:
                assert late.recv(10) == "after"
            areServed(found, "still here")

    def test_over_tls_are_closed_with_the_advice_to_reconnect(self) -> None:
        config = f"{CONFIG}[tls]\nport = 0\nself_signed = true\n"
        trust = trusting()
        with upgradable(config=config) as daemon, ExitStack() as stack:
            base = f"wss://127.0.0.1:{daemon.daemon.port('wss')}"
            paths = ["/echo"] * 4 + ["/topics/x?echo"] * 4
            found = [stack.enter_context(connect(base + path, ssl=trust, proxy=None)) for path in paths]
            assert daemon.upgrade().endswith("and 8 are being closed")
            for client in found:
                with pytest.raises(ConnectionClosed, match="1012"):
                    client.recv(10)

    def test_on_a_unix_socket_stay_and_so_does_its_path(self, tmp_path: Path) -> None:
        path = tmp_path / "wsd.sock"
        with upgradable("--listen", f"unix:{path}", "-p", "0", config=CONFIG) as daemon:
            inode = path.stat().st_ino
            with unix_connect(str(path), uri="ws://localhost/echo") as client:
                daemon.upgrade()
                assert says(client, "hello")
                daemon.daemon.process.wait(PATIENCE)
                assert path.stat().st_ino == inode
            with unix_connect(str(path), uri="ws://localhost/echo") as client:
                assert says(client, "again")
            daemon.stop()
            assert not path.exists()

    def test_that_wait_in_a_queue_are_accepted_by_the_new_workers(self) -> None:
        with upgradable(config=CONFIG) as daemon, ExitStack() as stack:
            before = daemon.begin()
            found = [stack.enter_context(opened(daemon, open_timeout=PATIENCE)) for _ in range(40)]
            daemon.finish(before)
            areServed(found, "hello")

    def test_of_a_listener_that_a_reload_has_added_stay_and_it_is_handed_over(self, tmp_path: Path) -> None:
        path = tmp_path / "wsd.sock"
        with upgradable("-p", "0", config=CONFIG) as daemon, clients(daemon) as found:
            before = len(daemon.lines)
            (daemon.daemon.folder / "wsd.toml").write_text(f'listen = "unix:{path}"\n{CONFIG}')
            os.kill(daemon.pid, signal.SIGHUP)
            for number in range(2):
                daemon.daemon.waitFor(rf"w{number} reloaded, changed: listen", before)
            inode = path.stat().st_ino
            with unix_connect(str(path), uri="ws://localhost/echo") as client:
                assert "17 connections were moved, " in daemon.upgrade()
                assert says(client, "hello")
            areServed(found, "still here")
            daemon.daemon.process.wait(PATIENCE)
            assert path.stat().st_ino == inode
            with unix_connect(str(path), uri="ws://localhost/echo") as client, opened(daemon) as new:
                assert says(client, "again")
                assert says(new, "new")
            daemon.stop()
            assert not path.exists()

    def test_a_short_run_of_the_load_that_soak_runs_whole(self) -> None:
        report = measure(idle=150, talking=40, times=2, workers=2)
        print(report)
        report.check()
        assert all("190 connections were moved" in said for said in report.said)


class TestANewVersionThatFails:
    """The old processes serve on, and nothing is lost."""

    def check(self, daemon: Upgradable, found: list[ClientConnection]) -> None:
        assert isAlive(daemon.pid)
        areServed(found, "still here")
        for _ in range(4):
            with opened(daemon) as new:
                assert says(new, "new")

    def test_its_configuration_is_wrong(self) -> None:
        with upgradable(config=CONFIG) as daemon, clients(daemon) as found:
            (daemon.daemon.folder / "wsd.toml").write_text(TOP + "drain = 'soon'\n")
            assert daemon.refused().startswith("the new process has ended with the status 1")
            (daemon.daemon.folder / "wsd.toml").write_text(CONFIG.replace("workers = 2", "workers = 3"))
            before = len(daemon.lines)
            assert daemon.refused().startswith("the new process has ended with the status 1")
            daemon.daemon.waitFor("workers: an upgrade cannot change 2 to 3; restart wsd", before)
            self.check(daemon, found)
            (daemon.daemon.folder / "wsd.toml").write_text(CONFIG)
            daemon.upgrade()
            areServed(found, "moved")

    @pytest.mark.parametrize(
        ("place", "path"),
        [("import", "/fails"), ("restore", "/fails"), ("state", "/fails"), ("restore", "/free")],
    )
    def test_it_dies_while_it_starts_or_takes_over(self, place: str, path: str) -> None:
        environ = {"WSD_TEST_UPGRADE": place}
        with (
            upgradable(environ=environ, config=CONFIG + FAILING) as daemon,
            clients(daemon) as found,
            clients(daemon, path) as others,
        ):
            daemon.refused()
            self.check(daemon, [*found, *others])
            assert not [line for line in daemon.lines if "has ended (" in line], "no old worker has ended"


class TestAKillDuringAnUpgrade:
    def begin(self, daemon: Upgradable) -> int:
        """Returns the number of lines before; the new parent runs."""
        before = daemon.begin()
        daemon.daemon.waitFor("the upgrade begins", before)
        until(lambda: self.newParents(daemon), "the new parent")
        (self.newParent,) = self.newParents(daemon)
        return before

    @staticmethod
    def newParents(daemon: Upgradable) -> list[int]:
        """The children that were started for an upgrade. A spare worker may be started at the same time."""
        found = []
        for pid in childrenOf(daemon.pid):
            with suppress(OSError):
                if b"\0WSD_UPGRADE=" in b"\0" + Path(f"/proc/{pid}/environ").read_bytes():
                    found.append(pid)
        return found

    def newWorker(self, daemon: Upgradable, before: int, number: int) -> int:
        return int(daemon.daemon.waitFor(rf"worker {number} is process (\d+)", before)[1])

    def test_of_the_new_parent_leaves_the_old_one(self) -> None:
        with upgradable(config=CONFIG) as daemon, clients(daemon) as found:
            before = self.begin(daemon)
            os.kill(self.newParent, signal.SIGKILL)
            assert "the signal 9" in daemon.refusal(before)
            areServed(found, "still here")

    @pytest.mark.parametrize("number", [0, 1])
    def test_of_a_new_worker_leaves_the_old_ones(self, number: int) -> None:
        with upgradable(config=CONFIG) as daemon, clients(daemon) as found:
            before = self.begin(daemon)
            os.kill(self.newWorker(daemon, before, number), signal.SIGKILL)
            daemon.refusal(before)
            areServed(found, "still here")
            until(lambda: not isAlive(self.newParent), "the end of the new parent")
            # It may be tried again.
            daemon.upgrade()
            areServed(found, "moved")

    def test_of_an_old_worker_leaves_the_other_and_it_is_started_again(self) -> None:
        with upgradable(config=CONFIG) as daemon, clients(daemon) as found:
            victim = pidOf(daemon.daemon, 1)
            stay = [client for client in found if workerOf(daemon.daemon, client) == 0]
            count = socketsOf(victim)
            before = self.begin(daemon)
            # Earlier, it would be started again in time, and take part.
            until(lambda: socketsOf(victim) > count, "the channel to the new worker")
            os.kill(victim, signal.SIGKILL)
            assert "worker 1" in daemon.refusal(before)
            areServed(stay, "still here")
            until(lambda: isReady(daemon.daemon), "it is back")

    def test_of_the_old_parent_ends_all_in_order(self) -> None:
        with upgradable(config=CONFIG) as daemon, clients(daemon) as found:
            self.begin(daemon)
            os.kill(daemon.pid, signal.SIGKILL)
            daemon.daemon.process.wait(PATIENCE)
            for client in found:
                with pytest.raises(ConnectionClosed, match="1001"):
                    client.recv(10)
            until(lambda: not isAlive(self.newParent), "the end of the new parent")
            until(lambda: not isListening(daemon.port), "nothing listens")

    def test_of_the_old_parent_while_connections_are_held_ends_them_in_order_too(self) -> None:
        environ = {"WSD_TEST_UPGRADE": "orphan"}
        with upgradable(environ=environ, config=CONFIG + FAILING) as daemon, clients(daemon, "/free") as found:
            assert {workerOf(daemon.daemon, client) for client in found} == {0, 1}
            self.begin(daemon)
            daemon.daemon.process.wait(PATIENCE)
            for client in found:
                with pytest.raises(ConnectionClosed, match="1001"):
                    client.recv(PATIENCE)
            until(lambda: not isAlive(self.newParent), "the end of the new parent")

    @contextmanager
    def killedLater(self, victim: str) -> Iterator[tuple[Upgradable, list[ClientConnection], int]]:
        """A process is killed once the new owner has gone on with a shared route, whose connections these are."""
        with (
            upgradable(environ={"WSD_TEST_UPGRADE": victim}, config=CONFIG + FAILING) as daemon,
            clients(daemon, "/fails") as found,
        ):
            yield daemon, found, daemon.begin()

    def test_of_the_new_owner_after_it_went_on_costs_its_connections_alone(self) -> None:
        with self.killedLater("self") as (daemon, found, before), clients(daemon) as others:
            free = [client for client in others if workerOf(daemon.daemon, client) == 1]
            daemon.finish(before)
            assert any("not everything was moved" in line for line in daemon.lines)
            areServed(free, "moved")
            for client in found:
                with pytest.raises(ConnectionClosed):
                    client.recv(10)
            until(lambda: isReady(daemon.daemon), "the new owner is started again")
            with opened(daemon, "/fails") as client:
                assert says(client, "again")

    def test_of_the_new_parent_after_that_lets_the_old_one_begin_anew(self) -> None:
        with self.killedLater("parent") as (daemon, found, before):
            assert "the signal 9" in daemon.refusal(before)
            for client in found:
                with pytest.raises(ConnectionClosed):
                    client.recv(10)
            until(lambda: isReady(daemon.daemon), "the old workers are started again")
            with opened(daemon, "/fails") as client:
                assert says(client, "again")
            assert isAlive(daemon.pid)

    def test_of_the_old_parent_after_that_leaves_the_new_one(self) -> None:
        with self.killedLater("first") as (daemon, found, before):
            daemon.goesOnAlone(before)
            areServed(found, "moved")
            daemon.daemon.waitFor(r"control socket \S+control\.sock", before)
            daemon.pid = next(
                int(stat.parent.name) for stat in Path("/proc").glob("[0-9]*/stat") if self.isParent(stat, daemon)
            )
            assert fetch(daemon.daemon, "/readyz")["ready"]

    def test_of_the_old_parent_with_term_stops_all_in_order(self) -> None:
        with self.killedLater("stop") as (daemon, found, _), clients(daemon, "/free") as others:
            stopsInOrder(daemon, [*found, *others])

    def test_of_the_old_parent_with_term_leaves_new_ones_that_serve(self) -> None:
        with (
            upgradable(config=CONFIG + FAILING) as daemon,
            clients(daemon) as found,
            clients(daemon, "/busy") as stayed,
        ):
            before = daemon.begin()
            daemon.daemon.waitFor("control socket ", before)
            os.kill(daemon.pid, signal.SIGTERM)
            for client in stayed:
                with pytest.raises(ConnectionClosed, match=r"10(01|12)"):
                    client.recv(PATIENCE)
            daemon.finish(before)
            assert daemon.daemon.process.wait(PATIENCE) == -signal.SIGTERM
            areServed(found, "moved")

    @staticmethod
    def isParent(stat: Path, daemon: Upgradable) -> bool:
        """Whether a process is the new parent: that of the last worker that was started."""
        workers = pidOf(daemon.daemon, 0)
        try:
            return workers in childrenOf(int(stat.parent.name))
        except OSError:
            return False


class TestSystemd:
    def test_the_old_parent_names_the_new_one_which_is_ready_then(
        self, keeper: Keeper, ends: list[int], tmp_path: Path
    ) -> None:
        (tmp_path / "wsd.toml").write_text(f"port = 0\n{CONFIG}")
        environ = {"NOTIFY_SOCKET": keeper.address, "WATCHDOG_USEC": "20000000"}
        with running(tmp_path, "wsd serve", "-c", "wsd.toml", **environ) as daemon:
            first = keeper.hear("READY=1")
            keeper.hear("FDSTORE=1")
            # One socket for each worker, at each of two addresses.
            assert len(keeper.kept["wsd-kept"]) == 4
            daemon.send(signal.SIGUSR2)
            main = keeper.hear("MAINPID=")
            ends.append(int(main.text.removeprefix("MAINPID=")))
            assert main.pid == first.pid != ends[0]
            ready = keeper.hear("READY=1")
            assert (ready.pid, ready.text) == (ends[0], first.text)
            until(lambda: not isAlive(first.pid), "the end of the old parent")
            assert not any(said.text.startswith("STOPPING=1") for said in keeper.told)
            found = re.search(r"ws://127\.0\.0\.1:\d+/", first.text)
            assert found is not None
            assert echoes(found[0].rstrip("/"))
            os.kill(ends[0], signal.SIGTERM)
            assert keeper.hear("STOPPING=1").pid == ends[0]
            until(lambda: not isAlive(ends[0]), "the end of the new parent")

    def test_a_reload_renews_the_sockets_that_are_kept(self, keeper: Keeper, tmp_path: Path) -> None:
        config = f'host = "127.0.0.1"\n{CONFIG}'
        (tmp_path / "wsd.toml").write_text(f"port = 0\n{config}")
        with running(tmp_path, "wsd serve", "-c", "wsd.toml", NOTIFY_SOCKET=keeper.address) as daemon:
            keeper.hear("FDSTORE=1")
            assert len(keeper.kept["wsd-kept"]) == 2
            (tmp_path / "wsd.toml").write_text(f'port = 0\nlisten = "unix:{tmp_path}/wsd.sock"\n{config}')
            daemon.send(signal.SIGHUP)
            keeper.hear("RELOADING=1")
            keeper.hear("FDSTORE=1")
            assert f"ws+unix:{tmp_path}/wsd.sock" in keeper.hear("READY=1").text
            kept = [socket.socket(fileno=os.dup(each)) for each in keeper.kept["wsd-kept"]]
            assert len(kept) == 3
            assert f"{tmp_path}/wsd.sock" in [each.getsockname() for each in kept]
            for each in kept:
                each.close()

    def test_after_a_crash_all_sockets_that_were_kept_are_used_again(self, keeper: Keeper, tmp_path: Path) -> None:
        (tmp_path / "wsd.toml").write_text(f'port = 0\nhost = "127.0.0.1"\n{CONFIG}')
        with running(tmp_path, "wsd serve", "-c", "wsd.toml", NOTIFY_SOCKET=keeper.address) as daemon:
            keeper.hear("FDSTORE=1")
            workers = childrenOf(daemon.pid)
            daemon.stop(signal.SIGKILL)
            # Until they notice, they accept connections, and then close them.
            until(lambda: not any(isAlive(pid) for pid in workers), "the end of the workers")
        kept = [socket.socket(fileno=os.dup(each)) for each in keeper.kept["wsd-kept"]]
        assert len({each.getsockname() for each in kept}) == 1
        with ExitStack() as stack:
            # Meanwhile clients wait in the queues of both.
            address = kept[0].getsockname()
            waiting = [stack.enter_context(socket.create_connection(address)) for _ in range(16)]
            for each in waiting:
                each.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                each.settimeout(PATIENCE)
            options = ["-c", "wsd.toml"]
            environ = {"NOTIFY_SOCKET": keeper.address}
            with activated(tmp_path, kept, "wsd-kept:wsd-kept", *options, mode="wsd serve", **environ) as process:
                assert urlOf(kept[0]).rstrip("/") in keeper.hear("READY=1").text
                for each in waiting:
                    assert each.recv(100).startswith(b"HTTP/1.1 200")
                process.terminate()
                process.wait(PATIENCE)
        for each in kept:
            each.close()
