"""The connection to the application's own storage account.

Imported when a function first needs it: these imports take longer than most invocations, and a cold start
that only answers an HTTP request should not pay for them.
"""

import logging
import os
import threading
from datetime import datetime
from typing import Any

from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import ExponentialRetry, QueueClient, QueueMessage, StorageErrorCode

from video_jobs.settings import StorageAccount, storage_account

# At Information the client logs thirty lines a message, which bury what the functions say.
logging.getLogger("azure.core.pipeline.policies.http_logging_policy").setLevel(logging.WARNING)

_clients: dict[tuple[StorageAccount, str], QueueClient] = {}
_clients_lock = threading.Lock()


def put(queue: str, text: str, seconds_to_live: int) -> dict[str, Any]:
    """Put a message on a queue and return its receipt; the queue is created when it is missing."""
    client = _client(queue)
    try:
        message = client.send_message(text, time_to_live=seconds_to_live)
    except ResourceNotFoundError:
        _create(client)
        message = client.send_message(text, time_to_live=seconds_to_live)
    return _receipt(queue, message)


def delete_untaken(queue: str, message_id: str, pop_receipt: str) -> bool:
    """Delete a message unless it is gone or was taken, which changes its pop receipt; whether it was deleted."""
    try:
        _client(queue).delete_message(message_id, pop_receipt)
    except ResourceNotFoundError:
        return False
    except HttpResponseError as error:
        if getattr(error, "error_code", None) == StorageErrorCode.POP_RECEIPT_MISMATCH:
            return False
        raise
    return True


def close() -> None:
    """Close all connections; the next message opens new ones."""
    with _clients_lock:
        for client in _clients.values():
            client.close()
        _clients.clear()


def _client(queue: str) -> QueueClient:
    account = storage_account(os.environ)
    with _clients_lock:
        if (account, queue) not in _clients:
            _clients[account, queue] = _connect(account, queue)
        return _clients[account, queue]


def _connect(account: StorageAccount, queue: str) -> QueueClient:
    options: dict[str, Any] = {
        "retry_policy": ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=3),
        "connection_timeout": 5,
        "read_timeout": 10,
    }
    if account.connection_string:
        return QueueClient.from_connection_string(account.connection_string, queue, **options)
    return QueueClient(account.queue_service_uri or "", queue, credential=_credential(account), **options)


def _credential(account: StorageAccount) -> Any:
    # Half a second of import that an account with a connection string does without.
    from azure.identity import DefaultAzureCredential, ManagedIdentityCredential  # noqa: PLC0415

    if account.managed_identity:
        return ManagedIdentityCredential(client_id=account.client_id)
    return DefaultAzureCredential(managed_identity_client_id=account.client_id)


def _create(client: QueueClient) -> None:
    try:
        client.create_queue()
    except ResourceExistsError:
        # Somebody else was quicker, which is as good.
        return


def _receipt(queue: str, message: QueueMessage) -> dict[str, Any]:
    return {
        "queue": queue,
        "message_id": message.id,
        "pop_receipt": message.pop_receipt,
        "inserted_at": _text(message.inserted_on),
        "expires_at": _text(message.expires_on),
    }


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
