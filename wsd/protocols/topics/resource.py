"""
Topics over HTTP, on the same paths as WebSockets.

POST publishes, GET is history, last values and members in JSON, the history as NDJSON, a long poll, or a stream of
events; DELETE clears.
"""

from __future__ import annotations

import json
from collections.abc import Coroutine, Iterable
from dataclasses import replace
from typing import Any

from twisted.web.error import UnsupportedMethod
from twisted.web.resource import Resource
from zope.interface import implementer

from wsd.connection import Refused
from wsd.connection import Request as Opening
from wsd.policies.origin import checkOrigin
from wsd.protocols.topics.backend import Acknowledgement
from wsd.protocols.topics.encoding import jsonOf
from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.events import EventStream
from wsd.protocols.topics.messages import memberFields
from wsd.protocols.topics.names import isFilter
from wsd.protocols.topics.pages import TopicList
from wsd.protocols.topics.parts import TopicsParts
from wsd.protocols.topics.polling import Poll
from wsd.protocols.topics.posting import NDJSON, Body, isBatch, messageOf, messagesOf
from wsd.protocols.topics.publication import Publication, TopicMessage
from wsd.protocols.topics.query import ReadQuery, WriteQuery, patternOf, readReadQuery, readWriteQuery
from wsd.protocols.topics.replay import Beginning
from wsd.protocols.topics.rules import Action, Levels, Subject
from wsd.protocols.topics.topic import Recovered
from wsd.resources import IBody, IStreamed, answerBy, decodedBody, finish, prefersHtml, setFields

_METHODS = "DELETE, GET, HEAD, OPTIONS, POST"
_ASK = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID"
_EVENTS = "text/event-stream"


@implementer(IStreamed)
class TopicResource(Resource):
    """Every path of the route."""

    isLeaf = True

    def __init__(self, parts: TopicsParts) -> None:
        super().__init__()
        self._parts = parts
        self._list = TopicList(parts)

    def bodyOf(self, request: Any) -> IBody | None:
        """Only a POST has one."""
        if request.head.method != "POST":
            return None
        self._letIn(request)
        request.posted = Body(self._parts.maxMessage)
        body: IBody = request.posted
        return decodedBody(request.head, body)

    def render(self, request: Any) -> Any:
        """Answer; pages of other sites only where the route's origins let them (CORS, as the Fetch standard has it)."""
        self._letIn(request)
        if self._list.answers(request):
            return self._list.render(request)
        try:
            return super().render(request)
        except UnsupportedMethod:
            raise Refused(405, f"the method is not allowed; use one of {_METHODS}", [("Allow", _METHODS)]) from None

    def _letIn(self, request: Any) -> None:
        origin = request.head.headers.get("Origin")
        if origin is None:
            return
        checkOrigin(origin, self._parts.origins, request.head.host, request.site.hosts)
        fields = {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true", "Vary": "Origin"}
        if "Access-Control-Request-Method" in request.head.headers:
            fields["Access-Control-Allow-Methods"] = _METHODS
            fields["Access-Control-Allow-Headers"] = _ASK
            fields["Access-Control-Max-Age"] = "86400"
        setFields(request, fields)

    def render_OPTIONS(self, request: Any) -> int:
        """What a browser asks before a page of another site may ask."""
        return answerBy(request, _answer(request, 204, {"Allow": _METHODS}))

    # -- publishing -----------------------------------------------------------------------------------------------

    def render_POST(self, request: Any) -> int:
        """Publish."""
        return _answerBy(request, self._publish(request))

    async def _publish(self, request: Any) -> None:
        topic, levels, queries = self._topicOf(request)
        if isFilter(topic):
            raise TopicError("filter", f"{topic!r} is a filter, and only topics can be published to")
        query = readWriteQuery(queries, request.head.headers.get("Idempotency-Key"))
        await self._check(Action.publish, topic, levels, self._subjectOf(request, queries))
        content = request.posted.content if request.head.hasBody else b""
        contentType = request.head.headers.get("Content-Type")
        if isBatch(contentType):
            await self._publishAll(request, topic, query, messagesOf(content))
            return
        message = query.applied(messageOf(content, contentType))
        acknowledged = await self._parts.hub.backend.publish(topic, message)
        await _answerJson(request, 202, {}, _acknowledgement(acknowledged))

    async def _publishAll(self, request: Any, topic: str, query: WriteQuery, messages: list[TopicMessage]) -> None:
        numbered = [query.applied(message, number) for number, message in enumerate(messages)]
        acknowledged = await self._parts.hub.backend.publishAll(topic, numbered)
        content = {"count": _json(len(acknowledged)), **_acknowledgement(acknowledged[-1])}
        await _answerJson(request, 202, {}, content)

    # -- reading --------------------------------------------------------------------------------------------------

    def render_GET(self, request: Any) -> int:
        """A stream of events, a long poll, the history in lines, or what there is."""
        return _answerBy(request, self._read(request))

    async def _read(self, request: Any) -> None:
        topic, levels, queries = self._topicOf(request)
        query = readReadQuery(queries, topic, request.head.headers.get("Last-Event-ID"))
        subject = self._subjectOf(request, queries)
        setFields(request, {"Vary": "Accept, Origin"})
        beginning = Beginning(topic, levels, query.last, query.history or 0, query.since)
        accept = request.head.headers.get("Accept") or ""
        if _EVENTS in accept and request.head.method == "GET":
            await self._check(Action.subscribe, topic, levels, subject)
            beginning = replace(beginning, mayReplay=await self._mayReplay(query, topic, levels, subject))
            parts = self._parts
            stream = EventStream(request, parts.hub, beginning, parts.outboxes, query.isEnveloped, parts.clock)
            await parts.streams.run(stream, subject)
        elif query.wait is not None:
            await self._check(Action.subscribe, topic, levels, subject)
            await self._check(Action.history, topic, levels, subject)
            await self._poll(request, beginning, subject, query.wait)
        elif any(name in accept for name in NDJSON):
            await self._check(Action.history, topic, levels, subject)
            await self._showLines(request, beginning, query)
        else:
            await self._show(request, beginning, query, subject)

    async def _mayReplay(self, query: ReadQuery, topic: str, levels: Levels, subject: Subject) -> bool:
        """
        Whether a stream may begin with earlier messages. Raises TopicError if it asks for them and may not.

        An EventSource that reconnects asks by itself. It would give up if that was refused.
        """
        try:
            if query.replays:
                await self._check(Action.history, topic, levels, subject)
        except TopicError:
            if not query.isReconnection:
                raise
            return False
        return True

    async def _poll(self, request: Any, beginning: Beginning, subject: Subject, seconds: float) -> None:
        poll = Poll(self._parts.hub, beginning, self._parts.clock)
        request.notifyFinish().addBoth(lambda _: poll.end())
        replay = await self._parts.streams.poll(poll, subject, seconds)
        content = {
            "topic": _json(beginning.topic),
            "position": _json(str(replay.position)),
            "gap": _json(not replay.isComplete),
            "messages": _list(replay.publications),
        }
        await _answerJson(request, 200, {}, content)

    async def _show(self, request: Any, beginning: Beginning, query: ReadQuery, subject: Subject) -> None:
        """Everything that this subject may see; if that is nothing, the reason."""
        topic, levels, backend = beginning.topic, beginning.levels, self._parts.hub.backend
        content = {"topic": _json(topic)}
        refused = None
        try:
            await self._check(Action.history, topic, levels, subject)
            if not isFilter(topic):
                found = await self._found(topic, query)
                content["position"] = _json(str(found.position))
                if query.since is not None:
                    content["gap"] = _json(not found.isComplete)
                content["history"] = _list(found.publications)
            content["last"] = _list(await backend.last(levels))
        except TopicError as error:
            refused = error
        try:
            await self._check(Action.presence, topic, levels, subject)
            if not isFilter(topic):
                content["members"] = _json([memberFields(member) for member in await backend.members(topic)])
        except TopicError as error:
            refused = refused or error
        if refused is not None and len(content) == 1:
            raise refused
        await _answerJson(request, 200, {}, content)

    async def _showLines(self, request: Any, beginning: Beginning, query: ReadQuery) -> None:
        """The history, each message in a line of its own. Raises TopicError("gap"): lines have no place for one."""
        topic = beginning.topic
        if isFilter(topic):
            raise TopicError("filter", f"{topic!r} is a filter, which has no history; write a topic")
        found = await self._found(topic, query)
        if query.since is not None and not found.isComplete:
            raise TopicError("gap", f"messages after {query.since} are lost; ask without since for those that are left")
        # In JSON, a line end is between two tokens or escaped.
        lines = (jsonOf(publication).replace("\r", " ").replace("\n", " ") for publication in found.publications)
        text = "".join(f"{line}\n" for line in lines)
        finish(request, 200, {"Content-Type": NDJSON[0], "Cache-Control": "no-store"}, text.encode())

    async def _found(self, topic: str, query: ReadQuery) -> Recovered:
        """The part of the history that was asked for."""
        backend = self._parts.hub.backend
        if query.since is not None:
            return await backend.since(topic, query.since)
        count = self._parts.options.history_count if query.history is None else query.history
        return await backend.newest(topic, count)

    # -- clearing -------------------------------------------------------------------------------------------------

    def render_DELETE(self, request: Any) -> int:
        """Clear."""
        return _answerBy(request, self._clear(request))

    async def _clear(self, request: Any) -> None:
        topic, levels, queries = self._topicOf(request)
        if isFilter(topic):
            raise TopicError("filter", f"{topic!r} is a filter; clear topics one at a time")
        await self._check(Action.clear, topic, levels, self._subjectOf(request, queries))
        await self._parts.hub.backend.clear(topic)
        await _answer(request, 204, {})

    # -- who asks for what ----------------------------------------------------------------------------------------

    def _topicOf(self, request: Any) -> tuple[str, Levels, dict[str, str]]:
        topic, levels = patternOf(request.head.path.removeprefix(self._parts.below))
        return topic, levels, Opening(request.head, request.peer).queries

    def _subjectOf(self, request: Any, queries: dict[str, str]) -> Subject:
        return self._parts.access.subjectOf(request, queries)

    def _check(self, action: Action, topic: str, levels: Levels, subject: Subject) -> Coroutine[Any, Any, None]:
        return self._parts.access.check(action, topic, levels, subject)


def _acknowledgement(acknowledged: Acknowledgement) -> dict[str, str]:
    content = {"position": _json(str(acknowledged.position))}
    if acknowledged.isDuplicate:
        content["duplicate"] = _json(True)
    return content


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _list(publications: Iterable[Publication]) -> str:
    return f"[{','.join(map(jsonOf, publications))}]"


def _answerBy(request: Any, coroutine: Coroutine[Any, Any, None]) -> int:
    return answerBy(request, _withErrors(request, coroutine))


async def _withErrors(request: Any, coroutine: Coroutine[Any, Any, None]) -> None:
    """An error is JSON: a code and a sentence. A browser gets a page."""
    try:
        await coroutine
    except TopicError as error:
        fields = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
        if prefersHtml(request.head):
            raise Refused(error.status, error.sentence, list(fields.items())) from None
        content = {"error": _json({"code": error.code, "message": error.sentence})}
        await _answerJson(request, error.status, fields, content)


async def _answer(request: Any, status: int, fields: dict[str, str]) -> None:
    finish(request, status, fields)


async def _answerJson(request: Any, status: int, fields: dict[str, str], content: dict[str, str]) -> None:
    """Answer with an object, whose values are JSON already."""
    text = "{" + ",".join(f'"{name}":{value}' for name, value in content.items()) + "}\n"
    finish(request, status, {"Content-Type": "application/json", "Cache-Control": "no-store", **fields}, text.encode())
