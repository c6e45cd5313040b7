"""
Asks for known vulnerabilities of the installed libraries: `make audit`, and a part of `make check`.

pip-audit looks them up at PyPI. A library with a known vulnerability is a failure. One that could not be looked up is
none: the last line says how many there are, so that nobody takes silence for an audit.
"""

import json
import subprocess
import sys
from typing import Any


def audit(dependencies: list[dict[str, Any]]) -> tuple[list[str], str]:
    """The vulnerabilities that pip-audit reports, a line each, and a sentence on how much was audited."""
    found = [
        f"{each['name']} {each['version']}: {known['id']}, fixed in {', '.join(known['fix_versions']) or 'no release'}"
        for each in dependencies
        for known in each.get("vulns", ())
    ]
    skipped = sum("skip_reason" in each for each in dependencies)
    sentence = f"audited {len(dependencies) - skipped} libraries"
    if skipped:
        sentence += f"; {skipped} could not be audited, because PyPI's vulnerability data cannot be reached for them"
    return found, sentence


def main() -> int:
    command = [sys.executable, "-m", "pip_audit", "--local", "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    try:
        dependencies = json.loads(done.stdout)["dependencies"]
    except ValueError:
        print(f"audited nothing: {(done.stderr.strip().splitlines() or ['pip-audit failed'])[-1]}")
        return 0
    found, sentence = audit(dependencies)
    print("\n".join([*found, sentence]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
