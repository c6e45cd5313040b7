"""Each page's first part does what it says, for a reader who has nothing but the wheel."""

from __future__ import annotations

import pytest

from tests.firstuse.conftest import isInstallation
from tests.firstuse.page import FIRST_USE, Interrupt, Run, Save, Step, stepsOf
from tests.firstuse.terminal import Terminal
from wsd.uses import NAMES


def follow(terminal: Terminal, page: str, *sections: str, but: int = 0) -> None:
    """Take the steps in these sections, but the last ones."""
    steps = stepsOf(page, *sections)
    terminal.sent(". .venv/bin/activate")
    steps = [step for step in steps if not (isinstance(step, Run) and isInstallation(step.command))]
    terminal.follow(steps[: len(steps) - but])


class TestProtocols:
    def test_the_six_steps_and_the_package(self, terminal: Terminal) -> None:
        follow(terminal, "docs/protocols.md", *FIRST_USE["docs/protocols.md"][:2])
        assert terminal.sent("echo hello | wsd connect ws://localhost:9998/shout") == "Hello\n"

    def test_a_class_of_autobahn(self, terminal: Terminal) -> None:
        follow(terminal, "docs/protocols.md", "Classes of Autobahn")
        assert terminal.sent("echo hello | wsd connect ws://localhost:9998/stock") == "hello\n"


class TestHandlers:
    def test_the_first_handler(self, terminal: Terminal) -> None:
        follow(terminal, "docs/handlers.md", "Your first handler")


class TestSoap:
    def test_the_demonstration_and_the_first_service(self, terminal: Terminal) -> None:
        follow(terminal, "docs/soap.md", *FIRST_USE["docs/soap.md"])
        assert "http://schemas.xmlsoap.org/wsdl/" in (terminal.folder / "greeter.wsdl").read_text()


class TestBlob:
    def test_the_first_upload_and_one_that_is_interrupted(self, terminal: Terminal) -> None:
        follow(terminal, "docs/blob.md", *FIRST_USE["docs/blob.md"], but=1)
        assert (terminal.folder / "copy.txt").read_text() == "hello world\n"
        steps = [step for step in stepsOf("docs/blob.md", "First upload") if isinstance(step, Run)]
        put, serve = steps[-1].command, next(step.command for step in steps if step.command.startswith("wsd serve"))
        receipt, kept = terminal.folder / "receipt.json", terminal.folder / ".local/state"

        def written() -> int:
            return sum(path.stat().st_size for path in kept.rglob("*") if path.is_file())

        before = written()
        terminal.sent(f"{put} >{receipt} 2>&1 &")
        terminal.waitUntil(lambda: written() > before + 10_000_000, "a part of the file is stored")
        terminal.sent("kill -KILL %1; wait %1; true")
        assert receipt.read_text().count('"id"') == 0
        terminal.follow([Run(serve)])
        terminal.sent("wait %2")
        size, digest = terminal.sent("stat -c %s big.bin; sha256sum big.bin").split()[:2]
        answer = receipt.read_text()
        assert f'"size": {size},' in answer
        assert f'"sha256": "{digest}"' in answer


class TestUses:
    def test_every_page_is_copied_with_all_its_files(self, terminal: Terminal) -> None:
        steps = [step for step in stepsOf("docs/uses.md", *FIRST_USE["docs/uses.md"]) if isinstance(step, Run)]
        follow(terminal, "docs/uses.md", *FIRST_USE["docs/uses.md"])
        (terminal.folder / "fetch.py").write_text(FETCH, "utf-8")
        for name in NAMES:
            terminal.follow([Run(step.command.replace("scores", name)) for step in steps[:3]])
            fetched = terminal.sent(f"python3 fetch.py /uses/{name}/").split()
            assert {f"/uses/{name}/{name}.js", f"/uses/{name}/page.json", "/_wsd/base.css"} <= set(fetched)


FETCH = """
# Fetches a page from the static server with all files that it names, and those that these name.
import re, sys
from urllib.parse import urljoin
from urllib.request import urlopen

waiting, fetched = sys.argv[1:], {}
while waiting:
    path = waiting.pop()
    if path not in fetched:
        fetched[path] = text = urlopen(f"http://localhost:8000{path}").read().decode()
        if path.endswith("/"):
            assert 'name="wsd-server" content="http://localhost:9998"' in text
            waiting.append(f"{path}page.json")
        if path.endswith((".js", "/")):
            named = re.findall(r'(?:src=|href=|from |import |import\\(|Worker\\()"([./][^"]*\\.(?:js|css|svg))"', text)
            waiting += [urljoin(path, each) for each in named]
print(*fetched)
"""


class TestTheSteps:
    """The reader of pages itself."""

    def test_protocols_has_all_kinds(self) -> None:
        steps = stepsOf("docs/protocols.md", "Six steps")
        assert [step.name for step in steps if isinstance(step, Save)] == ["shout.py", "wsd.toml"]
        assert Interrupt() in steps
        assert Run("wsd check wsd.toml", "ok\n") in steps

    def test_an_output_that_differs_fails(self, terminal: Terminal) -> None:
        with pytest.raises(AssertionError, match=r"\$ echo a"):
            terminal.follow([Run("echo a", "b\n")])

    def test_a_command_that_fails_fails(self, terminal: Terminal) -> None:
        steps: list[Step] = [Save("x.txt", ""), Run("ls x.txt", "x.txt\n"), Run("ls y.txt")]
        with pytest.raises(AssertionError, match=r"ls y.txt ends with 2"):
            terminal.follow(steps)
