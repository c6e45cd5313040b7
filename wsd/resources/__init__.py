"""
HTTP for protocols: resources, answers by coroutines, pages with their files, what clients accept, and codings.

A resource is one of twisted.web. It raises `wsd.head.Refused` to answer with an error, which `wsd.web` renders.
"""

from wsd.resources.accept import prefersChinese, prefersHtml
from wsd.resources.answers import answerBy, finish, setFields
from wsd.resources.codings import compressedFor, contentCoding, decodedBody
from wsd.resources.interfaces import IBody, IStreamed, Slots
from wsd.resources.pages import PAGE_POLICY, PageFiles

__all__ = [
    "PAGE_POLICY",
    "IBody",
    "IStreamed",
    "PageFiles",
    "Slots",
    "answerBy",
    "compressedFor",
    "contentCoding",
    "decodedBody",
    "finish",
    "prefersChinese",
    "prefersHtml",
    "setFields",
]
