"""What a replay asks for, and the host settings that decide about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .events import EventType
from .tasks import Task


@dataclass
class Scheduled:
    """Something the walk asked for under an event id: what to write into the history and whom to tell.

    `kind` is the EventType of the scheduling event. `open` says that the instance may not end before it completes.
    """

    kind: EventType
    event_id: int
    task: Task
    name: str = ""
    input: str | None = None
    instance_id: str = ""
    version: str | None = None
    fire_at: datetime | None = None
    open: bool = True


@dataclass(frozen=True)
class ReplaySettings:
    """What of host.json decides about an episode."""

    max_actions: int = 100_000
    store_inputs: bool = False
    default_version: str | None = None
