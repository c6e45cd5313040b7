"""tools/audit.py: what `make audit` makes of pip-audit's report."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

TOOL = Path(__file__).parent.parent / "tools/audit.py"


def audit(*dependencies: dict[str, Any]) -> tuple[list[str], str]:
    spec = spec_from_file_location("audit", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    found: tuple[list[str], str] = module.audit(list(dependencies))
    return found


def test_a_vulnerability_is_a_line_with_the_release_that_mends_it() -> None:
    known = {"id": "PYSEC-2026-1", "fix_versions": ["2.0", "1.5.1"]}
    found, sentence = audit({"name": "leaky", "version": "1.4", "vulns": [known]}, {"name": "fine", "vulns": []})
    assert found == ["leaky 1.4: PYSEC-2026-1, fixed in 2.0, 1.5.1"]
    assert sentence == "audited 2 libraries"


def test_what_could_not_be_looked_up_is_counted() -> None:
    found, sentence = audit({"name": "unknown", "skip_reason": "not found"}, {"name": "fine", "vulns": []})
    assert found == []
    assert sentence.startswith("audited 1 libraries; 1 could not be audited")
