"""
What protocols need of HTTP: the interfaces of resources, answers by coroutines, and pages with their files.

A resource is twisted.web's. It raises `wsd.head.Refused` to answer with an error, which `wsd.web` renders.
"""

from wsd.resources.answers import answerBy, finish, setFields
from wsd.resources.interfaces import IBody, IStreamed, Slots
from wsd.resources.pages import PAGE_POLICY, PageFiles

__all__ = ["PAGE_POLICY", "IBody", "IStreamed", "PageFiles", "Slots", "answerBy", "finish", "setFields"]
