"""`extensions.queues` of host.json."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta

from devhost.settings import HostSettings, SettingsError

SHORTEST_POLL = timedelta(milliseconds=100)
_LARGEST_BATCH = 32  # what Azure Queues gives at once
_DEVELOPMENT_POLL = timedelta(seconds=2)
_POLL = timedelta(minutes=1)


@dataclass(frozen=True)
class QueueOptions:
    """How queues are read: at most `batch_size + new_batch_threshold` messages of a function at a time."""

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_dequeue_count: int = 5
    visibility_timeout: timedelta = timedelta(0)
    max_polling_interval: timedelta = _POLL
    base64: bool = True

    @classmethod
    def read(cls, settings: HostSettings) -> QueueOptions:
        """Raises SettingsError naming the key of host.json that is out of its range."""
        in_development = settings.environment.get("AZURE_FUNCTIONS_ENVIRONMENT") == "Development"
        batch_size = _number(settings, "batchSize", 16, 1, _LARGEST_BATCH)
        longest = _span(settings, "maxPollingInterval", _DEVELOPMENT_POLL if in_development else _POLL)
        if longest < SHORTEST_POLL:
            raise SettingsError("host.json: extensions.queues.maxPollingInterval must be at least 00:00:00.100.")
        return cls(
            batch_size=batch_size,
            new_batch_threshold=_number(
                settings, "newBatchThreshold", batch_size // 2 * (os.cpu_count() or 1), 0, None
            ),
            max_dequeue_count=_number(settings, "maxDequeueCount", 5, 1, None),
            visibility_timeout=_span(settings, "visibilityTimeout", timedelta(0)),
            max_polling_interval=longest,
            base64=_is_base64(settings),
        )


def _number(settings: HostSettings, key: str, default: int, low: int, high: int | None) -> int:
    value = settings.integer(f"extensions.queues.{key}", default)
    if value < low or (high is not None and value > high):
        limits = f"from {low} to {high}" if high is not None else f"of at least {low}"
        raise SettingsError(f"host.json: extensions.queues.{key} must be a whole number {limits}, not {value}.")
    return value


def _span(settings: HostSettings, key: str, default: timedelta) -> timedelta:
    span = settings.timespan(f"extensions.queues.{key}", default)
    if span < timedelta(0):
        raise SettingsError(f"host.json: extensions.queues.{key} must not be negative.")
    return span


def _is_base64(settings: HostSettings) -> bool:
    value = settings.get("extensions.queues.messageEncoding", "base64")
    encodings = {"base64": True, "none": False}
    if not isinstance(value, str) or value.lower() not in encodings:
        raise SettingsError(f"host.json: extensions.queues.messageEncoding must be 'base64' or 'none', not {value!r}.")
    return encodings[value.lower()]
