"""Builds what is compiled, which is left out where that fails; all else is in setup.cfg."""

from Cython.Build import cythonize
from setuptools import Extension, setup

COMPILED = {
    "wsd/frames/_fast.pyx": ["wsd/frames/payload.h"],
    "wsd/listen/_turn.pyx": [],
    "wsd/listen/records.py": ["wsd/listen/records.pxd"],
    "wsd/listen/sealing.py": ["wsd/listen/sealing.pxd", "wsd/listen/records.pxd"],
    "wsd/listen/secure.py": ["wsd/listen/secure.pxd", "wsd/listen/sealing.pxd", "wsd/listen/records.pxd"],
}
"""Each source, and what it includes. Without a compiler or Python.h, modules that are Python stay uncompiled."""

extensions = cythonize(
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
for extension in extensions:
    # Cython makes extensions of its own from those above, and drops this option.
    extension.optional = True

setup(ext_modules=extensions)
