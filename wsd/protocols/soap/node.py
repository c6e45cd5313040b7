"""Node: what a SOAP node does with one message (SOAP 1.2 part 1, 2.6): it is understood, carried out, and answered."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.protocols.soap.envelope import Addressing, answerVersion, readEnvelope, write, writeFault
from wsd.protocols.soap.faults import Fault
from wsd.protocols.soap.names import NONE, Version
from wsd.protocols.soap.reader import Reader
from wsd.protocols.soap.service import Bound, Call, Link, Service
from wsd.protocols.soap.threads import Threads
from wsd.protocols.soap.wsdl.contract import Operation


@dataclass(slots=True)
class Answer:
    """An envelope to be sent, "" for none; `fault` is what it tells, when it tells one."""

    text: str
    version: Version
    fault: Fault | None = None


class Node:
    """Answers requests with a service."""

    log = Logger(namespace="wsd")

    def __init__(self, service: Service, threads: Threads, route: str, clock: IReactorTime, timeout: float) -> None:
        self.service = service
        self._threads = threads
        self._route = route
        self._clock = clock
        self._timeout = timeout

    def process(
        self, reader: Reader, spoken: Version, link: Link, action: str = "", addressing: Addressing | None = None
    ) -> Answer | Deferred[Answer]:
        """
        The answer to the message that `reader` was fed, which may take its time.

        `action` is what HTTP said beside the envelope; `addressing` is filled in with what the header says.
        """
        addressing = addressing or Addressing()
        version = spoken
        try:
            root = reader.close()
            version = answerVersion(root, spoken)
            body = readEnvelope(root, spoken, addressing).body
            if _isFault(body, version):
                # A fault is never answered with a fault: that could go on for ever.
                return Answer("", version)
            bound = self.service.select(body, addressing.Action or action)
            if self.service.contract.isCostly:
                return Deferred.fromCoroutine(self._inThread(version, bound, addressing, body, reader.size, link))
            wrong = self.service.contract.valid(body, reader.size)
        except Exception as error:
            return self._failed(version, None, addressing, error)
        return self._carryOut(version, bound, addressing, body, wrong, link)

    async def _inThread(
        self, version: Version, bound: Bound, addressing: Addressing, body: Any, size: int, link: Link
    ) -> Answer:
        """The answer to a request whose validation may take long."""
        checked = self._threads.run(self.service.contract.valid, {"element": body, "size": size})
        checked.addTimeout(self._timeout, self._clock, partial(self._late, bound.operation))
        try:
            wrong = await checked
        except CancelledError:
            raise
        except Exception as error:
            return self._failed(version, None, addressing, error)
        answer = self._carryOut(version, bound, addressing, body, wrong, link)
        return await answer if isinstance(answer, Deferred) else answer

    def _carryOut(
        self, version: Version, bound: Bound, addressing: Addressing, body: Any, wrong: str, link: Link
    ) -> Answer | Deferred[Answer]:
        """The answer of the function; `wrong` is the first error in its request, if any."""
        try:
            if wrong:
                raise Fault(f"the request is not as the contract says: {wrong}")
            arguments = self.service.arguments(bound, body)
        except Fault as fault:
            return self._told(version, addressing, fault)
        try:
            if bound.wantsCall:
                arguments["call"] = Call(self.service, version, link, addressing)
            if bound.isBlocking:
                result: Any = self._threads.run(bound.function, arguments)
            else:
                result = bound.function(**arguments)
        except Exception as error:
            return self._failed(version, bound, addressing, error)
        if hasattr(result, "__await__"):
            return Deferred.fromCoroutine(self._later(version, bound, addressing, result))
        return self._answer(version, bound.operation, addressing, result)

    async def _later(self, version: Version, bound: Bound, addressing: Addressing, result: Any) -> Answer:
        pending = result if isinstance(result, Deferred) else Deferred.fromCoroutine(_awaited(result))
        pending.addTimeout(self._timeout, self._clock, partial(self._late, bound.operation))
        try:
            done = await pending
        except CancelledError:
            raise
        except Exception as error:
            return self._failed(version, bound, addressing, error)
        return self._answer(version, bound.operation, addressing, done)

    def _answer(self, version: Version, operation: Operation, addressing: Addressing, result: Any) -> Answer:
        output = operation.output
        if output is None or addressing.ReplyTo == NONE:
            return Answer("", version)
        try:
            body = self.service.answer(operation, result)
        except Exception as error:
            self.log.error(
                "{route}: the answer of {operation} is not as the contract says: {sentence}",
                event="soap.answer",
                route=self._route,
                operation=operation.name,
                sentence=str(error)[:400],
            )
            fault = Fault("the service answered what its contract does not allow", "Receiver")
            return self._told(version, addressing, fault)
        action = output.action if addressing.used else ""
        return Answer(write(version, body, action, addressing.MessageID), version)

    def _late(self, operation: Operation, value: object, seconds: float) -> None:
        self.log.warn(
            "{route}: {operation} did not answer within {seconds} seconds",
            event="soap.timeout",
            route=self._route,
            operation=operation.name,
            seconds=seconds,
        )
        raise Fault(f"the service did not answer within {seconds:g} seconds", "Receiver")

    def _failed(self, version: Version, bound: Bound | None, addressing: Addressing, error: Exception) -> Answer:
        fault = error if isinstance(error, Fault) else None
        if fault is None and bound is not None:
            try:
                fault = self.service.faultOf(bound.operation, error)
            except ValueError as wrong:
                error = wrong
        if fault is None:
            self.log.failure("{route}: the service failed", Failure(error), event="soap.error", route=self._route)
            fault = Fault("the service failed at this request; the server's log says why", "Receiver")
        if bound is not None and bound.operation.output is None:
            # Who asked one-way does not wait for what came of it.
            return Answer("", version, fault)
        return self._told(version, addressing, fault)

    def _told(self, version: Version, addressing: Addressing, fault: Fault) -> Answer:
        if (addressing.FaultTo or addressing.ReplyTo) == NONE:
            return Answer("", version, fault)
        return Answer(writeFault(version, fault, addressing), version, fault)


async def _awaited(result: Any) -> Any:
    return await result


def _isFault(body: Any, version: Version) -> bool:
    return body is not None and body.tag == f"{{{version.namespace}}}Fault"
