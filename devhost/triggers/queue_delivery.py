"""One delivery of a message: keeping it invisible while it is in work, and finishing it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from devhost.triggers.message_queue import MessageGoneError, MessageQueue, StorageError
from devhost.triggers.queue_message import StoredMessage

if TYPE_CHECKING:
    from devhost.clock import Clock

log = logging.getLogger(__name__)

INVISIBLE = timedelta(minutes=10)
_RENEWAL_AFTER_FAILURE = timedelta(minutes=1)
_FIRST_RETRY = timedelta(seconds=1)


class Delivery:
    """A received message and its latest pop receipt, by which alone it can be deleted or released."""

    def __init__(self, message: StoredMessage, queue: MessageQueue, clock: Clock) -> None:
        self.message = message
        self._queue = queue
        self._clock = clock
        self._receipt = message.pop_receipt
        self._invisible_until = clock.now() + INVISIBLE
        self._renewing = asyncio.Lock()

    @asynccontextmanager
    async def kept_invisible(self) -> AsyncIterator[None]:
        """Renew the invisibility at half time for as long as the body runs."""
        renewal = asyncio.create_task(self._renew(), name=f"renew {self.message.id}")
        try:
            yield
        finally:
            # Not while a renewal is under way: the receipt it brings would be lost, and with it the message.
            async with self._renewing:
                renewal.cancel()
            await asyncio.wait({renewal})

    async def delete(self) -> None:
        """The message is done. Raises MessageGoneError, StorageError."""
        await self.insist(lambda: self._queue.delete(self.message.id, self._receipt))

    async def release(self, after: timedelta) -> None:
        """Let it be delivered again `after` this time. Raises MessageGoneError, StorageError."""
        await self.insist(lambda: self._queue.hide(self.message.id, self._receipt, after))

    async def insist(self, action: Callable[[], Awaitable[object]]) -> None:
        """Do `action`; while the storage is down, again and again until the message is visible anyway."""
        pause = _FIRST_RETRY
        while True:
            try:
                await action()
                return
            except StorageError:
                again = self._clock.now() + pause
                if again >= self._invisible_until:
                    raise
                await self._clock.sleep_until(again)
                pause *= 2

    async def _renew(self) -> None:
        due = self._clock.now() + INVISIBLE / 2
        while True:
            await self._clock.sleep_until(due)
            async with self._renewing:
                try:
                    self._receipt = await self._queue.hide(self.message.id, self._receipt, INVISIBLE)
                except MessageGoneError:
                    log.warning(
                        "Message %s of queue '%s' was deleted or taken by somebody else while in work.",
                        self.message.id,
                        self._queue.name,
                    )
                    return
                except StorageError as error:
                    log.warning(
                        "Message %s of queue '%s' could not be kept invisible: %s. It is tried again.",
                        self.message.id,
                        self._queue.name,
                        error,
                    )
                    due = self._clock.now() + _RENEWAL_AFTER_FAILURE
                else:
                    self._invisible_until = self._clock.now() + INVISIBLE
                    due = self._clock.now() + INVISIBLE / 2
