"""From what an activity returned or raised to the event for its orchestrator (HOST_FACTS 7). Pure."""

from __future__ import annotations

import json
from datetime import datetime

from . import events, failures
from .events import Event, dump
from .failures import UserError


def _constant(name: str) -> str:
    return name


def rewritten(text: str | None) -> str | None:
    """JSON as the host writes it again: compact, non-ASCII kept, NaN as the text "NaN"; `null` becomes None."""
    if text is None:
        return None
    try:
        value = json.loads(text, parse_constant=_constant)
    except json.JSONDecodeError:
        return dump(text)
    return None if value is None else dump(value)


def completed(event_id: int, result: str | None, now: datetime) -> Event:
    return events.task_completed(event_id, rewritten(result), now)


def failed(event_id: int, name: str, error: UserError, now: datetime) -> Event:
    reason, details = failures.activity_failure(name, error)
    return events.task_failed(event_id, reason, details, now)


def missing(event_id: int, name: str, now: datetime) -> Event:
    return events.task_failed(event_id, failures.missing_activity(name), None, now)
