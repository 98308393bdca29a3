"""One time limit for many runs: who has waited longest is due first, so one sleeper watches them all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from datetime import datetime, timedelta

from devhost.clock import Clock


class Deadlines:
    """Calls `expired` for each entry that isn't removed within `limit` of being added.

    As the limit is the same for all, the order of adding is the order of the deadlines: adding and removing
    cost the same with ten thousand entries as with one.
    """

    def __init__(self, limit: timedelta, clock: Clock) -> None:
        self.limit = limit
        self._clock = clock
        self._entries: dict[Hashable, tuple[datetime, Callable[[], None]]] = {}
        self._watch: asyncio.Task[None] | None = None

    def add(self, key: Hashable, expired: Callable[[], None]) -> None:
        self._entries[key] = (self._clock.now() + self.limit, expired)
        if self._watch is None:
            self._watch = asyncio.create_task(self._keep_watch(), name="devhost function timeout")

    def remove(self, key: Hashable) -> None:
        self._entries.pop(key, None)

    def close(self) -> None:
        """Watch no longer."""
        self._entries.clear()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    async def _keep_watch(self) -> None:
        while self._entries:
            key, (due, expired) = next(iter(self._entries.items()))
            if due > self._clock.now():
                await self._clock.sleep_until(due)
                continue
            del self._entries[key]
            expired()
        self._watch = None
