"""An orchestration instance in a test."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from devhost.durable.episode import TERMINAL, Execution
from devhost.durable.events import Event
from devhost.testing.waits import Waits, waits_of

if TYPE_CHECKING:
    from devhost.testing.host import TestHost

LONGEST_AWAIT = timedelta(days=366)


class NeverEndsError(AssertionError):
    """An instance was awaited that can't end by itself; the text says what it waits for."""


class InstanceFailedError(AssertionError):
    """An instance whose result was asked for has not completed; `status` is how it ended instead, `output` all that
    it left: of a failure the text and, as on a live host, kilobytes of serialised exception after its first line."""

    def __init__(self, instance_id: str, status: str, output: str | None) -> None:
        first_line = (output or "without a reason").partition("\n")[0].rstrip()
        super().__init__(f"Instance '{instance_id}' ended as {status}: {first_line}")
        self.status = status
        self.output = output


@dataclass(frozen=True)
class Instance:
    """The handle that `TestHost.start` gives; more of it is at `TestHost.client`, the SDK's own client."""

    host: TestHost
    id: str

    def row(self) -> Execution:
        """The instance as it is kept now: `status`, `output` and `custom_status` as text, `created`, …"""
        found = self.host.hub.store.get(self.id)
        if found is None:
            raise LookupError(f"There is no instance '{self.id}'.")
        return found

    @property
    def status(self) -> str:
        """The runtime status now."""
        return self.row().status

    @property
    def custom_status(self) -> Any:
        """The custom status now, decoded from JSON."""
        text = self.row().custom_status
        return None if text is None else json.loads(text)

    def history(self) -> list[Event]:
        """The raw history so far, as the host gives it to the SDK."""
        return self.host.hub.store.history(self.id)

    async def waits(self) -> Waits:
        """What the instance waits for, once all has come to rest."""
        await self.host.settle()
        return await waits_of(self.host.hub.engine, self.id)

    async def end(self, within: timedelta = LONGEST_AWAIT) -> Execution:
        """Skip time until the instance has ended, however it ends.

        Raises NeverEndsError at once when nothing but the test could make it go on, or when the virtual time
        `within` was not enough.
        """
        limit = self.host.clock.now() + within
        while not await self.host.step(self.has_ended, limit):
            reason = await waits_of(self.host.hub.engine, self.id)
            busy = self.host.hanging()
            more = f" ({', '.join(busy)})" if busy else ""
            raise NeverEndsError(
                f"Instance '{self.id}' ({self.row().name}) does not end by itself: it {reason}{more}. "
                "Raise the event, advance the time, or let an activity return."
            )
        return self.row()

    async def result(self, within: timedelta = LONGEST_AWAIT) -> Any:
        """The output, decoded from JSON, skipping time until it is there. Raises as `end`, and InstanceFailedError
        when the instance ends otherwise than Completed."""
        row = await self.end(within)
        if row.status != "Completed":
            raise InstanceFailedError(self.id, row.status, row.output)
        return None if row.output is None else json.loads(row.output)

    async def raise_event(self, name: str, data: Any = None) -> None:
        """Raise an event as the SDK's client does: the orchestrator gets JSON text in which the SDK finds `data`."""
        await self.host.client.raise_event(self.id, name, data)

    def has_ended(self) -> bool:
        return self.row().status in TERMINAL
