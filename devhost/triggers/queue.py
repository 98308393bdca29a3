"""The `queueTrigger` functions of an app, each with its listener."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from devhost.clock import SystemClock
from devhost.triggers.message_queue import QueueAccount
from devhost.triggers.queue_listener import QueueListener
from devhost.triggers.queue_options import QueueOptions

if TYPE_CHECKING:
    from devhost.clock import Clock
    from devhost.functions import AppIndex
    from devhost.invoke import Invoker
    from devhost.settings import Connection, HostSettings

log = logging.getLogger(__name__)

GRACE = timedelta(seconds=30)
_POISON_SUFFIX = "-poison"
_LONGEST_NAME = 63


def open_account(connection: Connection) -> QueueAccount:
    """The account in the storage that `connection` names; its packages are imported by the first call."""
    from devhost.triggers import storage_queue  # noqa: PLC0415

    return storage_queue.open_account(connection)


class QueueListeners:
    """One listener for each `queueTrigger` function. Accounts are shared by the listeners that use them."""

    def __init__(
        self,
        settings: HostSettings,
        index: AppIndex,
        invoker: Invoker,
        clock: Clock,
        *,
        open_account: Callable[[Connection], QueueAccount] = open_account,
    ) -> None:
        self._settings = settings
        self._index = index
        self._invoker = invoker
        self._clock = clock
        self._open_account = open_account
        self._accounts: dict[Connection, QueueAccount] = {}
        self._listeners: list[QueueListener] = []

    async def start(self) -> None:
        """Begin to poll. A queue or storage that is not there yet is no error: it is asked again.

        Raises SettingsError for values of host.json, `%NAME%` or a connection that can't be used.
        """
        functions = self._index.by_trigger("queueTrigger")
        if not functions:
            return
        if self._open_account is open_account and not isinstance(self._clock, SystemClock):
            log.warning(
                "Queue triggers poll a real storage account by a virtual clock: invisibility and time to live of its "
                "messages pass in real time, whatever the clock says. devhost.testing.TestHost has queues in memory."
            )
        options = QueueOptions.read(self._settings)
        for function in functions:
            name = self._settings.resolve(function.trigger["queueName"]).lower()
            account = self._account(function.trigger.get("connection"))
            poison = account.queue(name + _POISON_SUFFIX) if has_poison_queue(name) else None
            listener = QueueListener(
                function,
                account.queue(name),
                poison,
                options=options,
                invoker=self._invoker,
                clock=self._clock,
            )
            self._listeners.append(listener)
            listener.start()

    async def stop(self, grace: timedelta = GRACE) -> None:
        """Poll no more and wait, at most `grace`, for the functions that run.

        The message of a run that is cut off is not released: it comes back when its invisibility lapses.
        """
        listeners, self._listeners = self._listeners, []
        await asyncio.gather(*(listener.stop(grace) for listener in listeners))
        accounts, self._accounts = self._accounts, {}
        for account in accounts.values():
            await account.close()

    def _account(self, connection_name: str | None) -> QueueAccount:
        connection = self._settings.connection(connection_name)
        if connection not in self._accounts:
            self._accounts[connection] = self._open_account(connection)
        return self._accounts[connection]


def has_poison_queue(name: str) -> bool:
    """Not for a queue that is one itself, nor where the longer name would not be allowed."""
    return not name.endswith(_POISON_SUFFIX) and len(name + _POISON_SUFFIX) <= _LONGEST_NAME
