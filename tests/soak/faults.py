"""
The faults, each with the tests that assert its outcome, and the long runs, each a command of its own.

What happens in each fault stands in docs/operations.md, under "When something fails".
"""

from __future__ import annotations

from tests.soak.outcome import Asserted, Tried

EVERYTHING = ("-m", "")
"""The tests in full size as well, which `make test` leaves out."""

FAULTS = (
    Asserted(
        "killed",
        "The daemon is killed (`kill -9`) during uploads, publishes, a chat and edits of a document",
        "nothing that was acknowledged is lost; uploads, topics and sessions go on",
        (
            "tests/process/test_blob.py::test_killed_at_random_points_it_loses_nothing_that_it_acknowledged",
            "tests/process/test_topics_faults.py::test_a_killed_daemon_with_a_file_loses_and_doubles_nothing",
            "tests/process/test_xmpp_kill.py",
            "tests/process/test_yjs_clients.py",
            "tests/process/test_state.py::test_after_a_kill_the_next_one_has_it_and_a_reload_keeps_it",
        ),
    ),
    Asserted(
        "disk-full",
        "The disk of the stores is full: a small tmpfs for files, writes that fail for topics and XMPP",
        "what cannot be stored is refused, nothing acknowledged is lost, and it goes on once there is room",
        (
            "tests/process/test_blob.py::TestAFullDisk",
            "tests/protocols/topics/test_file.py::TestADiskThatFails",
            "tests/protocols/xmpp/test_storefaults.py::TestAFullDisk",
            "tests/protocols/blob/test_reliable.py::TestADiskThatRefuses",
        ),
    ),
    Asserted(
        "log-full",
        "The disk of the log is full",
        "lines are lost and nothing else; later a line says how many",
        (
            "tests/logs/test_observers.py::TestTheFile::test_on_a_full_disk_costs_lines_and_nothing_else",
            "tests/logs/test_observers.py::TestTheFile::test_says_how_many_lines_a_full_disk_has_cost",
            "tests/logs/test_journal.py",
        ),
    ),
    Asserted(
        "log-moved",
        "The log is rotated away",
        "lines go to the moved file until it is opened anew; what cannot be opened changes nothing",
        (
            "tests/logs/test_observers.py::TestTheFile::test_is_opened_anew_when_it_was_moved",
            "tests/logs/test_observers.py::TestTheFile::test_stays_the_old_one_when_there_can_be_no_new_one",
            "tests/process/test_reload.py::TestTheLog",
        ),
    ),
    Asserted(
        "redis",
        "The Redis of two daemons is killed and started again",
        "every subscriber gets each message once and in order",
        (
            "tests/process/test_topics_faults.py::test_two_daemons_on_a_redis_that_is_killed_lose_and_double_nothing",
            "tests/process/test_topics_faults.py::"
            "test_a_resume_has_no_gap_within_the_retention_and_tells_of_one_beyond",
        ),
    ),
    Asserted(
        "hanging",
        "A backend hangs: the upstream of SOAP and of XMPP, a service and a function that decide who may come in",
        "its time limit ends the wait, nobody is let in meanwhile, and others are served",
        (
            "tests/socket/test_soap_gateway.py::TestABackendThatDies",
            "tests/protocols/xmpp/gateway/test_bridge.py",
            "tests/auth/test_hook.py::TestAService",
            "tests/auth/test_hook.py::TestAFunction",
        ),
    ),
    Asserted(
        "clock",
        "The clock is set by an hour, forth and back",
        "no time-out, ping or delay comes early or late",
        (
            "tests/process/test_clock.py",
            "tests/protocols/xmpp/test_storefaults.py::TestEntriesAfterTheClockWasSetBack",
        ),
    ),
    Asserted(
        "descriptors",
        "All file descriptors are in use",
        "new clients get 503 and others stay; the log says so; who comes later is served",
        ("tests/process/test_service.py::TestFewDescriptors",),
    ),
    Asserted(
        "certificates",
        "Certificate files are deleted, cut or broken",
        "the certificates in use stay; a reload is refused with the name of the file",
        ("tests/listen/test_tls.py::TestRenewal", "tests/listen/test_tls.py::TestWhatCannotBeUsed"),
    ),
    Asserted(
        "stopped",
        "The daemon stands still (`SIGSTOP`) for 3 seconds and for a minute, beside 50 clients that are sent pings",
        "no client is closed",
        ("tests/process/test_paused.py", *EVERYTHING),
    ),
    Asserted(
        "read-only",
        "The state folder is read-only, or cannot be written",
        "what would be stored is refused with a reason; everything else is served",
        (
            "tests/process/test_blob.py::TestAFullDisk::test_a_disk_that_is_read_only",
            "tests/process/test_service.py::TestAStoreThatCannotBeOpened",
            "tests/process/test_state.py::test_where_nothing_can_be_kept_it_says_so_and_serves",
        ),
    ),
    Asserted(
        "shared",
        "Two daemons use one state folder, or a store in it",
        "the second one is refused with one line that names the process of the first",
        (
            "tests/process/test_state.py::test_the_second_says_which_process_has_it_and_ends",
            "tests/process/test_state.py::test_who_names_a_store_in_the_folder_of_another_hears_so",
            "tests/process/test_state.py::test_a_reload_that_names_anothers_store_is_refused",
        ),
    ),
    Asserted(
        "damaged",
        "Databases are cut, cleared or garbled",
        "their routes answer 503 with one line in the log, all others are served, and a good file ends it",
        ("tests/process/test_damaged.py",),
    ),
)

_PROGRAM = "tests.process."

LONG = (
    Asserted(
        "models",
        "The stateful models with forty times as many sequences, and new examples of the other properties",
        "the model and the daemon agree",
        ("tests/property", "--hypothesis-profile=soak"),
    ),
    Asserted(
        "full-size",
        "What `make test` does on a small scale: uploads of 2 GiB, 60 reloads under 1,000 connections, "
        "10,000 edits in two browsers, the packages installed, and others",
        "every test passes",
        ("-m", "soak"),
    ),
    Tried("kills", "200 kills during uploads", "no acknowledged byte is lost", ("-m", f"{_PROGRAM}kills")),
    Tried(
        "worker-kills",
        "30 kills of a worker under load",
        "the others go on, and it is back in seconds",
        ("-m", f"{_PROGRAM}workerkills"),
    ),
    Tried(
        "xmpp-kills",
        "100 kills during a chat",
        "nothing acknowledged is lost or comes twice",
        ("-m", f"{_PROGRAM}xmppkills"),
    ),
    Tried(
        "topic-kills",
        "200 kills during publishes to topics in a file",
        "no message is lost or comes twice",
        ("-m", f"{_PROGRAM}topickills"),
    ),
    Tried(
        "upgrades",
        "Two upgrades under 5,500 connections",
        "no connection is dropped, and no message lost",
        ("-m", f"{_PROGRAM}upgradeload"),
    ),
    Tried(
        "worker-upgrades",
        "The same with two workers",
        "no connection is dropped, and no message lost",
        ("-m", f"{_PROGRAM}upgradeload", "--workers", "2"),
    ),
    Tried(
        "redis-kills",
        "100,000 messages over two daemons on a Redis that is killed, as is one daemon",
        "each position once and in order",
        ("-m", f"{_PROGRAM}topicredis"),
    ),
    Tried(
        "redis-hosts",
        "The same on two hosts",
        "each position once and in order",
        ("-m", f"{_PROGRAM}topicredis", "--hosts"),
    ),
    Tried(
        "conformance-workers",
        "The Autobahn suite with two workers",
        "no case fails",
        ("-m", "tests.conformance", "--plane", "_fast", "--workers", "2"),
    ),
    Tried(
        "conformance-upgrades",
        "The Autobahn suite across upgrades",
        "no case fails",
        ("-m", "tests.conformance", "--upgrade", "--plane", "_fast"),
    ),
    Tried(
        "conformance-both",
        "The Autobahn suite across upgrades with two workers",
        "no case fails",
        ("-m", "tests.conformance", "--upgrade", "--plane", "_fast", "--workers", "2"),
    ),
    Tried(
        "encodings",
        "An hour of random input for the encodings of SOAP",
        "no crash, and both decoders agree",
        ("-m", "tests.protocols.soap.encodings.fuzz", "--seconds", "3600"),
    ),
)
