"""A storage account in memory that lives by a test's clock: invisibility lapses when the hands have moved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count

from devhost.clock import Clock
from devhost.testing.clock import VirtualClock
from devhost.triggers.message_queue import MessageGoneError, QueueMissingError, StorageError
from devhost.triggers.queue_message import StoredMessage

_LIFETIME = timedelta(days=7)


def _never() -> bool:
    return False


@dataclass
class _Kept:
    text: str
    inserted: datetime
    visible: datetime
    dequeue_count: int = 0
    pop_receipt: str = ""


@dataclass
class MemoryAccount:
    """A `QueueAccount`. While `outage` is a text, every request fails with it; `requests` counts them all.

    With `wakes` an idle listener is woken by the next message instead of polling. `comes_twice` says of a message
    that was dealt with whether it is delivered once more, as after a lost delete.
    """

    clock: VirtualClock
    outage: str | None = None
    requests: int = 0
    closed: bool = False
    wakes: bool = False
    comes_twice: Callable[[], bool] = _never
    listeners: dict[str, list[asyncio.Future[None]]] = field(default_factory=dict)
    queues: dict[str, dict[str, _Kept]] = field(default_factory=dict)
    numbers: count[int] = field(default_factory=lambda: count(1))

    def queue(self, name: str) -> MemoryQueue:
        return MemoryQueue(self, name)

    async def close(self) -> None:
        self.closed = True

    def create(self, name: str, *texts: str) -> None:
        """A queue with these messages in it."""
        self.queues.setdefault(name, {})
        for text in texts:
            self.put(name, text)

    def put(self, name: str, text: str) -> None:
        now = self.clock.now()
        self.queues.setdefault(name, {})[f"m{next(self.numbers)}"] = _Kept(text, inserted=now, visible=now)
        self.wake(name)

    def wake(self, name: str) -> None:
        for listener in self.listeners.pop(name, []):
            if not listener.done():
                listener.set_result(None)

    def next_visible(self, name: str) -> datetime | None:
        """When the next message of a queue comes back that is hidden now."""
        now = self.clock.now()
        return min((kept.visible for kept in self.queues.get(name, {}).values() if kept.visible > now), default=None)

    def texts(self, name: str) -> list[str]:
        """All that lies in a queue, visible or not."""
        return [kept.text for kept in self.queues.get(name, {}).values()]


class MemoryQueue:
    """A `MessageQueue` of a MemoryAccount."""

    def __init__(self, account: MemoryAccount, name: str) -> None:
        self._account = account
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    async def receive(self, count: int, invisible: timedelta) -> list[StoredMessage]:
        now = self._request()
        if self._name not in self._account.queues:
            raise QueueMissingError(self._name)
        visible = [(id, kept) for id, kept in self._account.queues[self._name].items() if kept.visible <= now]
        return [self._delivered(id, kept, now + invisible) for id, kept in visible[:count]]

    async def hide(self, message_id: str, pop_receipt: str, invisible: timedelta) -> str:
        now = self._request()
        kept = self._kept(message_id, pop_receipt)
        receipt = self._hidden(kept, now + invisible)
        self._account.wake(self._name)  # an idle listener waits for the message to come back later than it now does
        return receipt

    async def delete(self, message_id: str, pop_receipt: str) -> None:
        self._request()
        kept = self._kept(message_id, pop_receipt)
        if kept.dequeue_count == 1 and self._account.comes_twice():
            kept.visible = self._account.clock.now()
            self._account.wake(self._name)
        else:
            del self._account.queues[self._name][message_id]

    async def put(self, text: str) -> None:
        self._request()
        self._account.create(self._name, text)

    async def idle(self, clock: Clock, until: datetime) -> None:
        if not self._account.wakes:
            await clock.sleep_until(until)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._account.listeners.setdefault(self._name, []).append(woken)
        waits: set[asyncio.Future[None]] = {woken}
        if (back := self._account.next_visible(self._name)) is not None:
            waits.add(asyncio.ensure_future(clock.sleep_until(back)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _request(self) -> datetime:
        self._account.requests += 1
        if self._account.outage is not None:
            raise StorageError(self._account.outage)
        return self._account.clock.now()

    def _kept(self, message_id: str, pop_receipt: str) -> _Kept:
        kept = self._account.queues.get(self._name, {}).get(message_id)
        if kept is None or kept.pop_receipt != pop_receipt:
            raise MessageGoneError(message_id)
        return kept

    def _hidden(self, kept: _Kept, until: datetime) -> str:
        kept.visible = until
        kept.pop_receipt = f"r{next(self._account.numbers)}"
        return kept.pop_receipt

    def _delivered(self, message_id: str, kept: _Kept, until: datetime) -> StoredMessage:
        kept.dequeue_count += 1
        receipt = self._hidden(kept, until)
        expires = kept.inserted + _LIFETIME
        return StoredMessage(message_id, kept.text, kept.dequeue_count, kept.inserted, expires, until, receipt)
