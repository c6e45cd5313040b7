"""README.md and docs/: every example is run or read by the daemon's own code, every link leads somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.commands import PATIENCE, Running, environment, running
from tests.firstuse.page import isFollowed
from tests.processes.test_passing import move
from tests.wire import Daemon
from wsd.config import Config, Policies, parse
from wsd.config.values import KIB, MIB
from wsd.connection.api import ConnectionApi
from wsd.processes.packing import pack, unpack
from wsd.protocols import load as loadProtocol
from wsd.protocols import optionsOf
from wsd.protocols.echo import Switches

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("README*.md"), ROOT / "CHANGES.md", *ROOT.glob("docs/*.md")])
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text("utf-8") for page in PAGES}
IMAGES = sorted(ROOT.glob("docs/*.png"))


class Block(NamedTuple):
    """A piece of code on a page; an indented one has no language."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def _blocks(page: str) -> Iterator[Block]:
    language: str | None = None
    kept: list[str] = []
    began, blank = 0, True
    for number, line in enumerate([*TEXTS[page].splitlines(), ""], 1):
        if line.startswith("```"):
            if language is None:
                language, began, kept = line[3:], number, []
            else:
                yield Block(page, began, language, "".join(f"{each}\n" for each in kept))
                language, kept = None, []
        elif language is not None:
            kept.append(line)
        elif line.startswith("    ") and (blank or kept):
            began = began if kept else number
            kept.append(line[4:])
        elif kept:
            yield Block(page, began, "", "".join(f"{each}\n" for each in kept))
            kept = []
        blank = not line


BLOCKS = [block for page in TEXTS for block in _blocks(page)]


def of(language: str, *pages: str, without: tuple[str, ...] = ()) -> list[Block]:
    """The blocks of a language, on these pages or on all but `without`."""
    return [
        block
        for block in BLOCKS
        if block.language == language and block.page not in without and (not pages or block.page in pages)
    ]


# -- what protocols.md shows, each example in a file of its own --------------------------------------------------------

PROTOCOLS = of("python", "docs/protocols.md")
SHOWN = {block.text[3 : block.text.index(":")]: block for block in PROTOCOLS if block.text.startswith('"""')}
"""The examples of protocols by name."""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The examples in a folder, from which a test can import them."""
    folder = tmp_path_factory.mktemp("package")
    for name, block in SHOWN.items():
        (folder / f"{name}.py").write_text(block.text, "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder
    for name in SHOWN:
        sys.modules.pop(name, None)


@pytest.fixture
def load(package: Path) -> Callable[[str], Any]:
    """The factory of an example, as a route names it."""
    return lambda name: loadProtocol(f"{package}/{name}.py:{name.capitalize()}Factory")


class TestProtocols:
    """docs/protocols.md: its examples do what they say."""

    def test_each_example_is_one_of_those_tested_here(self) -> None:
        assert set(SHOWN) == {"shout", "mirror", "ticketed", "digest", "slow", "board", "counter", "counted"}
        others = [block for block in PROTOCOLS if block not in SHOWN.values()]
        assert [isFollowed(block.page, block.text) for block in others] == [True, True, False]
        assert others[-1] == PROTOCOLS[-1]

    def test_the_example_of_a_test_passes(self, package: Path) -> None:
        names: dict[str, Any] = {}
        exec(compile(PROTOCOLS[-1].text, str(PROTOCOLS[-1]), "exec"), names)
        names["test_it_shouts"]()

    def test_shout_closes_at_what_is_no_text(self, load: Callable[[str], Any]) -> None:
        client = Daemon({"/": load("shout")}).open()
        client.say(b"\x00")
        assert (client.closeCode, client.closeReason) == (1003, "send text")

    def test_mirror_sends_texts_back_from_their_end(self, load: Callable[[str], Any]) -> None:
        client = Daemon({"/": load("mirror")}).open()
        client.say("stressed")
        client.say(b"abc")
        assert client.messages() == ["desserts", b"abc"]

    def test_ticketed_lets_in_who_has_a_ticket(self, load: Callable[[str], Any]) -> None:
        daemon = Daemon({"/": load("ticketed")})
        client = daemon.open("/?ticket=b0a7", subprotocols=["v1.ticketed", "v2.ticketed"])
        assert client.response is not None
        assert client.response.headers["Sec-WebSocket-Protocol"] == "v1.ticketed"
        assert client.response.headers["X-User"] == "Ada"
        assert client.messages() == ["welcome, Ada"]

    def test_ticketed_refuses_everyone_else(self, load: Callable[[str], Any]) -> None:
        client = Daemon({"/": load("ticketed")}).open("/?ticket=none")
        assert client.response is not None
        assert client.response.status_code == 403
        assert client.response.body == b"this ticket is unknown; ask for one at the counter\n"

    def test_digest_is_that_of_the_message(self, load: Callable[[str], Any]) -> None:
        client = Daemon({"/": load("digest")}).open(chunk=1000)
        client.say(bytes(5000))
        client.say("a")
        assert client.messages() == [sha256(bytes(5000)).hexdigest(), sha256(b"a").hexdigest()]

    def test_slow_counts_to_ten_for_one_message_after_the_other(self, load: Callable[[str], Any]) -> None:
        daemon = Daemon({"/": load("slow")})
        client = daemon.open()
        client.say("a")
        client.say("b")
        assert client.messages() == []
        for _ in range(20):
            daemon.reactor.advance(0.1)
            client.exchange()
        assert client.messages() == [f"{number} {name}" for name in "ab" for number in range(1, 11)]

    def test_board_reaches_all_and_who_comes_later(self, load: Callable[[str], Any]) -> None:
        daemon = Daemon({"/": load("board")})
        writer, reader = daemon.open(), daemon.open()
        writer.say("first")
        writer.say(b"last")
        reader.exchange()
        assert writer.messages() == reader.messages() == ["first", b"last"]
        assert daemon.open().messages() == [b"last"]

    def test_counter_goes_on_in_a_new_process(self, load: Callable[[str], Any]) -> None:
        old, new = Daemon({"/": load("counter")}), Daemon({"/": load("counter")})
        one, two = old.open(), old.open()
        assert one.messages(one.say("a")) == ["1 of 1"]
        assert two.messages(two.say("a")) == ["1 of 2"]
        new.factories["/"].restoreState(unpack(pack(old.factories["/"].saveState())), 1)
        move(one, new)
        assert one.messages(one.say("b")) == ["2 of 3"]

    def test_counted_counts_a_body(self, load: Callable[[str], Any]) -> None:
        request = b"POST /counted HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello"
        answer = Daemon({"/counted": load("counted")}).connect().exchange(request)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b"\r\n\r\n5 bytes\n")

    def test_counted_ends_at_what_is_too_long(self, load: Callable[[str], Any]) -> None:
        head = b"POST /counted HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n"
        answer = Daemon({"/counted": load("counted")}).connect().exchange(head + bytes(1_000_001))
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert answer.endswith(b"a body may have at most 1000000 bytes\n")

    def test_counted_reads_no_other_body(self, load: Callable[[str], Any]) -> None:
        request = b"PUT /counted HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n"
        assert Daemon({"/counted": load("counted")}).connect().exchange(request).startswith(b"HTTP/1.1 405 ")

    @pytest.mark.parametrize("name", [name for name in vars(ConnectionApi) if not name.startswith("_")])
    def test_it_tells_each_name_of_the_contract(self, name: str) -> None:
        assert re.search(rf"`(async )?{name}\b", TEXTS["docs/protocols.md"])


# -- configuration -----------------------------------------------------------------------------------------------------


class TestConfigurations:
    """Those of docs/configuration.md have their own tests, in tests/config/test_reading.py."""

    @pytest.mark.parametrize("block", of("toml", without=("docs/configuration.md",)), ids=str)
    def test_each_is_one(self, package: Path, block: Block) -> None:
        if block.text.startswith("[build-system]"):
            assert set(tomllib.loads(block.text)) == {"build-system", "project", "tool"}
            return
        assert parse(block.text, optionsOf, folder=str(package)) != parse("", optionsOf)


# -- commands ----------------------------------------------------------------------------------------------------------

OURS = re.compile(r"(\$ )?(echo \S+ \| )?(\.venv/bin/)?(twistd|twist|wsd|curl)\b")
SERVING = re.compile(r"\S*twistd? |wsd serve\b")
NOT_RUN = {
    r"(tail -f \S+ \| )?wsd topics ": "they go on until they are interrupted; tests/client/test_topics.py runs them",
    r"python3 -m http.server": "it serves until it is interrupted; tests/browser/test_tutorial.py runs it",
    r"wsd listen\b": "it goes on until it is interrupted; tests/tap/test_listen.py runs it",
    r"python3 -m venv": "it makes a folder for `pip install`, which tests/firstuse runs",
    r"make\b": "it installs; the verb `test` is what runs this, and .ci/run runs the others",
    r"(\S+/)?pip install": "it installs; tests/test_packaging.py does so with the wheel",
    r"kill -USR2": "it is about a daemon of the reader's; tests/process/test_upgrade.py does it",
    r"podman ": "it needs a base image; tests/packaging builds it",
    r"export PYTHONPATH": "the test sets it for every command",
    r"wsd blob (get|ls|rm|verify)": "it is about what the reader has in a store; tests/client/test_blob.py runs each",
    r"wsd blob put .*holiday": "it is about a file of the reader's; tests/client/test_blob.py runs it",
    r"echo hello .*wss://": "the daemon of these tests has no TLS; tests/client/test_echo.py trusts a certificate",
    r"htpasswd |curl -s (-u|-H \"Auth)": "the route needs it; tests/process/test_auth.py runs it",
    r".*wsd connect --(basic|cert)": "the route needs it; tests/process/test_auth.py runs it",
    r"wsd why": "it is about a connection in the reader's log; tests/why/test_why.py runs it",
    r"curl .*https://": "it is about a server under a name of the reader's, with a certificate for it",
}
"""Commands that are shown and not run here, each with the reason."""

COMMANDS = [
    block
    for block in BLOCKS
    if block.page != "docs/configuration.md"  # its own tests are in tests/config/test_reading.py
    and not isFollowed(block.page, block.text)  # tests/firstuse does what they say
    and (block.language in ("console", "sh") or (not block.language and OURS.match(block.text)))
]


def steps(block: Block) -> Iterator[tuple[str, str]]:
    """Each command, and what is shown of its output; without a prompt each line is a command."""
    hasPrompt = "$ " in {line[:2] for line in block.text.splitlines()}
    command, output = "", ""
    for line in block.text.splitlines():
        if line.startswith("$ ") or (not hasPrompt and line):
            if command:
                yield command, output
            command, output = line.removeprefix("$ ").partition("  #")[0], ""
        elif hasPrompt:
            output += f"{line}\n"
    yield command, output


def plain(text: str) -> str:
    """An output without what is different each time: times, ids, keys, ports of clients."""
    text = re.sub(r"after \d+\.\d\d ms", "after N ms", text)
    text = re.sub(r"(min|median|max) \d+\.\d\d ms", r"\1 N ms", text)
    text = re.sub(r'"id": "([0-9a-f]{40}|[0-9a-f]{10})"', '"id": "ID"', text)
    text = re.sub(r'"[0-9a-f]{8}-(\d+)"', r'"EPOCH-\1"', text)
    text = re.sub(r'"url": "(.*/)[0-9a-f]{40}"', r'"url": "\1ID"', text)
    return re.sub(r'"port": \d+', '"port": N', text)


def pattern(output: str) -> str:
    """What is shown, as a pattern: a line of three dots stands for any lines, no output for any output."""
    lines = plain(output).splitlines(keepends=True)
    return "".join(r"(?:.*\n)*?" if line == "...\n" else re.escape(line) for line in lines) or r"(?s:.*)"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """What the pages start: `twistd -n wsd --port 9998`, on another port."""
    folder = tmp_path_factory.mktemp("daemon")
    with running(folder, "twistd -n", "--port", "0", XDG_STATE_HOME=str(folder)) as daemon:
        yield daemon


class TestCommands:
    @pytest.mark.parametrize("block", COMMANDS, ids=str)
    def test_each_does_what_is_shown(self, daemon: Running, tmp_path: Path, block: Block) -> None:
        port = daemon.url().rpartition(":")[2]
        for command, output in steps(block):
            if any(re.match(rule, command) for rule in NOT_RUN):
                continue
            assert OURS.match(command), f"{block}: run it here, or say in NOT_RUN why not: {command}"
            done = self.run(tmp_path, command.replace("9998", port))
            if SERVING.match(command):
                assert (done.returncode, done.stdout) == (0, "ok\n"), command
            else:
                expected = pattern(output.replace("9998", port))
                assert re.fullmatch(expected, plain(done.stdout)), f"{command}\n{done.stdout}"

    @staticmethod
    def run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
        """In a shell, where `wsd` is the tree's. A daemon that is started is only asked whether it would: one runs."""
        command = command.removeprefix(".venv/bin/")
        if SERVING.match(command):
            command += " --check"
        (folder / "handlers").mkdir(exist_ok=True)
        tool = folder / "bin" / "wsd"
        tool.parent.mkdir(exist_ok=True)
        tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m wsd "$@"\n')
        tool.chmod(0o755)
        usual = environment(XDG_STATE_HOME=str(folder))
        path = f"{tool.parent}:{sysconfig.get_path('scripts')}:{usual['PATH']}"
        return subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env={**usual, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )

    def test_an_output_that_differs_is_seen(self) -> None:
        assert re.fullmatch(pattern("a\n...\nafter 1.25 ms\n"), plain("a\nb\nc\nafter 0.95 ms\n"))
        assert not re.fullmatch(pattern("a\n...\nz\n"), plain("a\nb\n"))


# -- the browser's lines -----------------------------------------------------------------------------------------------


class TestLinesForTheBrowser:
    """They are run by tests/browser; here only that those run there are the ones shown."""

    RUN = "\n".join(
        path.read_text("utf-8")
        for path in [
            *sorted(ROOT.glob("tests/browser/pages/*.html")),
            *(ROOT / f"tests/browser/test_{name}.py" for name in ("canvas", "topics", "tutorial")),
            ROOT / "tests/process/test_yjs_clients.py",
        ]
    )
    RUN_LINES = frozenset(line.strip() for line in RUN.splitlines())

    @pytest.mark.parametrize("block", [*of("js"), *of("html")], ids=str)
    def test_each_is_run_in_a_browser(self, block: Block) -> None:
        for line in block.text.splitlines():
            assert line.strip() in self.RUN_LINES, line


# -- tables ------------------------------------------------------------------------------------------------------------


class TestTables:
    def test_echo_tells_each_switch(self) -> None:
        table = TEXTS["docs/echo.md"].partition("### Switches")[2].partition("\n#")[0]
        assert set(re.findall(r"^\| `(\w+)", table, re.MULTILINE)) == {field.name for field in fields(Switches)}

    def test_limits_tells_each_policy_with_its_default(self) -> None:
        table = TEXTS["docs/limits.md"].partition("## How much")[2].partition("\n#")[0]
        names = {field.name for field in fields(Policies)}
        told: set[str] = set()
        for row in re.findall(r"^\| .* \|$", table, re.MULTILINE):
            _, limit, default, _ = (cell.strip() for cell in row.strip("|").split(" | "))
            keys = [key for key in re.findall(r"`(\w+)`", limit.partition(", after")[0]) if key in names]
            if keys and keys != ["max_frame"]:
                assert default.startswith(", ".join(self.written(key) for key in keys)), row
            told.update(keys)
        assert names - told == {"over_rate", "close_id", "deflate", "deflate_level", "deflate_memory"}

    @staticmethod
    def written(key: str) -> str:
        """A policy's default, as a person writes it."""
        value = getattr(Config().policies, key)
        (field,) = (field for field in fields(Policies) if field.name == key)
        if field.default_factory is not MISSING:
            return "half of the memory"
        if isinstance(value, float):
            return f"{value:g}" if key.startswith("memory_per_") else f"{value:g} s"
        if not field.metadata.get("size") or not value:
            return str(value)
        return f"{value // MIB} MiB" if value >= MIB else f"{value // KIB} KiB"


# -- the pages themselves ----------------------------------------------------------------------------------------------

HOSTS = {"twisted.org", "autobahn.readthedocs.io", "github.com", "yjs.dev"}
"""Other sites that the pages link to; they are not asked for."""


def prose(page: str) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", TEXTS[page], flags=re.MULTILINE | re.DOTALL)


def links(page: str) -> list[str]:
    """What the links and images of a page lead to."""
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", prose(page)))


def anchors(page: str) -> set[str]:
    """The headings of a page, as a link names them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


class TestPages:
    @pytest.mark.parametrize("page", TEXTS)
    def test_each_link_leads_somewhere(self, page: str) -> None:
        for link in links(page):
            target = urlsplit(link)
            if target.scheme:
                assert target.hostname in HOSTS, link
                continue
            path = (ROOT / page).parent.joinpath(target.path).resolve() if target.path else ROOT / page
            assert path.exists(), link
            if target.fragment:
                assert target.fragment in anchors(path.relative_to(ROOT).as_posix()), link

    def test_the_readme_leads_to_every_page(self) -> None:
        reached = {(ROOT / urlsplit(link).path).resolve() for link in links("README.md")}
        assert {page for page in PAGES if page.name != "README.md"} <= reached

    @pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
    def test_each_image_is_shown(self, image: Path) -> None:
        shown = {(ROOT / page).parent.joinpath(urlsplit(link).path).resolve() for page in TEXTS for link in links(page)}
        assert image in shown

    @pytest.mark.parametrize("page", TEXTS)
    def test_it_speaks_of_the_project_alone(self, page: str) -> None:
        """Not of how it came about, and not of the machine that it was written on."""
        words = r"\b(?:issues?|tasks?|helpers?|todo|fixme)\b|(?<![\w.])/(?:tmp|work|root|mnt)\b"
        assert not re.findall(words, prose(page), re.IGNORECASE)

    def test_every_language_of_a_block_is_looked_at(self) -> None:
        """
        YAML and JSON are what other programs read and write: Prometheus, and the console, whose tests export it.

        The conversations of topics.wsd.v1 are held by tests/protocols/topics/test_page.py. What is for node, and a
        schema, are run by tests/socket/test_soap_docs.py; C# is not run, and its page says so.
        """
        looked = {"python", "toml", "console", "sh", "ini", "js", "html"}
        assert {block.language for block in BLOCKS} - {""} <= looked | {
            "yaml",
            "json",
            "javascript",
            "xml",
            "csharp",
            "topics",
        }
