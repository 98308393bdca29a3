"""Requests that are sent again or taken back, on a real queue."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from azure.storage.queue import QueueClient

from tests.azurite import Azurite
from tests.integration.app.conftest import Jobs
from tests.integration.app.test_jobs import report
from video_jobs import storage
from video_jobs.queues import QueueError, Receipt, send, take_back

REQUESTS = "video-to-processing"


@pytest.fixture
def queue(azurite: Azurite, queue_prefix: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[QueueClient]:
    """A queue of its own, which `send` creates."""
    monkeypatch.setenv("VideoStorage", azurite.connection_string)
    with QueueClient.from_connection_string(azurite.connection_string, f"{queue_prefix}requests") as client:
        yield client
    storage.close()


def sent(queue: QueueClient, text: str = "{}") -> Receipt:
    return send(queue.queue_name, text, 60)


def back(receipt: Receipt) -> bool:
    return take_back(receipt["queue"], receipt["message_id"], receipt["pop_receipt"])


def left(queue: QueueClient) -> list[str]:
    return [message.content for message in queue.peek_messages(32)]


def test_message_that_nobody_took_is_gone_and_others_stay(queue: QueueClient) -> None:
    receipt = sent(queue, "mine")
    sent(queue, "another")
    assert left(queue) == ["mine", "another"], "a look does not take it"
    assert back(receipt)
    assert left(queue) == ["another"]
    assert not back(receipt), "a second time, as after a crash, there is nothing to take back"


def test_message_that_a_worker_has_stays_with_it(queue: QueueClient) -> None:
    receipt = sent(queue)
    taken = queue.receive_message()
    assert taken is not None
    assert not back(receipt)
    queue.update_message(taken, visibility_timeout=0)
    assert left(queue) == ["{}"], "given back, it is the next worker's"
    assert not back(receipt)


def test_message_that_a_worker_finished_is_gone(queue: QueueClient) -> None:
    receipt = sent(queue)
    taken = queue.receive_message()
    assert taken is not None
    queue.delete_message(taken)
    assert not back(receipt)


def test_queue_that_is_gone_holds_no_message(queue: QueueClient) -> None:
    receipt = sent(queue)
    queue.delete_queue()
    assert not back(receipt)


def test_account_that_refuses_us_is_an_error(
    queue: QueueClient, azurite: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipt = sent(queue)
    monkeypatch.setenv("VideoStorage", re.sub("AccountKey=[^;]+", "AccountKey=d3Jvbmc=", azurite.connection_string))
    with pytest.raises(QueueError) as caught:
        back(receipt)
    assert caught.value.code == "storage_unavailable"
    assert left(queue) == ["{}"]


async def requests_left(jobs: Jobs) -> int:
    async with jobs.queue(REQUESTS) as client:
        return (await client.get_queue_properties()).approximate_message_count or 0


async def test_request_of_a_job_that_timed_out_is_withdrawn(jobs: Jobs) -> None:
    job = await jobs.start(timeoutSeconds=1)
    assert (await jobs.result(job))["status"] == "timeout"
    assert await requests_left(jobs) == 0


async def test_request_that_a_worker_took_is_left_to_it(jobs: Jobs) -> None:
    job = await jobs.start(timeoutSeconds=3)
    async with jobs.queue(REQUESTS) as client:

        async def taken() -> bool:
            return await client.receive_message(visibility_timeout=60) is not None

        assert await jobs.until(taken)
    assert (await jobs.result(job))["status"] == "timeout"
    assert await requests_left(jobs) == 1


async def test_failure_that_may_pass_publishes_the_next_attempt(jobs: Jobs) -> None:
    job = await jobs.start(maxAttempts=2)
    first = json.loads(await jobs.take(REQUESTS))
    await jobs.waiting(job)
    error = {"code": "no_space", "message": "the disk is full", "retryable": True}
    await jobs.send("video-processed", json.dumps(report(job, status="FAILED", attempt=1, error=error)), base64=True)
    second = json.loads(await jobs.take(REQUESTS))
    assert (first["attempt"], second["attempt"]) == (1, 2)
    assert (second["instance_id"], second["deadline"]) == (job, first["deadline"])
    # The standard way of raising events passes none of our checks.
    assert await jobs.raise_event(job, "processed", report(job, attempt=1)) == 202
    assert await jobs.raise_event(job, "processed", report(job, attempt=2)) == 202
    result = await jobs.result(job)
    assert (result["status"], result["attempts"], result["report"]["attempt"]) == ("processed", 2, 2)
    assert (await jobs.status(job))["customStatus"]["ignored"]["last"].startswith("stale_attempt")


async def test_cancelled_job_ends_as_failed_without_its_request(jobs: Jobs) -> None:
    job = await jobs.start(timeoutSeconds=432_000)
    await jobs.waiting(job)
    path = f"/api/jobs/{job}/cancel"
    assert await jobs.post(path, {"reason": "the wrong camera"}) == (202, {"ok": True, "instance_id": job})
    result = await jobs.result(job)
    assert (result["status"], result["report"], result["attempts"]) == ("failed", None, 1)
    assert result["error"] == {"step": "waiting", "code": "cancelled", "message": "Cancelled: the wrong camera"}
    assert json.loads(await jobs.take("video-failed"))["error"]["code"] == "cancelled"
    assert await requests_left(jobs) == 0
    code, refused = await jobs.post(path, {})
    assert (code, refused["error"]["code"]) == (409, "late")


@pytest.mark.parametrize(
    ("job", "body", "code"), [("no-such-job", b"", 404), ("no-such-job", b"[]", 400), ("x", b" " * 1025, 413)]
)
async def test_cancel_that_is_refused(jobs: Jobs, job: str, body: bytes, code: int) -> None:
    answered, refused = await jobs.post(f"/api/jobs/{job}/cancel", body)
    assert (answered, refused["ok"]) == (code, False)
