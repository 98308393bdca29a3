"""How the application's own messages reach real queues, where the worker finds them."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from azure.storage.queue import ExponentialRetry

from tests.integration.worker.conftest import Bench
from video_jobs import storage
from video_jobs.contract import REQUEST_QUEUE, decode_request
from video_jobs.queues import FOR_EVER, QueueError, send
from video_jobs.requests import publish
from worker.queue_loop import Options, QueueLoop


@pytest.fixture(autouse=True)
def connections() -> Iterator[None]:
    yield
    storage.close()


def test_published_request_is_what_the_worker_reads(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VideoStorage", bench.connection_string)
    now = datetime.now(UTC)
    published = publish(
        {
            "blobUrl": "http://a/v/a.avi",
            "blobName": "v/ніч.avi",
            "posted": now.isoformat(),
            "instance_id": "job-1",
            "attempt": 1,
            "deadline": (now + timedelta(seconds=100)).isoformat(),
            "reply_queue": "video-processed",
        }
    )
    assert published["ok"]
    receipt = published["receipt"]
    lives = datetime.fromisoformat(receipt["expires_at"]) - now
    assert timedelta(seconds=150) < lives < timedelta(seconds=165)
    queue = bench.account.queue(REQUEST_QUEUE)
    (message,) = queue.peek_messages()
    assert decode_request(message.content).blob_name == "v/ніч.avi"
    queue.delete_message(receipt["message_id"], receipt["pop_receipt"])
    assert bench.waiting() == 0


def test_request_published_twice_is_done_once(bench: Bench, clip: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VideoStorage", bench.connection_string)
    now = datetime.now(UTC)
    request: dict[str, Any] = {
        "blobUrl": bench.upload(clip),
        "blobName": "v/a.avi",
        "posted": now.isoformat(),
        "instance_id": uuid4().hex,
        "attempt": 2,
        "deadline": (now + timedelta(seconds=100)).isoformat(),
        "reply_queue": "video-processed",
    }
    # A host that dies after the message is sent and before that is recorded calls the activity again.
    first, second = publish(request), publish(request)
    assert first["receipt"]["message_id"] != second["receipt"]["message_id"]
    loop = QueueLoop(bench.account, Options(), threading.Event())
    assert loop.once()
    bench.account.container("videos").delete_blob(request["blobUrl"].rpartition("/")[2])
    assert loop.once()
    told, again = bench.reports()
    assert told == again
    assert (told["status"], told["attempt"]) == ("PROCESSED", 2)


def test_missing_queue_is_created(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VideoStorage", bench.connection_string)
    name = f"t{uuid4().hex}"
    send(name, "first", FOR_EVER)
    send(name, "second", FOR_EVER)
    assert bench.take(name) == ["first", "second"]


def test_storage_that_is_down_is_one_line_without_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "ExponentialRetry", partial(_no_retry, ExponentialRetry))
    monkeypatch.setenv(
        "VideoStorage",
        "DefaultEndpointsProtocol=http;AccountName=d;AccountKey=a2V5;QueueEndpoint=http://127.0.0.1:9/d",
    )
    with pytest.raises(QueueError) as caught:
        send("video-failed", "{}", FOR_EVER)
    assert caught.value.code == "storage_unavailable"
    assert "\n" not in str(caught.value)
    assert "a2V5" not in str(caught.value)


def _no_retry(retry: type[ExponentialRetry], **_: object) -> ExponentialRetry:
    return retry(retry_total=0)
