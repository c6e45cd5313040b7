"""Node: reads a request, calls the function behind it, and answers (SOAP 1.2 part 1, 2.6)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.policies.pool import JobTimedOut, PoolFull, PoolShare
from wsd.protocols.soap.envelope import Envelope, readEnvelope, readWithout, write
from wsd.protocols.soap.exchange import Answer, PendingAnswer, Requester, faultAnswer, isOneWay, logUnanswered
from wsd.protocols.soap.faults import Fault
from wsd.protocols.soap.functions import BoundFunction
from wsd.protocols.soap.headers import remember
from wsd.protocols.soap.names import NONE, Version
from wsd.protocols.soap.reader import Document
from wsd.protocols.soap.service import Call, Service
from wsd.protocols.soap.wsdl.contract import Operation


class Node:
    """Answers requests with the functions of a service."""

    log = Logger(namespace="wsd")

    def __init__(self, service: Service, threads: PoolShare, route: str, clock: IReactorTime, timeout: float) -> None:
        self.service = service
        self._threads = threads
        self._route = route
        self._clock = clock
        self._timeout = timeout

    def stop(self) -> Deferred[Any]:
        """Fires at once: the node has no connections of its own."""
        return succeed(None)

    def process(
        self, document: Document, spoken: Version, requester: Requester, action: str = ""
    ) -> Answer | PendingAnswer:
        """Answers a request, with a fault if it fails. `action` is the Action in the HTTP headers, "" for none."""
        envelope = _envelopeOf(document, spoken)
        if envelope.fault is not None:
            return self.refuse(envelope, envelope.fault, requester)
        self._noteOneWay(envelope, requester)
        body = envelope.body
        if body is not None and body.tag == spoken.fault:
            # A fault gets no answer: two nodes would send each other faults for ever.
            return Answer("", envelope.version)
        try:
            bound = self.service.select(body, envelope.addressing.Action or action)
            if document.repeated is None and document.data:
                remember(document.data, document.root, envelope)
            if self.service.contract.takesLong(document.size):
                return _pending(envelope, self._readInThread(envelope, bound, document.size, requester))
            arguments = self._read(bound, body, document.size)
        except Exception as error:
            return self._failed(envelope, None, error, requester)
        return self._call(envelope, bound, arguments, requester)

    def refuse(self, envelope: Envelope, fault: Fault, requester: Requester) -> Answer:
        """Returns the answer with a fault to a request that is not processed."""
        self._noteOneWay(envelope, requester)
        return self._faultAnswer(envelope, fault, requester)

    def _noteOneWay(self, envelope: Envelope, requester: Requester) -> None:
        if isOneWay(envelope.addressing, requester):
            operation = self.service.contract.byAction.get(envelope.addressing.Action)
            envelope.isOneWay = operation is None or operation.output is None

    def _read(self, bound: BoundFunction, body: Any, size: int) -> dict[str, Any]:
        """Returns the arguments of a function, from a request of `size` bytes. Raises `Fault` if it is not valid."""
        invalid = self.service.contract.valid(body, size)
        if invalid:
            raise Fault(f"the request violates the contract: {invalid}")
        return self.service.arguments(bound, body)

    async def _readInThread(self, envelope: Envelope, bound: BoundFunction, size: int, requester: Requester) -> Answer:
        """Answers a request that may take long to validate."""
        try:
            arguments = await self._onThread(bound.operation, self._read, bound=bound, body=envelope.body, size=size)
        except CancelledError:
            raise
        except Exception as error:
            return self._failed(envelope, None, error, requester)
        answer = self._call(envelope, bound, arguments, requester)
        return answer if isinstance(answer, Answer) else await answer.result

    def _call(
        self, envelope: Envelope, bound: BoundFunction, arguments: dict[str, Any], requester: Requester
    ) -> Answer | PendingAnswer:
        """Calls the function."""
        try:
            if bound.wantsCall:
                arguments["call"] = Call(self.service, envelope.version, requester, envelope.addressing)
            if bound.isBlocking:
                result: Any = self._onThread(bound.operation, bound.function, **arguments)
            else:
                result = bound.function(**arguments)
        except Exception as error:
            return self._failed(envelope, bound, error, requester)
        if hasattr(result, "__await__"):
            return _pending(envelope, self._awaitResult(envelope, bound, result, requester))
        return self._resultAnswer(envelope, bound.operation, result, requester)

    def _onThread(self, operation: Operation, work: Callable[..., Any], /, **arguments: Any) -> Deferred[Any]:
        """Runs a function on a thread. The Deferred fails with `Fault` if it takes too long, or cannot be queued."""

        def failed(failure: Failure) -> Failure:
            if failure.check(JobTimedOut):
                self._late(operation, None, self._timeout)
            if failure.check(PoolFull):
                raise Fault("the service is overloaded; try again later", "Receiver")
            return failure

        return self._threads.run(work, **arguments).addErrback(failed)

    async def _awaitResult(self, envelope: Envelope, bound: BoundFunction, result: Any, requester: Requester) -> Answer:
        pending = result if isinstance(result, Deferred) else Deferred.fromCoroutine(_await(result))
        pending.addTimeout(self._timeout, self._clock, partial(self._late, bound.operation))
        try:
            done = await pending
        except CancelledError:
            raise
        except Exception as error:
            return self._failed(envelope, bound, error, requester)
        return self._resultAnswer(envelope, bound.operation, done, requester)

    def _late(self, operation: Operation, value: object, seconds: float) -> None:
        """Called when the function or the validation has timed out. Raises `Fault`."""
        self.log.warn(
            "{route}: {operation} did not answer within {seconds} seconds",
            event="soap.timeout",
            route=self._route,
            operation=operation.name,
            seconds=seconds,
        )
        raise Fault(f"the service did not answer within {seconds:g} seconds", "Receiver")

    # -- answers --------------------------------------------------------------------------------------------------

    def _resultAnswer(self, envelope: Envelope, operation: Operation, result: Any, requester: Requester) -> Answer:
        """Returns the answer with the result of a function, or an empty one for a one-way operation."""
        version, addressing, output = envelope.version, envelope.addressing, operation.output
        if output is None or addressing.ReplyTo == NONE:
            return Answer("", version)
        try:
            body = self.service.answer(operation, result)
        except Exception as error:
            self.log.error(
                "{route}: the answer of {operation} violates the contract: {sentence}",
                event="soap.answer",
                route=self._route,
                operation=operation.name,
                sentence=str(error)[:400],
            )
            wrong = Fault("the service's answer violates its contract", "Receiver")
            return self._faultAnswer(envelope, wrong, requester)
        action = output.action if addressing.used else ""
        return Answer(write(version, body, action, addressing.MessageID), version)

    def _failed(
        self, envelope: Envelope, bound: BoundFunction | None, error: Exception, requester: Requester
    ) -> Answer:
        """Returns the answer to a request that failed, in the function if `bound` is given."""
        fault = error if isinstance(error, Fault) else None
        if fault is None and bound is not None:
            try:
                fault = self.service.faultOf(bound.operation, error)
            except Exception as wrong:
                error = wrong
        if fault is None:
            self.log.failure("{route}: the service failed", Failure(error), event="soap.error", route=self._route)
            fault = Fault("the service failed; see the server's log", "Receiver")
        if bound is not None and bound.operation.output is None:
            # The sender of a one-way message expects no answer, not even a fault.
            return Answer("", envelope.version, fault)
        return self._faultAnswer(envelope, fault, requester)

    def _faultAnswer(self, envelope: Envelope, fault: Fault, requester: Requester) -> Answer:
        """Returns the answer with a fault: an empty one to a one-way message, or if the address of faults is none."""
        if envelope.isOneWay:
            logUnanswered(self.log, self._route, requester, fault)
            return Answer("", envelope.version, fault)
        if (envelope.addressing.FaultTo or envelope.addressing.ReplyTo) == NONE:
            return Answer("", envelope.version, fault)
        return faultAnswer(fault, envelope.version, envelope.addressing)


def _envelopeOf(document: Document, spoken: Version) -> Envelope:
    if document.repeated is not None:
        known, messageId, _ = document.repeated
        if known.version is spoken:
            return readWithout(document.rootWithoutHeader, spoken, known.withId(messageId))
    return readEnvelope(document.root, spoken)


async def _await(result: Any) -> Any:
    return await result


def _pending(envelope: Envelope, answer: Coroutine[Any, Any, Answer]) -> PendingAnswer:
    return PendingAnswer(Deferred.fromCoroutine(answer), envelope.addressing.MessageID)
