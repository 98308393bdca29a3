"""Raising an event to a job, if that runs.

The status is asked for first: the host accepts an event for a Pending job and may then drop it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from video_jobs.contract import ORCHESTRATOR
from video_jobs.durable import DurableClient, InstanceStatus

# maxDequeueCount of host.json: after the last try the host would move the message to a poison queue.
MAX_TRIES = 5
# How long a caller by HTTP is held for a job that is just starting: times half a second.
HOLDS = 6
HOLD_SECONDS = 0.5
RETRY_AFTER_SECONDS = 5

Missed = Literal["late", "pending", "unknown_job"]
Undelivered = Literal[Missed, "stale_attempt"]
Delivery = Literal["delivered", "repeated", Undelivered]
DONE: tuple[Delivery, ...] = ("delivered", "repeated")
# The same report may be delivered later, or never.
EARLY: tuple[Delivery, ...] = ("pending", "unknown_job")
TOO_LATE: tuple[Delivery, ...] = ("late", "stale_attempt")

WHY: dict[Delivery, str] = {
    "late": "The job has ended already, or is about to",
    "stale_attempt": "The report is for an older attempt than the one that is on",
    "pending": "The job has not started yet",
    "unknown_job": "There is no such job",
}

_ENDED = ("Completed", "Failed", "Terminated", "Canceled")
_DECIDED_STAGES = ("withdrawing", "notifying")


class NotYetDelivered(Exception):
    """The report's job is not there or not running yet; the queue is to try again."""


@dataclass(frozen=True)
class Seen:
    """What a look at a job told.

    `state` is "running" when it hears events, `attempt` None until it shows one, `report` that of its result.
    """

    state: Literal["running"] | Missed
    attempt: int | None = None
    report: Any = None


async def look_at(instance_id: str, client: DurableClient) -> Seen:
    """Whether a job can hear an event now; "late" as well for one that is decided and about to end."""
    status = await client.get_status(instance_id)
    if not status or status.name is None or status.name.lower() != ORCHESTRATOR:
        return Seen("unknown_job")
    state = status.runtime_status.name if status.runtime_status else "Pending"
    if state == "Pending":
        return Seen("pending")
    shown = _shown(status)
    if state in _ENDED or shown.get("stage") in _DECIDED_STAGES:
        return Seen("late", report=_report_in(status.output))
    return Seen("running", shown.get("attempt"))


async def raise_event(instance_id: str, name: str, data: Any, client: DurableClient) -> Literal["delivered", "late"]:
    """Raise an event to a job that was seen running; "late" when it has ended since. The SDK's errors are raised."""
    try:
        await client.raise_event(instance_id, name, data)
    except Exception as error:
        # The SDK tells 410 from other failures only by the text; the job may end between the two calls.
        if "is gone" in str(error):
            return "late"
        raise
    return "delivered"


async def patiently(
    deliver: Callable[[], Awaitable[Delivery]], early: tuple[str, ...], sleep: Callable[[float], Awaitable[None]]
) -> Delivery:
    """Deliver, and again for some seconds while it is too `early`."""
    delivery = await deliver()
    for _ in range(HOLDS):
        if delivery not in early:
            break
        await sleep(HOLD_SECONDS)
        delivery = await deliver()
    return delivery


def _report_in(output: Any) -> Any:
    return output.get("report") if isinstance(output, dict) else None


def _shown(status: InstanceStatus) -> dict[str, Any]:
    return status.custom_status if isinstance(status.custom_status, dict) else {}
