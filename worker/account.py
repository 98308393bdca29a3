"""The storage account that the worker shares with the application."""

from dataclasses import dataclass
from typing import Any

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobServiceClient, ContainerClient
from azure.storage.blob import ExponentialRetry as BlobRetry
from azure.storage.queue import ExponentialRetry as QueueRetry
from azure.storage.queue import QueueClient, QueueServiceClient

# Storage is near: fail within seconds, and let the queue bring the request again.
_BACK_OFF: dict[str, Any] = {"initial_backoff": 1, "increment_base": 2, "retry_total": 1}
_PATIENCE: dict[str, Any] = {"connection_timeout": 5, "read_timeout": 10}


@dataclass(frozen=True)
class Account:
    """Clients of one account. Close it when done."""

    blobs: BlobServiceClient
    queues: QueueServiceClient

    @classmethod
    def connect(cls, connection_string: str) -> "Account":
        """Make the clients; nothing is sent yet. Raises ValueError for a malformed connection string."""
        return cls(
            BlobServiceClient.from_connection_string(
                connection_string, retry_policy=BlobRetry(**_BACK_OFF), **_PATIENCE
            ),
            QueueServiceClient.from_connection_string(
                connection_string, retry_policy=QueueRetry(**_BACK_OFF), **_PATIENCE
            ),
        )

    def queue(self, name: str) -> QueueClient:
        """A queue by name; it need not exist yet."""
        return self.queues.get_queue_client(name)

    def container(self, name: str) -> ContainerClient:
        """A container by name; it need not exist yet."""
        return self.blobs.get_container_client(name)

    def put(self, queue_name: str, text: str) -> None:
        """Put a message that never expires on a queue, which is created when it is missing."""
        with self.queue(queue_name) as queue:
            try:
                queue.send_message(text, time_to_live=-1)
            except ResourceNotFoundError:
                create(queue)
                queue.send_message(text, time_to_live=-1)

    def close(self) -> None:
        """Close all connections."""
        self.blobs.close()
        self.queues.close()


def create(what: QueueClient | ContainerClient) -> None:
    """Create a queue or container unless it exists."""
    try:
        if isinstance(what, QueueClient):
            what.create_queue()
        else:
            what.create_container()
    except ResourceExistsError:
        # It is there, which is all that was wanted.
        return
