"""A clock whose hands the test moves itself: five days pass in no time, nothing comes before it is due."""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from itertools import count

START = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
_TURNS = 100  # turns of the loop given to a woken task before the hands move on


class ManualClock:
    """A `devhost.clock.Clock`. `advance` wakes each sleeper at its own time, in order."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._order = count()
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._watchers: list[tuple[int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._now

    async def sleep_until(self, when: datetime) -> None:
        if when <= self._now:
            return await asyncio.sleep(0)
        alarm: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (when, next(self._order), alarm))
        self._tell_watchers()
        return await alarm

    @property
    def deadlines(self) -> list[datetime]:
        """When the present sleepers want to be woken, in order."""
        return sorted(when for when, _, alarm in self._sleepers if not alarm.done())

    async def advance(self, by: timedelta) -> None:
        """Move the hands. Tasks that this wakes run (as far as they get without threads or sockets) at the
        time they asked for, before the hands move on; what they then sleep for counts too."""
        target = self._now + by
        await settle()
        while (due := self._next_due(target)) is not None:
            self._now, alarm = due
            alarm.set_result(None)
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

    def _next_due(self, target: datetime) -> tuple[datetime, asyncio.Future[None]] | None:
        while self._sleepers and self._sleepers[0][0] <= target:
            when, _, alarm = heapq.heappop(self._sleepers)
            if not alarm.done():  # a cancelled sleeper needs no waking
                return when, alarm
        return None

    def _tell_watchers(self) -> None:
        present = len(self.deadlines)
        for at_least, seen in self._watchers:
            if present >= at_least and not seen.done():
                seen.set_result(None)
        self._watchers = [watcher for watcher in self._watchers if not watcher[1].done()]


async def settle() -> None:
    """Let the tasks that can run now do so."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
