"""Builds the compiled plane, wsd/frames/_fast, which is left out where that fails; all else is in setup.cfg."""

from Cython.Build import cythonize
from setuptools import Extension, setup

setup(
    ext_modules=cythonize(
        [
            Extension(
                "wsd.frames._fast",
                ["wsd/frames/_fast.pyx"],
                depends=["wsd/frames/payload.h"],
                include_dirs=["wsd/frames"],
                extra_compile_args=["-O3"],
                optional=True,
            )
        ],
        build_dir="build",
        quiet=True,
    )
)
