"""Each page's first part does what it says, for a reader who has nothing but the wheel."""

from __future__ import annotations

import pytest

from tests.firstuse.conftest import isInstallation
from tests.firstuse.page import Interrupt, Run, Save, Step, stepsOf
from tests.firstuse.terminal import Terminal


def follow(terminal: Terminal, page: str, *sections: str) -> None:
    steps = stepsOf(page, *sections)
    terminal.sent(". .venv/bin/activate")
    terminal.follow([step for step in steps if not (isinstance(step, Run) and isInstallation(step.command))])


class TestProtocols:
    def test_the_six_steps_and_the_package(self, terminal: Terminal) -> None:
        follow(terminal, "docs/protocols.md", "Six steps", "As a package")
        assert terminal.sent("echo hello | wsd echo ws://localhost:9998/shout").count("Hello") == 1

    def test_a_class_of_autobahn(self, terminal: Terminal) -> None:
        follow(terminal, "docs/protocols.md", "Classes of Autobahn")
        assert "hello" in terminal.sent("wsd echo ws://localhost:9998/stock hello")


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
