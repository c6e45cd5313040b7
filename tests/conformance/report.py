"""The suite's report: what it must say, and its table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from tests.conformance.cases import TITLES, groupOf

GOOD = frozenset(("OK", "INFORMATIONAL"))

Results = Mapping[str, Mapping[str, object]]
"""What index.json holds for one server: case -> {"behavior": "OK", "behaviorClose": "OK", ...}."""


def faults(results: Results, expected: Sequence[str]) -> list[str]:
    """A sentence for each case that is missing, was not asked for, or did not behave well; none when all is well."""
    found = [f"{case}: missing from the report" for case in expected if case not in results]
    found += [f"{case}: not among the expected cases" for case in results if case not in expected]
    for case in expected:
        for aspect in ("behavior", "behaviorClose"):
            result = results.get(case, {}).get(aspect, "absent")
            if case in results and result not in GOOD:
                found.append(f"{case}: {aspect} {result}")
    return found


def endedByClock(report: Mapping[str, object]) -> bool:
    """
    Whether the suite itself ended the connection of a case, because its time was over: 0.5 to 10 seconds.

    `report` is the file of one case. Nothing has been learnt about the server then but that the two were slow.
    """
    log = report.get("wirelog")
    return isinstance(log, list) and any(entry[0] == "KLE" for entry in log)


def table(results: Results) -> str:
    """A Markdown table: a line for each group, with how many cases were OK, INFORMATIONAL and otherwise, and a sum."""
    lines = ["| group | | cases | OK | INFORMATIONAL | other |", "|--:|---|--:|--:|--:|--:|"]
    tally = Counter((groupOf(case), _judged(result)) for case, result in results.items())
    for group, title in [*TITLES.items(), ("all", "")]:
        counts = [
            sum(count for (of, judged), count in tally.items() if judged == kind and group in (of, "all"))
            for kind in ("OK", "INFORMATIONAL", "other")
        ]
        if any(counts):
            lines.append(f"| {group} | {title} | {sum(counts)} | {counts[0]} | {counts[1]} | {counts[2]} |")
    return "\n".join(lines)


def _judged(result: Mapping[str, object]) -> str:
    if result.get("behaviorClose") not in GOOD:
        return "other"
    behavior = result.get("behavior")
    return str(behavior) if behavior in GOOD else "other"
