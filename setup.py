"""Builds what is compiled, which is left out where that fails; all else is in setup.cfg."""

from Cython.Build import cythonize
from setuptools import Extension, setup

COMPILED = {"wsd.frames._fast": ["wsd/frames/payload.h"], "wsd.listen._turn": []}
"""Each module, and what it includes."""

setup(
    ext_modules=cythonize(
        [
            Extension(
                name,
                [name.replace(".", "/") + ".pyx"],
                depends=included,
                include_dirs=["wsd/frames"],
                extra_compile_args=["-O3"],
                optional=True,
            )
            for name, included in COMPILED.items()
        ],
        build_dir="build",
        quiet=True,
    )
)
