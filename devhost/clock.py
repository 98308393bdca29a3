"""Time, passed in. Nothing else in devhost reads a clock."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the shell needs of time; the test kit brings one whose hands it moves itself."""

    def now(self) -> datetime:
        """The present, timezone-aware UTC."""

    async def sleep_until(self, when: datetime) -> None:
        """Return when `now() >= when`; at once if that is already so."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep_until(self, when: datetime) -> None:
        # In pieces: the loop's own clock is not the wall clock, and may wake a little early.
        while (left := (when - self.now()).total_seconds()) > 0:  # noqa: ASYNC110 - it is time that is waited for
            await asyncio.sleep(min(left, 86400.0))
