"""The retry policy that a function may have (`@app.retry`); the host follows it for timer functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from devhost.settings import parse_timespan

FOR_EVER = -1


@dataclass(frozen=True)
class RetryPolicy:
    """At most `most` retries (-1: without end). The n-th waits for `first` doubled n-1 times, up to `longest`."""

    most: int
    first: timedelta
    longest: timedelta

    @classmethod
    def of(cls, settings: Mapping[str, Any] | None) -> RetryPolicy | None:
        """Read the SDK's `retry_policy` settings. Raises ValueError that says what to change."""
        if not settings:
            return None
        most = str(settings.get("max_retry_count", ""))
        if not most.removeprefix("-").isdigit() or int(most) < FOR_EVER:
            raise ValueError(f"max_retry_count must be a whole number from -1 on, not '{most}'")
        strategy = str(settings.get("strategy", "")).lower()
        if strategy == "fixed_delay":
            delay = _interval(settings, "delay_interval")
            return cls(int(most), delay, delay)
        if strategy == "exponential_backoff":
            return cls(int(most), _interval(settings, "minimum_interval"), _interval(settings, "maximum_interval"))
        raise ValueError(f"strategy must be fixed_delay or exponential_backoff, not '{strategy}'")

    def allows(self, retry: int) -> bool:
        """Whether there is a retry of that number, the first being 1."""
        return self.most == FOR_EVER or retry <= self.most

    def delay(self, retry: int) -> timedelta:
        """How long to wait before that retry."""
        delay = self.first
        for _ in range(1, retry):
            if delay >= self.longest:
                break
            delay *= 2
        return min(delay, self.longest)


def _interval(settings: Mapping[str, Any], name: str) -> timedelta:
    span = parse_timespan(str(settings.get(name, "")))
    if span is None or span < timedelta(0):
        raise ValueError(f"{name} must be a time span such as 00:00:05, not '{settings.get(name)}'")
    return span
