"""Builds what is compiled, and bundles libraries from npm. Either is left out if it fails. The rest is in setup.cfg.

With $WSD_PURE set, nothing is compiled, so that the wheel is for every Python and every machine.
"""

import os
import subprocess
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_py import build_py

COMPILED = {
    "wsd/_head.pyx": [],
    "wsd/frames/_fast.pyx": ["wsd/frames/payload.h"],
    "wsd/listen/_turn.pyx": [],
    "wsd/listen/_openssl.pyx": ["wsd/listen/records.pxd"],
    "wsd/listen/records.py": ["wsd/listen/records.pxd"],
    "wsd/listen/sealing.py": ["wsd/listen/sealing.pxd", "wsd/listen/records.pxd"],
    "wsd/listen/secure.py": ["wsd/listen/secure.pxd", "wsd/listen/sealing.pxd", "wsd/listen/records.pxd"],
    "wsd/protocols/soap/encodings/_nbfx.pyx": [],
}
"""Each source, and what it includes. Without a compiler or Python.h, modules that are Python stay uncompiled."""

extensions = (
    []
    if os.environ.get("WSD_PURE")
    else cythonize(
        [
            Extension(
                source.partition(".")[0].replace("/", "."),
                [source],
                depends=included,
                include_dirs=["wsd/frames"],
                extra_compile_args=["-O3"],
            )
            for source, included in COMPILED.items()
        ],
        build_dir="build",
        # Without nonecheck, C would read invalid memory where Python raises AttributeError.
        compiler_directives={"language_level": 3, "annotation_typing": False, "nonecheck": True},
        quiet=True,
    )
)
for extension in extensions:
    # Cython makes extensions of its own from those above, and drops this option.
    extension.optional = True


class BuildWithLibraries(build_py):
    """Bundles the libraries of the pages of uses first, unless they are there: a source distribution has them."""

    LIBRARIES = Path("wsd/uses/lib/LICENSES.txt")

    def run(self):
        """Build the modules and their data."""
        if not self.LIBRARIES.exists():
            try:
                subprocess.run(["node", "wsd/uses/bundle/bundle.mjs"], check=True, timeout=300)
            except (OSError, subprocess.SubprocessError) as error:
                print(f"warning: built without the libraries of the pages of uses: {error}", file=sys.stderr)
        super().run()


setup(ext_modules=extensions, cmdclass={"build_py": BuildWithLibraries})
