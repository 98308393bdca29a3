"""What a live host does on a bad day, each on request: seen on one, and fatal for apps that know only good days."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields
from datetime import timedelta

_NOTHING = timedelta(0)


@dataclass(frozen=True)
class BadDays:
    """Which of the live host's bad days to play; none unless asked for.

    - `lose_events_to_pending`: an event raised to an instance that is still Pending is accepted (202) and lost.
    - `late_starts`: how late a new instance begins to run, such as `timedelta(seconds=3)`; it is Pending till then.
    - `early_timers`: how much too early a durable timer fires, less than a second.
    - `slow_recovery`: after a kill, what was interrupted runs again only after this time; the live host's queue
      messages stay hidden for five minutes, or as `controlQueueVisibilityTimeout` and
      `workItemQueueVisibilityTimeout` of host.json say, which is what a mix plays.
    - `duplicate_messages`: a queue message that was dealt with comes once more.
    - `unordered_events`: of two events raised to an instance within a second, the later one arrives first.
    - `mix`: the seed of a mixture: every one of the above that is not set otherwise happens now and then.
    """

    lose_events_to_pending: bool = False
    late_starts: timedelta = _NOTHING
    early_timers: timedelta = _NOTHING
    slow_recovery: timedelta = _NOTHING
    duplicate_messages: bool = False
    unordered_events: bool = False
    mix: int | None = None

    def __post_init__(self) -> None:
        if not _NOTHING <= self.early_timers < timedelta(seconds=1):
            raise ValueError(f"early_timers must be less than a second, as on a live host, not {self.early_timers}.")
        for name in ("late_starts", "slow_recovery"):
            if getattr(self, name) < _NOTHING:
                raise ValueError(f"{name} must not be negative: {getattr(self, name)}.")

    @classmethod
    def names(cls) -> list[str]:
        return [each.name for each in fields(cls)]


_LATEST_START_SECONDS = 3.0
_OFTEN = 0.3


class Dice:
    """Decides for each occasion whether the bad day strikes; the same seed and occasions give the same days."""

    def __init__(self, days: BadDays) -> None:
        self._days = days
        self._mixed = days.mix is not None
        self._random = random.Random(days.mix)  # noqa: S311 - a repeatable test, guards nothing

    def loses_event(self) -> bool:
        # Always in a mix, too: an app can't tell how often it is lucky.
        return self._days.lose_events_to_pending or self._mixed

    def start_delay(self) -> timedelta:
        if self._days.late_starts or not self._strikes():
            return self._days.late_starts
        return timedelta(seconds=self._random.uniform(0, _LATEST_START_SECONDS))

    def early_by(self) -> timedelta:
        if self._days.early_timers or not self._strikes():
            return self._days.early_timers
        return timedelta(seconds=self._random.uniform(0, 0.999))

    def recovery_delay(self, hidden: timedelta) -> timedelta:
        if self._days.slow_recovery or not self._strikes():
            return self._days.slow_recovery
        return hidden

    def delivers_twice(self) -> bool:
        return self._days.duplicate_messages or self._strikes()

    def overtakes(self) -> bool:
        return self._days.unordered_events or self._strikes()

    def _strikes(self) -> bool:
        return self._mixed and self._random.random() < _OFTEN
