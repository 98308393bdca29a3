"""Awaitables of the replayed orchestration: a task completes once and then tells whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Task:
    """Something the walk waits for; `value` is what completed it, `failed` says that it was an error."""

    __slots__ = ("_waiters", "done", "failed", "value")

    def __init__(self) -> None:
        self.done = False
        self.failed = False
        self.value: Any = None
        self._waiters: list[Callable[[], None]] = []

    def complete(self, value: Any = None, *, failed: bool = False) -> None:
        """Complete once; later calls change nothing, as with a .NET TaskCompletionSource."""
        if self.done:
            return
        self.done, self.failed, self.value = True, failed, value
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter()

    def then(self, waiter: Callable[[], None]) -> None:
        """Call `waiter` when the task is done; at once if it is."""
        if self.done:
            waiter()
        else:
            self._waiters.append(waiter)


def completed(*, failed: bool = False) -> Task:
    task = Task()
    task.complete(failed=failed)
    return task


def when_any(children: list[Task]) -> Task:
    """Done with the first child; done at once without children."""
    outer = Task()
    if not children:
        outer.complete()
    for child in children:
        child.then(outer.complete)
    return outer


def when_all(children: list[Task]) -> Task:
    """Done with the last child, whatever became of each."""
    outer = Task()
    left = [len(children)]

    def one_done() -> None:
        left[0] -= 1
        if left[0] == 0:
            outer.complete()

    if not children:
        outer.complete()
    for child in children:
        child.then(one_done)
    return outer
