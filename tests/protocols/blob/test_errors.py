"""The errors of blobs: every code that is raised is in the list, which has no other."""

from __future__ import annotations

import ast
from pathlib import Path

from wsd.protocols.blob import errors
from wsd.protocols.blob.errors import CODES


def raised() -> set[str]:
    """The codes that the modules make errors with."""
    calls = [
        node
        for path in Path(errors.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "BlobError"
    ]
    return {str(ast.literal_eval(call.args[0])) for call in calls}


def test_each_code_is_used_and_none_is_unknown() -> None:
    assert raised() == set(CODES)
