"""One batch of an entity: what its function is given, and what follows from its reply (HOST_FACTS 8). Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from . import events
from .entity_messages import Request, response
from .episode import Execution
from .events import Event, dump


@dataclass(frozen=True)
class EntityState:
    """What is kept of an entity between batches; `state` is JSON text."""

    exists: bool = False
    state: str | None = None

    @classmethod
    def of(cls, execution: Execution | None) -> EntityState:
        kept: dict[str, Any] = json.loads(execution.input) if execution and execution.input else {}
        return cls(bool(kept.get("exists")), kept.get("state"))

    def as_input(self) -> str:
        """The `input` that the instance's status shows."""
        members: dict[str, Any] = {"exists": True} if self.exists else {}
        if self.state is not None:
            members["state"] = self.state
        return dump({**members, "sorter": {}})

    def as_custom_status(self) -> str:
        return dump({"entityExists": True} if self.exists else {})


@dataclass
class BatchResult:
    """The entity after the batch, and the answers to send: (instance, its execution, event)."""

    state: EntityState
    answers: list[tuple[str, str, Event]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def split_id(instance_id: str) -> tuple[str, str]:
    """`@counter@k` -> (`counter`, `k`)."""
    name, _, key = instance_id[1:].partition("@")
    return name, key


def body(instance_id: str, before: EntityState, requests: Sequence[Request]) -> str:
    """The JSON that the entity function is given."""
    name, key = split_id(instance_id)
    batch = [
        {
            "name": request["op"],
            "input": request.get("input"),
            "isSignal": bool(request.get("signal")),
            "id": request["id"],
        }
        for request in requests
    ]
    entity = {
        "self": {"name": name, "key": key},
        "exists": before.exists,
        "state": before.state,
        "batch": batch,
    }
    return dump(entity)


def finish(requests: Sequence[Request], reply: dict[str, Any], now: datetime) -> BatchResult:
    """Take the function's reply apart. Raises ValueError when it does not answer each operation."""
    results = reply["results"]
    if len(results) != len(requests):
        raise ValueError(f"the entity answered {len(results)} of {len(requests)} operations")
    outcome = BatchResult(EntityState(bool(reply["entityExists"]), reply["entityState"]))
    for request, result in zip(requests, results, strict=True):
        _answer(outcome, request, result["result"], is_error=bool(result["isError"]), now=now)
    return outcome


def failed(before: EntityState, requests: Sequence[Request], message: str, now: datetime) -> BatchResult:
    """The whole batch failed outside the user's operations: callers get the error, the state stays."""
    outcome = BatchResult(before)
    for request in requests:
        _answer(outcome, request, dump(message), is_error=True, now=now)
    return outcome


def _answer(outcome: BatchResult, request: Request, result: str | None, *, is_error: bool, now: datetime) -> None:
    if not request.get("signal"):
        event = events.event_raised(request["id"], response(result, is_error=is_error), now)
        outcome.answers.append((request["parent"], request["parentExecution"], event))
    elif is_error:
        outcome.errors.append(f"operation '{request['op']}': {result}")
