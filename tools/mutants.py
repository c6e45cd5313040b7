#!/usr/bin/env python3
"""
Mutation testing: changes one thing in the source at a time, and reports the changes that no test notices.

The mutants are a sample of all possible ones. It depends only on a seed and on the mutated lines, so that a run can be
repeated, and a change of other lines does not change the sample. Each mutant is tried in a copy of the tree with the
tests that mirror its module (mutants.toml). Fails if one survives that is not known to be harmless.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(__file__).with_suffix(".toml")

PATIENCE = 3.0, 20.0
"""The time-out of a mutant: this factor times the duration of its tests without it, plus this many seconds."""

COMPARED = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
COUNTED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.LShift: ast.RShift, ast.BitOr: ast.BitAnd}


@dataclass(frozen=True)
class Mutant:
    """One change of one file: the bytes from `start` to `end` become `new`."""

    path: str
    row: int
    function: str
    """The name of the function that it is in; "" outside of any function."""
    start: int
    end: int
    new: str
    line: str
    """The source line, without its indentation."""
    becomes: str

    def apply(self, source: bytes) -> bytes:
        return source[: self.start] + self.new.encode() + source[self.end :]

    def rank(self, seed: int) -> bytes:
        """Its rank in the order in which mutants are drawn."""
        return sha256(f"{seed} {self.function} {self.line} {self.becomes}".encode()).digest()

    def __str__(self) -> str:
        return f"{self.path}:{self.row} {self.function}  {self.line}  =>  {self.becomes}"


class Mutator(ast.NodeVisitor):
    """Collects the mutants of one module. Annotations, docstrings, log lines and __slots__ are left alone."""

    def __init__(self, path: str, source: bytes) -> None:
        self.found: list[Mutant] = []
        self._path = path
        self._source = source
        self._function = ""
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self.visit(ast.parse(source))

    def _add(self, node: ast.expr | ast.stmt, new: str) -> None:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        begin = self._starts[node.lineno - 1]
        start, end = begin + node.col_offset, self._starts[node.end_lineno - 1] + node.end_col_offset
        stop = self._source.find(b"\n", end)
        before, after = self._source[begin:start].decode(), self._source[end:stop].decode()
        old = self._source[start:end].decode()
        line, becomes = (" ".join((before + middle + after).split()) for middle in (old, new))
        if line != becomes:
            self.found.append(Mutant(self._path, node.lineno, self._function, start, end, new, line, becomes))

    def _become(self, node: ast.expr, new: ast.expr) -> None:
        self._add(node, f"({ast.unparse(new)})")

    # -- left alone -----------------------------------------------------------------------------------------------

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self.visit(default)
        outside, self._function = self._function, node.name
        for statement in node.body:
            self.visit(statement)
        self._function = outside

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_Assign(self, node: ast.Assign) -> None:
        if any(isinstance(target, ast.Name) and target.id == "__slots__" for target in node.targets):
            return
        if any(isinstance(target, (ast.Attribute, ast.Subscript)) for target in node.targets):
            self._add(node, "pass")
        self.visit(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        named = ast.unparse(node.func)
        if ".log." not in f".{named}" and "_log." not in named:
            self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) == "TYPE_CHECKING":
            return
        self._condition(node.test)
        self.generic_visit(node)

    # -- statements -----------------------------------------------------------------------------------------------

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant):
            return
        if isinstance(node.value, (ast.Call, ast.Await)) and ".log." not in ast.unparse(node.value):
            self._add(node, "pass")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._add(node, "pass")
        self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        self._add(node, "pass")

    def visit_Delete(self, node: ast.Delete) -> None:
        self._add(node, "pass")

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is not None:
            if not (isinstance(node.value, ast.Constant) and (node.value.value is None or node.value.value is False)):
                self._add(node, "return None")
            self.visit(node.value)

    # -- expressions ----------------------------------------------------------------------------------------------

    def _condition(self, node: ast.expr) -> None:
        if not isinstance(node, (ast.Compare, ast.UnaryOp)):
            self._become(node, ast.UnaryOp(ast.Not(), node))

    def visit_While(self, node: ast.While) -> None:
        self._condition(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._condition(node.test)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        for at, operator in enumerate(node.ops):
            for other in COMPARED[type(operator)]:
                self._become(
                    node, ast.Compare(node.left, [*node.ops[:at], other(), *node.ops[at + 1 :]], node.comparators)
                )
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        self._become(node, ast.BoolOp(ast.And() if isinstance(node.op, ast.Or) else ast.Or(), node.values))
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self._become(node, node.operand)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        other = COUNTED.get(type(node.op))
        if other is not None and not isinstance(node.left, (ast.JoinedStr, ast.List, ast.Tuple)):
            self._become(node, ast.BinOp(node.left, other(), node.right))
        self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Left alone: it is text for people, and Python 3.11 has no positions inside it."""

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self._add(node, str(not node.value))
        elif isinstance(node.value, int):
            self._add(node, str(node.value + 1))
            if node.value > 0:
                self._add(node, str(node.value - 1))


class Group:
    """A group of modules, and the tests that mirror them."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.name = str(data["name"])
        self.sample = int(data["sample"])
        self.tests = [*map(str, data["tests"]), *(("-k", str(data["but"])) if "but" in data else ())]
        self.paths = [path for pattern in data["modules"] for path in self._matching(pattern)]
        for test in data["tests"]:
            self._matching(test)

    @staticmethod
    def _matching(pattern: str) -> list[str]:
        paths = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(pattern))
        if not paths:
            sys.exit(f"{DATA.name}: there is no {pattern}")
        return paths

    def mutants(self) -> Iterator[Mutant]:
        """All possible mutants."""
        for path in self.paths:
            yield from Mutator(path, (ROOT / path).read_bytes()).found


@dataclass
class Outcome:
    """The result of a mutant: "killed" by a test, "survived", "timed out", or "harmless"."""

    kind: str
    seconds: float
    killer: str = ""


class Tree:
    """A copy of the tree in which mutants are tried."""

    def __init__(self, folder: Path) -> None:
        self._root = folder / "tree"
        left = shutil.ignore_patterns("node_modules", "__pycache__", "*.pyc", "dropin.cache")
        for name in ("wsd", "tests", "twisted", "tools", "conf", "docs"):
            shutil.copytree(ROOT / name, self._root / name, ignore=left)
        for path in ROOT.iterdir():
            if path.is_file():
                shutil.copy2(path, self._root)

    def run(self, tests: list[str], patience: float | None = None) -> Outcome:
        """Run some tests until the first failure."""
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", *tests]
        # Bytecode files have timestamps in seconds, so that one mutant could be taken for another.
        environ = {**os.environ, "PYTHONPATH": str(self._root), "PYTHONDONTWRITEBYTECODE": "1"}
        began = monotonic()
        with subprocess.Popen(
            command,
            cwd=self._root,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        ) as process:
            try:
                output = process.communicate(timeout=patience)[0]
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                return Outcome("timed out", monotonic() - began)
        found = re.search(r"^(?:FAILED|ERROR) (\S.*)", output, re.MULTILINE)
        kind = "killed" if process.returncode else "survived"
        return Outcome(kind, monotonic() - began, found[1] if found else output[-200:] if process.returncode else "")

    def tryOut(self, mutant: Mutant, tests: list[str], patience: float) -> Outcome:
        """Run the tests with a mutant."""
        path = self._root / mutant.path
        source = path.read_bytes()
        path.write_bytes(mutant.apply(source))
        try:
            return self.run(tests, patience)
        finally:
            path.write_bytes(source)


class Harmless:
    """The known survivors: a line of a function and what it becomes; without the latter, all mutants of the line."""

    def __init__(self, data: dict[str, Any]) -> None:
        known = data.get("harmless", ())
        assert all(one["reason"] for one in known)
        self._known = {(str(one.get("function", "")), str(one["line"]), one.get("becomes")) for one in known}

    def __contains__(self, mutant: Mutant) -> bool:
        return not self._known.isdisjoint(self._namesOf(mutant))

    @staticmethod
    def _namesOf(mutant: Mutant) -> set[tuple[str, str, str | None]]:
        return {(mutant.function, mutant.line, becomes) for becomes in (mutant.becomes, None)}

    def stale(self, mutants: list[Mutant]) -> list[str]:
        """The known survivors that no longer exist."""
        there = {name for mutant in mutants for name in self._namesOf(mutant)}
        return sorted(f"{function}  {line}  =>  {becomes or '?'}" for function, line, becomes in self._known - there)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make mutants", description="changes the source, and reports the changes that no test notices"
    )
    parser.add_argument("--seed", type=int, default=1, help="which mutants are drawn")
    parser.add_argument("--only", default="", metavar="TEXT", help="groups or modules with this in their name")
    parser.add_argument("--times", type=float, default=1.0, help="so many times as many mutants")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    data = tomllib.loads(DATA.read_text(encoding="utf-8"))
    groups = [Group(each) for each in data["group"]]
    harmless = Harmless(data)
    for stale in harmless.stale([mutant for group in groups for mutant in group.mutants()]):
        print(f"{DATA.name}: this mutant no longer exists: {stale}")
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="mutants") as folder:
        tree = Tree(Path(folder))
        for group in groups:
            mutants = [mutant for mutant in group.mutants() if given.only in group.name or given.only in mutant.path]
            drawn = sorted(mutants, key=lambda mutant: mutant.rank(given.seed))[: round(group.sample * given.times)]
            if not drawn:
                continue
            whole = tree.run(group.tests)
            if whole.kind != "survived":
                sys.exit(f"{group.name}: the tests fail without any change: {whole.killer}")
            print(f"# {group.name}: {len(drawn)} of {len(mutants)} mutants", flush=True)
            for mutant in sorted(drawn, key=lambda mutant: (mutant.path, mutant.start)):
                outcome = tree.tryOut(mutant, group.tests, PATIENCE[0] * whole.seconds + PATIENCE[1])
                if outcome.kind == "survived" and mutant in harmless:
                    outcome.kind = "harmless"
                counts[outcome.kind] += 1
                killer = outcome.killer.partition(" - ")[0].rpartition("/")[2]
                print(f"{outcome.kind:9} {outcome.seconds:4.0f} s  {mutant}  {killer and f'({killer})'}", flush=True)
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.most_common()))
    return 1 if counts["survived"] else 0


if __name__ == "__main__":
    sys.exit(main())
