"""All deadlines of a task hub in one ordered structure."""

from __future__ import annotations

import heapq
from datetime import datetime

from .store import Timer

_Key = tuple[str, str, int]


def _key(timer: Timer) -> _Key:
    return timer.instance_id, timer.execution_id, timer.event_id


class TimerQueue:
    """A heap whose cancelled entries are swept out before they outnumber the live ones."""

    def __init__(self) -> None:
        self._heap: list[Timer] = []
        self._live: dict[str, dict[_Key, Timer]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, timer: Timer) -> None:
        of_instance = self._live.setdefault(timer.instance_id, {})
        self._count += _key(timer) not in of_instance
        of_instance[_key(timer)] = timer
        heapq.heappush(self._heap, timer)

    def discard(self, instance_id: str) -> None:
        """Forget all timers of an instance."""
        self._count -= len(self._live.pop(instance_id, {}))
        if len(self._heap) > 2 * self._count + 64:
            self._heap = [timer for timer in self._heap if self._is_live(timer)]
            heapq.heapify(self._heap)

    def next_due(self) -> datetime | None:
        while self._heap and not self._is_live(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0].fire_at if self._heap else None

    def pop_due(self, now: datetime) -> list[Timer]:
        """Take out everything due at `now`, earliest first."""
        due = []
        while (first := self.next_due()) is not None and first <= now:
            timer = heapq.heappop(self._heap)
            of_instance = self._live[timer.instance_id]
            del of_instance[_key(timer)]
            if not of_instance:
                del self._live[timer.instance_id]
            self._count -= 1
            due.append(timer)
        return due

    def of_instance(self, instance_id: str) -> list[Timer]:
        return sorted(self._live.get(instance_id, {}).values())

    def _is_live(self, timer: Timer) -> bool:
        return self._live.get(timer.instance_id, {}).get(_key(timer)) is timer
