"""Timer schedules: six- or five-field NCRONTAB text, or a TimeSpan, in a time zone that keeps summer time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cached_property
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from devhost.settings import parse_timespan, timespan_text

MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
          "november", "december")  # fmt: skip
WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_LOOK_AHEAD_YEARS = 40  # 29 February on a given weekday comes back within 40 years, over 2100 too
_SECOND = timedelta(seconds=1)


class Schedule(Protocol):
    """When a timer fires next."""

    @property
    def adjusts_for_dst(self) -> bool:
        """True for clock times, False for intervals: what a function sees as `AdjustForDST`."""

    def next_after(self, moment: datetime) -> datetime | None:
        """The first occurrence after `moment` (aware), in UTC; None if there is none (30 February)."""

    def monitored_at(self, moment: datetime) -> bool:
        """False when it comes round more often than once a minute: the host keeps no status then."""

    def describe(self) -> str:
        """As in the start-up log line: `Cron: '0 * * * * *'` or `Constant: 00:05:00`."""


def parse(text: str, zone: tzinfo = UTC) -> Schedule:
    """A schedule from the text of a timer trigger, its clock times meant in `zone`.

    Raises ValueError with the host's own words when the text is neither NCRONTAB nor a TimeSpan above zero.
    """
    fields = text.split()
    if len(fields) in (5, 6):
        try:
            return CronSchedule.from_fields(fields, zone)
        except ValueError as reason:
            raise ValueError(_not_recognised(text)) from reason
    interval = parse_timespan(text)
    if interval is None or interval <= timedelta(0):
        raise ValueError(_not_recognised(text))
    return ConstantSchedule(interval)


def _not_recognised(text: str) -> str:
    return f"The schedule expression '{text}' was not recognized as a valid cron expression or timespan string."


# ---------------------------------------------------------------------------------------------- fields


@dataclass(frozen=True)
class Field:
    """One field of an expression: its limits and the names its values may have."""

    low: int
    high: int
    names: tuple[str, ...] = ()

    def parse(self, text: str) -> frozenset[int]:
        """The values that `text` allows. Raises ValueError."""
        return frozenset(value for item in text.split(",") for value in self._item(item))

    def _item(self, text: str) -> range:
        body, slash, step_text = text.partition("/")
        step = max(int(step_text), 1) if slash else 1
        if body == "*":
            return range(self.low, self.high + 1, step)
        first_text, dash, last_text = body.partition("-")
        first = self._value(first_text)
        if dash:
            first, last = sorted((first, self._value(last_text)))
        else:
            last = self.high if slash else first
        return range(first, last + 1, step)

    def _value(self, text: str) -> int:
        if text[:1].isdecimal():
            value = int(text)
        else:
            value = next((self.low + at for at, name in enumerate(self.names) if name.startswith(text.lower())), -1)
        if not text or not self.low <= value <= self.high:
            raise ValueError(f"'{text}' is not a value from {self.low} to {self.high}")
        return value

    def expanded(self, values: frozenset[int]) -> str:
        """The values as the host writes them back: `*`, or runs and single values joined by commas."""
        runs: list[tuple[int, int]] = []
        for value in sorted(values):
            if runs and value == runs[-1][1] + 1:
                runs[-1] = (runs[-1][0], value)
            else:
                runs.append((value, value))
        if runs == [(self.low, self.high)]:
            return "*"
        return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


SECOND, MINUTE, HOUR, DAY = Field(0, 59), Field(0, 59), Field(0, 23), Field(1, 31)
MONTH, WEEKDAY = Field(1, 12, MONTHS), Field(0, 6, WEEKDAYS)
FIELDS = (SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY)


# ---------------------------------------------------------------------------------------------- schedules


@dataclass(frozen=True)
class CronSchedule:
    """Clock times. `values` holds the allowed seconds, minutes, hours, days, months and weekdays."""

    values: tuple[frozenset[int], ...]
    zone: tzinfo
    with_seconds: bool = True
    adjusts_for_dst = True

    @classmethod
    def from_fields(cls, fields: list[str], zone: tzinfo) -> CronSchedule:
        with_seconds = len(fields) == len(FIELDS)
        texts = fields if with_seconds else ["0", *fields]
        values = tuple(field.parse(text) for field, text in zip(FIELDS, texts, strict=True))
        return cls(values, zone, with_seconds)

    @cached_property
    def _expanded(self) -> list[str]:
        texts = [field.expanded(values) for field, values in zip(FIELDS, self.values, strict=True)]
        return texts if self.with_seconds else texts[1:]

    def describe(self) -> str:
        return f"Cron: '{' '.join(self._expanded)}'"

    @cached_property
    def _repeats_within_a_day(self) -> bool:
        """The host's test for "every so often" against "at this time": a run in seconds to hours."""
        clock_fields = self._expanded[: 3 if self.with_seconds else 2]
        return any("*" in text or "-" in text for text in clock_fields)

    def monitored_at(self, moment: datetime) -> bool:
        wall = moment.astimezone(self.zone).replace(tzinfo=None)
        first = self._next_wall(wall)
        second = None if first is None else self._next_wall(first)
        return second is None or second >= wall + timedelta(minutes=1)

    def next_after(self, moment: datetime) -> datetime | None:
        """As `Schedule.next_after`. In the hour that comes twice when clocks go back, a repeating
        schedule runs in both passes, a clock time in the first; a time jumped over is as much later."""
        now = moment.astimezone(self.zone)
        here = now.replace(tzinfo=None)
        wall = self._next_wall(here)
        while wall is not None and _repeated(wall, self.zone):
            first = _instant(wall, self.zone, fold=0)
            if first > moment or self._repeats_within_a_day:
                return first if first > moment else _instant(wall, self.zone, fold=1)
            wall = self._next_wall(wall)
        if wall is None:
            return None
        found = _instant(wall, self.zone, fold=0)
        if self._repeats_within_a_day and not now.fold:
            found -= _repeated(here, self.zone)  # the second pass still lies between now and `wall`
        return found

    def _next_wall(self, wall: datetime) -> datetime | None:
        """The first matching clock time after `wall`, both naive."""
        start = wall.replace(microsecond=0) + _SECOND
        for day in self._days_from(start.date()):
            earliest = start.time() if day == start.date() else time.min
            found = self._first_time(earliest)
            if found is not None:
                return datetime.combine(day, found)
        return None

    def _days_from(self, first: date) -> Iterator[date]:
        _, _, _, days, months, weekdays = self.values
        day = first
        last_year = min(first.year + _LOOK_AHEAD_YEARS, date.max.year - 1)
        while day.year <= last_year:
            if day.month not in months:
                day = (day.replace(day=1) + timedelta(days=31)).replace(day=1)
                continue
            if day.day in days and day.isoweekday() % 7 in weekdays:
                yield day
            day += timedelta(days=1)

    def _first_time(self, earliest: time) -> time | None:
        seconds, minutes, hours = (sorted(values) for values in self.values[:3])
        for hour in hours:
            if hour < earliest.hour:
                continue
            for minute in minutes:
                if (hour, minute) < (earliest.hour, earliest.minute):
                    continue
                for second in seconds:
                    if (hour, minute, second) >= (earliest.hour, earliest.minute, earliest.second):
                        return time(hour, minute, second)
        return None


def _instant(wall: datetime, zone: tzinfo, fold: int) -> datetime:
    """UTC, because Python compares two times of one zone by the wall clock alone."""
    return wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def _repeated(wall: datetime, zone: tzinfo) -> timedelta:
    """By how much the clocks went back, if `wall` comes twice; else zero."""
    return max(_instant(wall, zone, fold=1) - _instant(wall, zone, fold=0), timedelta(0))


@dataclass(frozen=True)
class ConstantSchedule:
    """One run every `interval`, the first one `interval` after the start."""

    interval: timedelta
    adjusts_for_dst = False

    def describe(self) -> str:
        return f"Constant: {timespan_text(self.interval)}"

    def monitored_at(self, moment: datetime) -> bool:
        return self.interval >= timedelta(minutes=1)

    def next_after(self, moment: datetime) -> datetime | None:
        return moment.astimezone(UTC) + self.interval


# ---------------------------------------------------------------------------------------------- time zone


def local_zone(environment: Mapping[str, str], localtime: Path = Path("/etc/localtime")) -> tzinfo:
    """The zone that timers count in: `WEBSITE_TIME_ZONE`, else `TZ`, else the machine's own (else UTC).

    Raises ValueError when the zone that is named is not known here.
    """
    for setting in ("WEBSITE_TIME_ZONE", "TZ"):
        name = environment.get(setting, "").strip().lstrip(":")
        if not name:
            continue
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as unknown:
            raise ValueError(
                f"{setting} is '{name}', which is no time zone here; use a name such as Europe/Prague "
                "(on Windows: pip install tzdata)."
            ) from unknown
    if localtime.is_file():
        with localtime.open("rb") as file:
            return ZoneInfo.from_file(file, key="localtime")
    # Windows keeps no zone file: the offset of today, without changes of summer time.
    return datetime.fromtimestamp(0, UTC).astimezone().tzinfo or UTC
