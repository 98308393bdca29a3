"""A clock whose hands the test moves itself: five days pass in no time, nothing comes before it is due."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

START = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
_MOST_TURNS = 10_000
_QUIET_TURNS = 3  # what one side of a socket in memory has sent shows on the other side a turn later


class VirtualClock:
    """A `devhost.clock.Clock`. `advance` wakes each sleeper at its own time, in order."""

    def __init__(self, start: datetime = START) -> None:
        """`start` is timezone-aware."""
        self._now = start
        self._order = count()
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._sleeping: set[asyncio.Task[Any]] = set()
        self._watchers: list[tuple[int, asyncio.Future[None]]] = []
        self._lain_down: asyncio.Future[None] | None = None

    def now(self) -> datetime:
        return self._now

    async def sleep_until(self, when: datetime) -> None:
        if when <= self._now:
            return await asyncio.sleep(0)
        alarm: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (when, next(self._order), alarm))
        self._tell_watchers()
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine always runs in a task
        self._sleeping.add(task)
        try:
            return await alarm
        finally:
            self._sleeping.discard(task)

    @property
    def deadlines(self) -> list[datetime]:
        """When the present sleepers want to be woken, in order."""
        return sorted(when for when, _, alarm in self._sleepers if not alarm.done())

    def awake(self, tasks: Iterable[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
        """Those of the tasks that neither sleep nor have ended."""
        return {task for task in tasks if not task.done() and task not in self._sleeping}

    async def until_rest(self, tasks: Iterable[asyncio.Task[Any]]) -> None:
        """Return when one of the tasks has ended, or when any task lies down to sleep."""
        self._lain_down = asyncio.get_running_loop().create_future()
        await asyncio.wait({*tasks, self._lain_down}, return_when=asyncio.FIRST_COMPLETED)

    def next_due(self) -> datetime | None:
        """When the next sleeper wants to be woken."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def move_to(self, when: datetime) -> None:
        """Set the hands to `when` (never back) and wake who is due then."""
        self._now = max(self._now, when)
        while (due := self.next_due()) is not None and due <= self._now:
            heapq.heappop(self._sleepers)[2].set_result(None)

    async def advance(self, by: timedelta) -> None:
        """Move the hands. Tasks that this wakes run (as far as they get without threads or sockets) at the
        time they asked for, before the hands move on; what they then sleep for counts too."""
        target = self._now + by
        await settle()
        while (due := self.next_due()) is not None and due <= target:
            self.move_to(due)
            await settle()
        self._now = target

    async def sleepers(self, at_least: int = 1) -> None:
        """Return once that many tasks sleep: whoever works meanwhile has come to rest."""
        if len(self.deadlines) >= at_least:
            return
        seen: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watchers.append((at_least, seen))
        async with asyncio.timeout(30):
            await seen

    def _tell_watchers(self) -> None:
        if self._lain_down is not None and not self._lain_down.done():
            self._lain_down.set_result(None)
        present = len(self.deadlines) if self._watchers else 0
        for at_least, seen in self._watchers:
            if present >= at_least and not seen.done():
                seen.set_result(None)
        self._watchers = [watcher for watcher in self._watchers if not watcher[1].done()]


async def settle() -> None:
    """Let the tasks that can run now do so, until none of them can.

    asyncio has no public way to ask that; where a loop of another make hides its queue, many turns have to do.
    """
    ready = getattr(asyncio.get_running_loop(), "_ready", None)
    quiet = 0
    for turn in range(_MOST_TURNS):
        await asyncio.sleep(0)
        quiet = 0 if ready else quiet + 1
        if quiet >= _QUIET_TURNS and (ready is not None or turn >= _MOST_TURNS // 100):
            return
