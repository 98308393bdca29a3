"""One queue trigger at work, by the rules of the storage extension 5.x that comes with extension bundle 4.x.

Extension 4 ran into text that is not base64 five times; since 5 such a message is poisoned at once, as here.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from azure.functions.meta import Datum

from devhost.invoke import FunctionFailed
from devhost.triggers.message_queue import MessageGoneError, MessageQueue, QueueMissingError, StorageError
from devhost.triggers.queue_delivery import INVISIBLE, Delivery
from devhost.triggers.queue_message import (
    NotTextError,
    StoredMessage,
    UndecodableError,
    trigger_datum,
    trigger_metadata,
)
from devhost.triggers.queue_options import SHORTEST_POLL, QueueOptions

if TYPE_CHECKING:
    from devhost.clock import Clock
    from devhost.functions import Function
    from devhost.invoke import Invoker

log = logging.getLogger(__name__)


_MOST_DOUBLINGS = 20  # 100 ms doubled so often is more than a day


class Backoff:
    """The pause after an empty poll: from 100 ms on it doubles, give or take a fifth, up to `longest`."""

    def __init__(self, longest: timedelta) -> None:
        self._longest = longest
        self._empty_polls = 0

    def reset(self) -> None:
        self._empty_polls = 0

    def next(self) -> timedelta:
        pause = SHORTEST_POLL
        if self._empty_polls:
            spread = random.uniform(0.8, 1.2)  # noqa: S311 - keeps listeners apart, guards nothing
            pause += spread * 2 ** (self._empty_polls - 1) * SHORTEST_POLL
        # Counted on at the bound, too: there the spread must not bring a shorter pause again.
        self._empty_polls = min(self._empty_polls + 1, _MOST_DOUBLINGS)
        return min(pause, self._longest)


Outcome = Callable[[Delivery], Awaitable[None]]


class QueueListener:
    """Polls one queue for one function and sees each message through: run, then delete, release or poison."""

    def __init__(
        self,
        function: Function,
        queue: MessageQueue,
        poison: MessageQueue | None,
        *,
        options: QueueOptions,
        invoker: Invoker,
        clock: Clock,
    ) -> None:
        self._function = function
        self._queue = queue
        self._poison = poison
        self._options = options
        self._invoker = invoker
        self._clock = clock
        self._backoff = Backoff(options.max_polling_interval)
        self._trouble: str | None = None
        self._stopping = False
        self._at_rest = False
        self._polling: asyncio.Task[None] | None = None
        self._deliveries: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        name = f"poll {self._queue.name} for {self._function.name}"
        self._polling = asyncio.create_task(self._poll(), name=name)

    async def stop(self, grace: timedelta) -> None:
        """As `QueueListeners.stop`."""
        if self._polling is None:
            return
        self._stopping = True
        # A poll that is under way is waited for: what it has received would else be invisible for 10 minutes.
        if self._at_rest:
            self._polling.cancel()
        end_of_grace = asyncio.create_task(self._clock.sleep_until(self._clock.now() + grace))
        while (unfinished := self._unfinished()) and not end_of_grace.done():
            await asyncio.wait({*unfinished, end_of_grace}, return_when=asyncio.FIRST_COMPLETED)
        end_of_grace.cancel()
        for task in (unfinished := self._unfinished()):
            task.cancel()
        if unfinished:
            await asyncio.wait(unfinished)
        if cut_off := len(unfinished - {self._polling}):
            log.warning(
                "%s message(s) of queue '%s' were in work when the host stopped; they come back within %s.",
                cut_off, self._queue.name, INVISIBLE,
            )  # fmt: skip

    def _unfinished(self) -> set[asyncio.Task[None]]:
        tasks = set(self._deliveries)
        if self._polling is not None:
            tasks.add(self._polling)
        return {task for task in tasks if not task.done()}

    # -------------------------------------------------------------------------------------------- polling

    async def _poll(self) -> None:
        while True:
            messages = await self._receive()
            for message in messages:
                delivery = Delivery(message, self._queue, self._clock)
                task = asyncio.create_task(self._see_through(delivery), name=f"message {message.id}")
                self._deliveries.add(task)
                task.add_done_callback(self._deliveries.discard)
            if self._stopping:
                return
            with self._resting():
                if messages:
                    self._backoff.reset()
                    await self._until_few_run()
                else:
                    await self._queue.idle(self._clock, self._clock.now() + self._backoff.next())

    @contextmanager
    def _resting(self) -> Iterator[None]:
        self._at_rest = True
        try:
            yield
        finally:
            self._at_rest = False

    async def _until_few_run(self) -> None:
        while len(self._deliveries) > self._options.new_batch_threshold:
            await asyncio.wait(set(self._deliveries), return_when=asyncio.FIRST_COMPLETED)

    async def _receive(self) -> list[StoredMessage]:
        """One poll. What goes wrong in it is said once, and again only when it is something else."""
        try:
            messages = await self._queue.receive(self._options.batch_size, INVISIBLE)
        except QueueMissingError:
            self._well_again()
            return []
        except StorageError as error:
            self._in_trouble(str(error))
            return []
        except Exception as error:
            # Nothing may end the listener: whatever this is, the next poll may do better.
            if self._in_trouble(f"{type(error).__name__}: {error}"):
                log.exception("Polling queue '%s' failed in an unexpected way.", self._queue.name)
            return []
        self._well_again()
        return messages

    def _in_trouble(self, reason: str) -> bool:
        """True if this is news."""
        if reason == self._trouble:
            return False
        self._trouble = reason
        log.warning(
            "Queue '%s' of function '%s' can't be read: %s. Is the storage (or Azurite) running, and is the "
            "connection right? It is tried again.",
            self._queue.name, self._function.name, reason.rstrip("."),
        )  # fmt: skip
        return True

    def _well_again(self) -> None:
        if self._trouble is not None:
            self._trouble = None
            log.warning("Queue '%s' of function '%s' can be read again.", self._queue.name, self._function.name)

    # ------------------------------------------------------------------------------------------- messages

    async def _see_through(self, delivery: Delivery) -> None:
        try:
            outcome = await self._outcome(delivery)
            await outcome(delivery)
        except MessageGoneError:
            log.debug("Message %s is gone or was taken by somebody else.", delivery.message.id)
        except StorageError as error:
            log.error(
                "Message %s of queue '%s' could not be finished: %s. It will be delivered again.",
                delivery.message.id, self._queue.name, error,
            )  # fmt: skip
        except Exception:
            # A defect of the host; the message is not lost, it comes back when its invisibility lapses.
            log.exception("Message %s of queue '%s' could not be handled.", delivery.message.id, self._queue.name)

    async def _outcome(self, delivery: Delivery) -> Outcome:
        """Run the function, if it may run, and say what is to become of the message."""
        message = delivery.message
        if message.dequeue_count > self._options.max_dequeue_count:
            return self._poisoned
        try:
            body = message.body(self._options.base64)
        except UndecodableError:
            log.warning("Message decoding has failed! Check MessageEncoding settings. MessageId=%s", message.id)
            return self._moved_to_poison_queue
        try:
            trigger = trigger_datum(body, self._function.trigger)
        except NotTextError as error:
            log.error(
                "Exception binding parameter '%s' of 'Functions.%s', MessageId=%s: %s.",
                self._function.trigger["name"], self._function.name, message.id, error,
            )  # fmt: skip
            return self._failed
        return await self._run(delivery, trigger, body)

    async def _run(self, delivery: Delivery, trigger: Datum, body: bytes) -> Outcome:
        async with delivery.kept_invisible():
            try:
                await self._invoker.invoke(
                    self._function,
                    trigger,
                    metadata=trigger_metadata(delivery.message, body),
                    reason=f"New queue message detected on '{self._queue.name}'.",
                    details=delivery.message.details(),
                )
            except FunctionFailed:  # the invoker has logged it
                return self._failed
        return Delivery.delete

    async def _failed(self, delivery: Delivery) -> None:
        if self._poison is None:
            return  # left invisible for the rest of its 10 minutes: released, it would fail without a pause
        if delivery.message.dequeue_count >= self._options.max_dequeue_count:
            await self._poisoned(delivery)
        else:
            await delivery.release(self._options.visibility_timeout)

    async def _poisoned(self, delivery: Delivery) -> None:
        if self._poison is not None:
            log.warning(
                "Message has reached MaxDequeueCount of %s. Moving message to queue '%s'.",
                self._options.max_dequeue_count, self._poison.name,
            )  # fmt: skip
        await self._moved_to_poison_queue(delivery)

    async def _moved_to_poison_queue(self, delivery: Delivery) -> None:
        poison = self._poison
        if poison is None:
            return
        # Copied first: a crash between the two doubles the message, the other order would lose it.
        await delivery.insist(lambda: poison.put(delivery.message.text))
        await delivery.delete()
