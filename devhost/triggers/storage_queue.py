"""Queues in Azure Storage or in its emulator.

Imported only by apps that use queues: the packages behind it would double the start of all others.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import AzureError, ResourceExistsError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from devhost.triggers.message_queue import MessageGoneError, QueueMissingError, StorageError
from devhost.triggers.queue_message import NO_EXPIRY, StoredMessage

if TYPE_CHECKING:
    from devhost.clock import Clock
    from devhost.settings import Connection


def open_account(connection: Connection) -> StorageAccount:
    """The account behind a connection of the app's settings. Nothing is sent yet.

    Raises ValueError when the connection can't be used for queues.
    """
    options: dict[str, Any] = {
        "retry_total": 0,  # whoever calls decides when to try again, by the clock it was given
        "http_logging_level": logging.NOTSET + 1,  # else each poll shows in the log of the app
    }
    if connection.connection_string is not None:
        return StorageAccount(QueueServiceClient.from_connection_string(connection.connection_string, **options))
    if connection.queue_service_uri is None:
        raise ValueError(
            f"The connection '{connection.name}' has no address for queues; set {connection.name}__queueServiceUri."
        )
    from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 - slow to import, needed by few

    credential = DefaultAzureCredential(managed_identity_client_id=connection.client_id)
    client = QueueServiceClient(connection.queue_service_uri, credential=credential, **options)
    return StorageAccount(client, credential)


class StorageAccount:
    """A QueueAccount."""

    def __init__(self, client: QueueServiceClient, *owned: contextlib.AbstractAsyncContextManager[Any]) -> None:
        self._client = client
        self._owned = owned

    def queue(self, name: str) -> StorageQueue:
        return StorageQueue(self._client.get_queue_client(name))

    async def close(self) -> None:
        await self._client.close()
        for part in self._owned:
            await part.__aexit__(None, None, None)


class StorageQueue:
    """A MessageQueue."""

    def __init__(self, client: QueueClient) -> None:
        self._client = client

    @property
    def name(self) -> str:
        return self._client.queue_name

    async def receive(self, count: int, invisible: timedelta) -> list[StoredMessage]:
        pages = self._client.receive_messages(
            messages_per_page=count, visibility_timeout=ceil(invisible.total_seconds())
        ).by_page()
        with _translated_errors():
            # One page is one request; iterating on would ask until the queue is empty.
            async for page in pages:
                return [_stored(message) async for message in page]
        return []

    async def hide(self, message_id: str, pop_receipt: str, invisible: timedelta) -> str:
        with _translated_errors():
            updated = await self._client.update_message(
                message_id, pop_receipt, visibility_timeout=ceil(invisible.total_seconds())
            )
        return updated.pop_receipt or pop_receipt

    async def delete(self, message_id: str, pop_receipt: str) -> None:
        with _translated_errors():
            await self._client.delete_message(message_id, pop_receipt)

    async def put(self, text: str) -> None:
        try:
            await self._send(text)
        except QueueMissingError:
            with _translated_errors(), contextlib.suppress(ResourceExistsError):
                await self._client.create_queue()
            await self._send(text)

    async def idle(self, clock: Clock, until: datetime) -> None:
        await clock.sleep_until(until)

    async def _send(self, text: str) -> None:
        with _translated_errors():
            await self._client.send_message(text)


_BY_ERROR_CODE: dict[str, type[Exception]] = {
    "QueueNotFound": QueueMissingError,
    "QueueBeingDeleted": QueueMissingError,
    "MessageNotFound": MessageGoneError,
    "PopReceiptMismatch": MessageGoneError,
}


@contextlib.contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except AzureError as error:
        code = getattr(error, "error_code", None)
        kind = _BY_ERROR_CODE.get(str(getattr(code, "value", code)), StorageError)
        raise kind(str(error).strip().partition("\n")[0] or type(error).__name__) from error


def _stored(message: QueueMessage) -> StoredMessage:
    def time_or_never(moment: datetime | None) -> datetime:
        return moment or NO_EXPIRY

    return StoredMessage(
        id=message.id,
        text=message.content or "",
        dequeue_count=message.dequeue_count or 0,
        inserted=time_or_never(message.inserted_on),
        expires=time_or_never(message.expires_on),
        next_visible=time_or_never(message.next_visible_on),
        pop_receipt=message.pop_receipt or "",
    )
