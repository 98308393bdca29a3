"""What is remembered of a timer from one start of the host to the next."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from devhost.triggers.ncrontab import Schedule

log = logging.getLogger(__name__)

NEVER = datetime(1, 1, 1, tzinfo=UTC)
_FILE = "timers.json"


@dataclass(frozen=True)
class TimerStatus:
    """When a timer last ran, is to run next, and when that was worked out; `NEVER` stands for "not yet"."""

    last: datetime
    next: datetime
    last_updated: datetime

    @classmethod
    def from_json(cls, raw: dict[str, str]) -> TimerStatus:
        """Raises KeyError or ValueError on anything that `to_json` did not write."""
        times = (datetime.fromisoformat(raw[key]).astimezone(UTC) for key in ("Last", "Next", "LastUpdated"))
        return cls(*times)

    def to_json(self, zone: tzinfo = UTC) -> dict[str, str]:
        """As a function sees it in `TimerRequest.schedule_status`: ISO 8601 in the timer's zone."""
        times = {"Last": self.last, "Next": self.next, "LastUpdated": self.last_updated}
        return {
            key: (moment if moment == NEVER else moment.astimezone(zone)).isoformat() for key, moment in times.items()
        }

    def brought_up_to_date(self, schedule: Schedule, now: datetime) -> TimerStatus | None:
        """This status if `schedule` still gives its `next`; otherwise what a changed schedule makes of it.

        None when the schedule has no occurrence any more.
        """
        base = next((moment for moment in (self.last, self.last_updated) if moment > NEVER), now)
        expected = schedule.next_after(base)
        if expected == self.next:
            return self
        if expected is not None and now > expected:  # a new schedule is not past due from its first moment
            base, expected = now, schedule.next_after(now)
        return None if expected is None else TimerStatus(last=NEVER, next=expected, last_updated=base)


class TimerStatuses:
    """The statuses of all timers, in `timers.json` of a folder; in memory alone without one."""

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / _FILE
        self._statuses: dict[str, TimerStatus] = {}

    def load(self) -> None:
        """Read the file, if there is one. A spoilt one is named in a warning and counts as none."""
        if self._path is None or not self._path.exists():
            return
        try:
            raw = json.loads(self._path.read_text(encoding="utf-8"))
            self._statuses = {name: TimerStatus.from_json(status) for name, status in raw.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("%s can't be read (%s): all timers count as new.", self._path, error)

    def get(self, function: str) -> TimerStatus | None:
        return self._statuses.get(function)

    def put(self, function: str, status: TimerStatus) -> None:
        """Keep a status. It replaces the file as a whole, so a crash leaves the old one or the new one."""
        self._statuses[function] = status
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({name: kept.to_json() for name, kept in self._statuses.items()}, indent=2)
        draft = self._path.with_suffix(".new")
        draft.write_text(text, encoding="utf-8")
        draft.replace(self._path)
