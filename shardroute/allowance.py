"""How much of the processor work beside the callers' may take: counted as it runs, and kept to a share of the time."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from functools import partial
from time import thread_time
from typing import Any, Generic, TypeVar

_Answer = TypeVar("_Answer")


class Allowance:
    """Seconds that may be spent: `share` of those that pass, saved for `saving` seconds at most (a token bucket).

    What has been begun may overdraw it; then nothing is left until that is made up for. A share of 1 has no limit.
    """

    def __init__(self, share: float, saving: float, now: float) -> None:
        self._share = share
        self._most = share * saving
        self._left = self._most
        self._at = now

    def left(self, now: float) -> bool:
        """Whether something may be begun."""
        if self._share >= 1:
            return True
        self._left = min(self._most, self._left + (now - self._at) * self._share)
        self._at = now
        return self._left > 0

    def spend(self, seconds: float) -> None:
        self._left -= seconds


class Metered(Generic[_Answer]):
    """Awaits a coroutine in the same task, and counts the processor time of its steps in `seconds`."""

    def __init__(self, work: Coroutine[Any, Any, _Answer]) -> None:
        self._work = work
        self.seconds = 0.0

    def __await__(self) -> Generator[Any, Any, _Answer]:
        step: Callable[[], Any] = partial(self._work.send, None)
        while True:
            began = thread_time()
            try:
                awaited = step()
            except StopIteration as done:
                answer: _Answer = done.value
                return answer
            finally:
                self.seconds += thread_time() - began
            try:
                yield awaited
            except (
                BaseException
            ) as error:  # whatever it is, it is the work's to hear of: cancellation above all
                step = partial(self._work.throw, error)
            else:
                step = partial(self._work.send, None)
