"""How many HTTP functions run at once, and how many requests may wait for their turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class TooManyRequestsError(Exception):
    """`maxOutstandingRequests` are under way already: 429."""


class Throttle:
    """`outstanding`: most requests running or waiting; `concurrent`: most running. -1 is no limit."""

    def __init__(self, outstanding: int = -1, concurrent: int = -1) -> None:
        self._most = outstanding
        self._under_way = 0
        self._turns = asyncio.Semaphore(concurrent) if concurrent > 0 else None

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn and hold it. Raises TooManyRequestsError at once when too many wait."""
        if 0 < self._most <= self._under_way:
            raise TooManyRequestsError
        self._under_way += 1
        try:
            if self._turns is None:
                yield
            else:
                async with self._turns:
                    yield
        finally:
            self._under_way -= 1
