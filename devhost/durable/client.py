"""What a client may do to a task hub: start, query, raise events, control, purge. HTTP knows nothing of this room's
SQL, and this room knows nothing of HTTP; errors say what was wrong by their type (HOST_FACTS 5)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..clock import Clock
from . import apply, events
from .delivery import Delivery
from .entity_messages import client_signal
from .episode import TERMINAL, Execution
from .events import Event, EventType
from .store import ENTITY, Filter, Store


class NotFound(Exception):
    """There is no such instance."""


class Gone(Exception):
    """The instance has ended."""


class AlreadyExists(Exception):
    """A live instance has this id; `status` is its runtime status."""

    def __init__(self, status: str) -> None:
        super().__init__(f"An Orchestration instance with the status {status} already exists.")


class WrongState(Exception):
    """The operation does not fit the instance's status; the text says which one it has."""


@dataclass
class HubClient:
    """Operations on one task hub. `deliver` hands a committed transaction to the engine (nothing for a hub that
    has none here); `invalidate` tells it that an instance's row or history was rewritten."""

    store: Store
    clock: Clock
    deliver: Callable[[Delivery], None]
    invalidate: Callable[[str], None]
    any_state: bool = False
    default_version: str | None = None

    async def start(
        self, name: str, instance_id: str | None, input_json: str | None, version: str | None = None
    ) -> str:
        """Start an instance. Raises AlreadyExists when a live one has the id."""
        instance_id = instance_id or uuid.uuid4().hex
        self._refuse_live(instance_id)
        await self._start(name, instance_id, input_json, version or self.default_version, generation=0)
        return instance_id

    def _refuse_live(self, instance_id: str) -> None:
        existing = self.store.get(instance_id)
        if existing is not None and existing.status not in TERMINAL and not self.any_state:
            raise AlreadyExists(existing.status)

    async def _start(
        self, name: str, instance_id: str, input_json: str | None, version: str | None, generation: int
    ) -> None:
        now = self.clock.now()
        execution = Execution(
            instance_id, str(uuid.uuid4()), name, input_json, created=now, updated=now, version=version
        )
        delivery = Delivery()
        with self.store.transaction():
            apply.start(self.store, execution, delivery, generation=generation)
        await self._act(delivery)

    async def _act(self, delivery: Delivery) -> None:
        await self.store.committed()
        self.deliver(delivery)

    def get(self, instance_id: str) -> Execution | None:
        return self.store.get(instance_id)

    def history(self, instance_id: str) -> list[Event]:
        return self.store.history(instance_id)

    def find(self, wanted: Filter, limit: int) -> tuple[list[Execution], str | None]:
        """A page of instances in the order of their ids, and the id that the next page begins with."""
        found = self.store.find(wanted, limit + 1)
        return found[:limit], found[limit].instance_id if len(found) > limit else None

    async def raise_event(self, instance_id: str, name: str, data_json: str) -> None:
        """Raises NotFound or Gone. `data_json` is the event's data token as JSON text."""
        self._live(instance_id)
        await self._send(instance_id, events.event_raised(name, data_json, self.clock.now()))

    async def terminate(self, instance_id: str, reason: str | None) -> None:
        self._live(instance_id)
        await self._send(instance_id, events.execution_terminated(reason, self.clock.now()))

    async def suspend(self, instance_id: str, reason: str | None) -> None:
        self._refuse("suspend", self._live(instance_id), ("Suspended",))
        await self._send(instance_id, events.execution_suspended(reason, self.clock.now()))

    async def resume(self, instance_id: str, reason: str | None) -> None:
        self._refuse("resume", self._live(instance_id), ("Running", "Pending"))
        await self._send(instance_id, events.execution_resumed(reason, self.clock.now()))

    @staticmethod
    def _refuse(verb: str, found: Execution, statuses: tuple[str, ...]) -> None:
        if found.status in statuses:
            raise WrongState(
                f"Cannot {verb} the orchestration instance {found.instance_id} because instance is in the "
                f"{found.status} state.",
            )

    def _existing(self, instance_id: str) -> Execution:
        found = self.store.get(instance_id)
        if found is None:
            raise NotFound(instance_id)
        return found

    def _live(self, instance_id: str) -> Execution:
        found = self._existing(instance_id)
        if found.status in TERMINAL:
            raise Gone(instance_id)
        return found

    async def _send(self, instance_id: str, event: Event) -> None:
        with self.store.transaction():
            message = self.store.add_message(instance_id, None, event)
        await self._act(Delivery(messages=[message]))

    async def restart(self, instance_id: str, *, new_id: bool) -> str:
        """Start the same orchestrator with the same input again. Raises NotFound or AlreadyExists."""
        found = self._existing(instance_id)
        target = uuid.uuid4().hex if new_id else instance_id
        if not new_id and found.status not in TERMINAL:
            raise AlreadyExists(found.status)
        generation = 0 if new_id else 1
        await self._start(found.name, target, found.input, found.version, generation=generation)
        return target

    async def rewind(self, instance_id: str, reason: str | None) -> None:
        """Take back the failures of a Failed instance and let it go on. Raises NotFound or WrongState."""
        found = self._existing(instance_id)
        if found.status != "Failed":
            raise WrongState(
                f'This orchestration has status {found.status}, but only orchestrations in the "Failed" state '
                "can be rewound.",
            )
        delivery = Delivery()
        with self.store.transaction():
            self._rewind(found, reason, delivery)
        await self._act(delivery)

    def _rewind(self, failed: Execution, reason: str | None, delivery: Delivery) -> None:
        history = self.store.history(failed.instance_id)
        taken_back = {e["TaskScheduledId"] for e in history if e["EventType"] == EventType.TASK_FAILED}
        children = {e["TaskScheduledId"] for e in history if e["EventType"] == EventType.SUB_ORCHESTRATION_FAILED}
        rewritten = []
        rewound_children = 0
        for event in history:
            if event["EventType"] == EventType.SUB_ORCHESTRATION_CREATED and event["EventId"] in children:
                child = self.store.get(event["InstanceId"])
                if child is not None and child.status == "Failed":
                    self._rewind(child, reason, delivery)
                    rewound_children += 1
            rewritten.append(events.emptied(event) if _is_taken_back(event, taken_back) else event)
        self.store.replace_history(failed.instance_id, rewritten)
        now = self.clock.now()
        self.store.put(replace(failed, status="Pending", output=None, updated=now, failure_details=None))
        self.invalidate(failed.instance_id)
        if taken_back or not rewound_children:
            # Otherwise the end of the child is what wakes it.
            wake = events.generic_event(reason, now)
            delivery.messages.append(self.store.add_message(failed.instance_id, None, wake))

    async def purge(self, instance_id: str) -> None:
        """Delete an ended instance. Raises NotFound or WrongState."""
        found = self._existing(instance_id)
        if found.status not in TERMINAL:
            raise WrongState(
                "Only orchestrations in a terminal state can be purged, but the orchestration with instance ID "
                f"{instance_id} has status {found.status}",
            )
        await self._delete([instance_id])

    async def purge_where(self, wanted: Filter) -> int:
        """Delete every instance that fits, running ones included when no status is given; how many."""
        found = [one.instance_id for one in self.store.find(wanted, -1)]
        await self._delete(found)
        return len(found)

    async def _delete(self, instance_ids: list[str]) -> None:
        if not instance_ids:
            return
        with self.store.transaction():
            for instance_id in instance_ids:
                self.store.delete(instance_id)
        await self._act(Delivery(forgotten=instance_ids))

    # --- entities -----------------------------------------------------------------------------------------

    async def signal_entity(self, name: str, key: str, operation: str, input_json: str | None) -> None:
        request = client_signal(operation, input_json, str(uuid.uuid4()))
        instance_id = f"@{name.lower()}@{key}"
        with self.store.transaction():
            message = self.store.add_message(instance_id, None, request)
        await self._act(Delivery(messages=[message]))

    def entity(self, name: str, key: str) -> dict[str, Any] | None:
        """The entity's `input` as kept; None when it was never addressed."""
        found = self.store.get(f"@{name.lower()}@{key}", ENTITY)
        kept: dict[str, Any] | None = json.loads(found.input or "{}") if found else None
        return kept


def _is_taken_back(event: Event, tasks: set[int]) -> bool:
    kind = event["EventType"]
    if kind == EventType.TASK_SCHEDULED:
        return event["EventId"] in tasks
    return kind in (
        EventType.TASK_FAILED,
        EventType.SUB_ORCHESTRATION_FAILED,
        EventType.EXECUTION_COMPLETED,
    )
