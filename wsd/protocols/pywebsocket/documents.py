"""The files of a folder that a route serves beside its handlers, and the CGI programs in it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from io import BytesIO
from os.path import isfile, join, realpath, relpath
from typing import Any

from twisted.python.filepath import FilePath, InsecurePath
from twisted.web.resource import Resource
from twisted.web.static import DirectoryLister, File
from twisted.web.util import redirectTo
from zope.interface import implementer

from wsd.connection import Refused
from wsd.protocols.pywebsocket.access import BasicAuth
from wsd.protocols.pywebsocket.cgi import Programs
from wsd.resources import IBody, IStreamed, decodedBody

_INDEX = ("index.html", "index.htm")

_HANDLER = "_wsh.py"
"""The suffix of handlers' files, which are not served."""


@implementer(IStreamed)
class DocumentRoot(Resource):
    """Answers all HTTP of a route."""

    isLeaf = True

    def __init__(self, root: str, cgiPaths: Sequence[str], programs: Programs, access: BasicAuth, most: int) -> None:
        """`most` limits the bytes of a body that is passed to a program."""
        super().__init__()
        self._root = root
        self._cgi = [[part for part in path.split("/") if part] for path in cgiPaths]
        self._programs = programs
        self._access = access
        self._most = most

    def bodyOf(self, request: Any) -> IBody | None:
        """
        Returns what receives the body of a request to a program; None for all others.

        Raises `Refused` (415) for a content coding other than gzip and deflate.
        """
        self._access.check(request.head)
        if not self._program(_names(request)):
            return None
        return decodedBody(request.head, _ProgramBody(request, self._most))

    def render(self, request: Any) -> int | bytes:
        """Answer with a file, a listing, or the output of a program. Raises `Refused`."""
        self._access.check(request.head)
        names = _names(request)
        depth = self._program(names)
        if depth:
            parts = request.prepath + request.postpath
            offset = len(request.prepath) + depth
            request.prepath, request.postpath = parts[:offset], parts[offset:]
            return self._programs.render(request, join(self._root, *names[:depth]))
        answer: int | bytes = super().render(request)
        return answer

    def render_GET(self, request: Any) -> int | bytes:
        """Answer with a file, or with the index or the listing of a folder. Raises `Refused` (403, 404)."""
        names = _names(request)
        path = self._find(names, request)
        if path.isdir():
            if names and names[-1]:
                return bytes(redirectTo(_withSlash(request), request))
            indices = (path.child(name) for name in _INDEX)
            index = next((file for file in indices if file.isfile() and self._isInside(file.path)), None)
            if index is None:
                _checkReadable(path.path)
                return self._listing(path, request)
            path = index
        _checkReadable(path.path)
        answer: int | bytes = File(path.path, "application/octet-stream").render(request)
        return answer

    render_HEAD = render_GET

    def _find(self, names: list[str], request: Any) -> FilePath[str]:
        """Returns the file or folder at a path. Raises `Refused` (404) if there is none or it is hidden."""
        path = FilePath(self._root)
        try:
            for name in names[:-1] if names and not names[-1] else names:
                if not name or name.startswith(".") or name.endswith(_HANDLER):
                    raise InsecurePath(name)
                path = path.child(name)
            if (path.isdir() or path.isfile()) and self._isInside(path.path):
                return path
        except (InsecurePath, ValueError):
            pass
        raise Refused(404, f"there is nothing at {request.head.path[:80]}")

    def _isInside(self, path: str) -> bool:
        """Whether a path, with its links resolved, is inside the folder and not hidden."""
        root = realpath(self._root)
        parts = relpath(realpath(path), root).split("/")
        return parts == ["."] or not any(name.startswith(".") or name.endswith(_HANDLER) for name in parts)

    def _listing(self, path: FilePath[str], request: Any) -> bytes:
        shown = [
            name
            for name in path.listdir()
            if not (name.startswith(".") or name.endswith(_HANDLER)) and self._isInside(path.child(name).path)
        ]
        content: str | bytes = DirectoryLister(path.path, sorted(shown)).render(request)
        return content.encode() if isinstance(content, str) else content

    def _program(self, names: list[str]) -> int:
        """Returns how many parts of a path name a program; 0 if the path is not one of a program."""
        for folder in self._cgi:
            depth = len(folder) + 1
            if names[: len(folder)] == folder and len(names) >= depth and _isPlain(names[:depth]):
                program = join(self._root, *names[:depth])
                if isfile(program) and self._isInside(program):
                    return depth
                raise Refused(404, f"there is no program {names[depth - 1]!r}")
        return 0


def _checkReadable(path: str) -> None:
    if not os.access(path, os.R_OK):
        raise Refused(403, "the daemon has no permission to read this")


def _isPlain(names: list[str]) -> bool:
    return all(name and not name.startswith(".") and "/" not in name and "\0" not in name for name in names)


def _names(request: Any) -> list[str]:
    """Returns the parts of the path below the route, decoded. Raises `Refused` (400) if they are not UTF-8."""
    try:
        return [part.decode("utf-8") for part in request.postpath]
    except UnicodeDecodeError:
        raise Refused(400, "the path is not UTF-8 after percent-decoding") from None


def _withSlash(request: Any) -> bytes:
    query = f"?{request.head.query}" if request.head.query else ""
    return f"/{request.head.path.strip('/')}/{query}".encode("latin-1")


@implementer(IBody)
class _ProgramBody:
    """The body of a request to a program, kept in memory until it is complete."""

    def __init__(self, request: Any, most: int) -> None:
        self._request = request
        self._most = most
        self._content = BytesIO()

    def received(self, data: bytes) -> None:
        """Called with the next bytes. Raises `Refused` (413) if they are too many."""
        if self._content.tell() + len(data) > self._most:
            raise Refused(413, f"the body of a CGI request may have at most {self._most} bytes")
        self._content.write(data)

    @property
    def kept(self) -> int:
        """The bytes that it has so far."""
        return self._content.tell()

    def ended(self) -> None:
        """Called when the body is complete. Decompressed, it becomes the program's standard input."""
        self._request.content = self._content
        headers = self._request.requestHeaders
        headers.removeHeader(b"content-encoding")
        headers.setRawHeaders(b"content-length", [b"%d" % self._content.tell()])

    def lost(self) -> None:
        """Called when the connection is cut. Nothing is kept."""
