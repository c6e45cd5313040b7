"""
Prints the requirements in setup.cfg and those of the named extras, one a line, for `pip install -r`.

The extra `build` stands for the build requirements in pyproject.toml. pip cannot list them itself, since the project is
not installed for development (docs/development.md says why).
"""

import re
import sys
import tomllib
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parent.parent


def requirements(setup: ConfigParser, extras: list[str]) -> list[str]:
    """The lines of install_requires and of the extras, with `txwsd[extra]` replaced by the lines of that extra."""
    found = setup["options"]["install_requires"].split("\n")
    for extra in extras:
        if extra == "build":
            found += tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
            continue
        for line in setup["options.extras_require"][extra].split("\n"):
            own = re.fullmatch(r"txwsd\[(.*)\]", line)
            found += requirements(setup, own[1].split(",")) if own else [line]
    return list(dict.fromkeys(filter(None, found)))


if __name__ == "__main__":
    parser = ConfigParser()
    parser.read_string((ROOT / "setup.cfg").read_text())
    print("\n".join(requirements(parser, sys.argv[1:])))
