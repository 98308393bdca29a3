"""An account on the emulator, and requests to put on its queue."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from azure.core.exceptions import ResourceNotFoundError

from tests.azurite import Azurite
from video_jobs.contract import REPORT_QUEUE, REQUEST_QUEUE, ProcessingRequest, encode_request
from worker import sample
from worker.account import Account, create
from worker.queue_loop import REJECTED_REQUESTS


@dataclass
class Bench:
    """The worker's surroundings: what it reads from and writes to."""

    account: Account
    connection_string: str

    def upload(self, content: bytes) -> str:
        """Store footage under a new name; returns its URL."""
        container = self.account.container("videos")
        create(container)
        return str(container.upload_blob(f"{uuid4().hex}.avi", content).url)

    def ask(self, url: str, *, seconds: float = 600, instance_id: str | None = None) -> ProcessingRequest:
        """Put a request on the queue."""
        now = datetime.now(UTC)
        request = ProcessingRequest(
            blob_url=url,
            blob_name="videos/a.avi",
            posted=now,
            instance_id=instance_id or uuid4().hex,
            attempt=1,
            deadline=now + timedelta(seconds=seconds),
            reply_queue=REPORT_QUEUE,
        )
        self.account.put(REQUEST_QUEUE, encode_request(request))
        return request

    def reports(self) -> list[dict[str, Any]]:
        """Take all reports from the queue."""
        return [json.loads(base64.b64decode(text)) for text in self.take(REPORT_QUEUE)]

    def take(self, queue_name: str) -> list[str]:
        """Take all visible messages from a queue."""
        queue, texts = self.account.queue(queue_name), []
        try:
            for message in queue.receive_messages(messages_per_page=32):
                texts.append(message.content)
                queue.delete_message(message)
        except ResourceNotFoundError:
            return []
        return texts

    def waiting(self, queue_name: str = REQUEST_QUEUE) -> int:
        """How many messages a queue holds, invisible ones included."""
        return self.account.queue(queue_name).get_queue_properties().approximate_message_count or 0


@pytest.fixture
def bench(azurite: Azurite) -> Iterator[Bench]:
    account = Account.connect(azurite.connection_string)
    for name in (REQUEST_QUEUE, REPORT_QUEUE, REJECTED_REQUESTS):
        create(account.queue(name))
        account.queue(name).clear_messages()
    yield Bench(account, azurite.connection_string)
    account.close()


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path: Path = tmp_path_factory.mktemp("clips") / "motion.avi"
    sample.write(path, 4)
    return path.read_bytes()
