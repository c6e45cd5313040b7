"""
`python -m tests.process.workerkills [--times 30]`: kills workers under load, the owner as often as another one.

After each kill the other worker must go on, all must be back soon, and no counter may fall. `make soak` runs it.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import threading
import time
from contextlib import ExitStack

from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection

from tests.daemon import RunningDaemon, runningDaemon
from tests.process.test_workers import CONFIG, isReady, metrics, open_, pidOf, workerOf

CLIENTS = 40


class Talk:
    """A client that sends numbered messages and checks each echo, until its connection is lost or it is stopped."""

    def __init__(self, client: ClientConnection, worker: int) -> None:
        self.worker = worker
        self.count = 0
        self.wrong: str | None = None
        self.isLost = False
        self._client = client
        self._isOver = False
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._thread.start()

    def _talk(self) -> None:
        try:
            while not self._isOver:
                text = f"message {self.count}"
                self._client.send(text)
                if (said := self._client.recv(30)) != text:
                    self.wrong = f"{said!r} instead of {text!r}"
                    return
                self.count += 1
        except ConnectionClosed:
            self.isLost = True
        except (OSError, TimeoutError, WebSocketException) as error:
            self.wrong = repr(error)

    def stop(self) -> None:
        """Wait until it has ended."""
        self._isOver = True
        self._thread.join(60)


def counters(daemon: RunningDaemon) -> dict[str, float]:
    return {name: value for name, value in metrics(daemon).items() if name.partition("{")[0].endswith("_total")}


def once(daemon: RunningDaemon, victim: int) -> float:
    """Kill a worker under load. Returns the seconds until all are back. Raises AssertionError if anything is wrong."""
    with ExitStack() as stack:
        # The log has at most 60 lines a minute about one address.
        addresses = [(f"127.0.0.{1 + number % 10}", 0) for number in range(CLIENTS)]
        clients = [stack.enter_context(open_(daemon, source_address=address)) for address in addresses]
        talks = [Talk(client, workerOf(daemon, client)) for client in clients]
        time.sleep(1.5)
        before, pid, begin = counters(daemon), pidOf(daemon, victim), time.monotonic()
        counts = [talk.count for talk in talks]
        os.kill(pid, signal.SIGKILL)
        while pidOf(daemon, victim) == pid or not isReady(daemon):
            time.sleep(0.01)
        back = time.monotonic() - begin
        time.sleep(0.5)
        for talk in talks:
            talk.stop()
        assert not [talk.wrong for talk in talks if talk.wrong]
        assert all(talk.isLost == (talk.worker == victim) for talk in talks), "others are gone than its own"
        assert all(talk.count > count for talk, count in zip(talks, counts, strict=True) if talk.worker != victim)
        after = counters(daemon)
        # What it had counted in its last second is missing.
        missing = {
            name: (value, after.get(name, 0.0)) for name, value in before.items() if after.get(name, 0.0) < value
        }
        assert all(name.startswith(("wsd_messages", "wsd_bytes", "process_", "python_")) for name in missing), missing
        return back


def main() -> None:
    """Kill so many times, and say how long it took until all were back."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=30)
    given = parser.parse_args()
    times: list[float] = []
    with runningDaemon(config=CONFIG) as daemon:
        for number in range(given.times):
            times.append(once(daemon, random.randrange(2)))
            # A worker that has lived for less than ten seconds is not started again at once the second time.
            time.sleep(10)
            print(f"{number + 1}: back after {times[-1]:.2f} s", flush=True)
    middle = sorted(times)[len(times) // 2]
    print(f"{given.times} kills, back after {middle:.2f} s in the median, {max(times):.2f} s at most")


if __name__ == "__main__":
    main()
