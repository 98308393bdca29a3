"""A durable client and a queue by hand: they hold what a test gave them and keep what the code did."""

from dataclasses import dataclass, field
from typing import Any

import azure.functions as func

from video_jobs.queues import QueueError, Receipt


@dataclass
class FakeRuntimeStatus:
    name: str


@dataclass
class FakeStatus:
    name: str | None = None
    runtime_status: FakeRuntimeStatus | None = None
    custom_status: Any = None
    input_: Any = None
    output: Any = None

    def __bool__(self) -> bool:
        return self.name is not None


def status(
    state: str,
    *,
    stage: str | None = None,
    attempt: int = 1,
    name: str = "video_orchestrator",
    started_with: Any = None,
) -> FakeStatus:
    shown = {"stage": stage, "attempt": attempt} if stage else None
    return FakeStatus(name, FakeRuntimeStatus(state), shown, started_with)


@dataclass
class FakeClient:
    """Answers `get_status` from `statuses`, one after the other; the last one stays."""

    statuses: list[FakeStatus] = field(default_factory=lambda: [FakeStatus()])
    start_error: Exception | None = None
    status_error: Exception | None = None
    raise_error: Exception | None = None
    started: list[tuple[str, str | None, Any]] = field(default_factory=list)
    raised: list[tuple[str, str, Any]] = field(default_factory=list)

    async def start_new(
        self, orchestration_function_name: str, instance_id: str | None = None, client_input: Any = None
    ) -> str:
        if self.start_error:
            raise self.start_error
        self.started.append((orchestration_function_name, instance_id, client_input))
        return instance_id or "new-id"

    async def get_status(self, instance_id: str, *, show_input: bool = False) -> FakeStatus:
        if self.status_error:
            raise self.status_error
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]

    async def raise_event(self, instance_id: str, event_name: str, event_data: Any = None) -> None:
        if self.raise_error:
            raise self.raise_error
        self.raised.append((instance_id, event_name, event_data))

    def create_check_status_response(self, request: func.HttpRequest, instance_id: str) -> func.HttpResponse:
        return func.HttpResponse(instance_id, status_code=202, headers={"Location": f"/instances/{instance_id}"})


@dataclass
class FakeQueues:
    """Stands for `queues.send`."""

    error: QueueError | None = None
    sent: list[tuple[str, str, int]] = field(default_factory=list)

    def __call__(self, queue: str, text: str, seconds_to_live: int) -> Receipt:
        if self.error:
            raise self.error
        self.sent.append((queue, text, seconds_to_live))
        return {"queue": queue, "message_id": "m", "pop_receipt": "p"}
