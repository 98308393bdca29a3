"""What triggers and output bindings need of a queue, and what can go wrong with one."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

from devhost.clock import Clock
from devhost.triggers.queue_message import StoredMessage


class StorageError(Exception):
    """The storage account can't be reached or refuses; the text is one line."""


class QueueMissingError(Exception):
    """There is no such queue (yet)."""


class MessageGoneError(Exception):
    """The message was deleted, or somebody else has taken it since: this delivery counts no more."""


class MessageQueue(Protocol):
    """One queue. Any method may raise StorageError."""

    @property
    def name(self) -> str: ...

    async def receive(self, count: int, invisible: timedelta) -> list[StoredMessage]:
        """Up to `count` messages, hidden from others for `invisible`. Raises QueueMissingError."""

    async def hide(self, message_id: str, pop_receipt: str, invisible: timedelta) -> str:
        """Hide a received message for `invisible`, from now; its new pop receipt. Raises MessageGoneError."""

    async def delete(self, message_id: str, pop_receipt: str) -> None:
        """Raises MessageGoneError."""

    async def put(self, text: str) -> None:
        """Append a message; the queue is created when it is missing."""

    async def idle(self, clock: Clock, until: datetime) -> None:
        """After an empty poll: return when it is worth asking again, at the latest at `until`."""


class QueueAccount(Protocol):
    """The queues of one storage account."""

    def queue(self, name: str) -> MessageQueue: ...

    async def close(self) -> None: ...
