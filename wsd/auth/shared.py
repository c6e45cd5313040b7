"""Equal questions that are asked at the same time, or soon after each other, share one answer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

_T = TypeVar("_T")


class SharedAnswers(Generic[_T]):
    """
    Answers by question. At most `most` of them are kept, each for `seconds`; the oldest go first.

    An answer is kept if `keeps` says so. One that is an exception is not.
    """

    def __init__(self, clock: IReactorTime, seconds: float, most: int, keeps: Callable[[_T], bool]) -> None:
        self._clock = clock
        self._seconds = seconds
        self._most = most
        self._keeps = keeps
        self._kept: OrderedDict[Hashable, tuple[float, _T]] = OrderedDict()
        self._waiting: dict[Hashable, list[Deferred[_T]]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    async def get(self, question: Hashable, answer: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """Returns the answer to a question. `answer` is called if nobody has asked it lately."""
        kept = self._kept.get(question)
        if kept is not None:
            if self._clock.seconds() < kept[0]:
                self._kept.move_to_end(question)
                return kept[1]
            del self._kept[question]
        mine: Deferred[_T] = Deferred()
        waiting = self._waiting.get(question)
        if waiting is not None:
            waiting.append(mine)
        else:
            self._waiting[question] = [mine]
            # Not a part of this coroutine: the others wait on if the client that asked first leaves.
            Deferred.fromCoroutine(answer()).addBoth(self._answered, question)
        return await mine

    def _answered(self, answer: _T | Failure, question: Hashable) -> None:
        if not isinstance(answer, Failure) and self._seconds and self._keeps(answer):
            self._kept[question] = (self._clock.seconds() + self._seconds, answer)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        for waiting in self._waiting.pop(question):
            waiting.callback(answer)
