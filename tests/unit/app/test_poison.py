"""A report that came to the poison queue: its job is told, whatever is legible of it, and the message is kept."""

import base64
import json
from typing import Any

import pytest

from tests.unit.app.fakes import FakeClient, FakeQueues, FakeStatus, status
from tests.unit.app.test_reports import NOW, REPORT, message, no_time, rejected
from video_jobs.contract import decode_event, encode_report
from video_jobs.delivery import MAX_TRIES, NotYetDelivered
from video_jobs.poison import take_message, whose
from video_jobs.queues import QueueError

RUNNING = status("Running", stage="waiting", attempt=2)


def twice(text: str) -> str:
    return base64.b64encode(base64.b64encode(text.encode())).decode()


async def take(text: str, client: FakeClient, dequeue_count: int = 1, queues: FakeQueues | None = None) -> FakeQueues:
    queues = queues or FakeQueues()
    await take_message(message(text, dequeue_count), client, send=queues, now=lambda: NOW, sleep=no_time)
    return queues


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (encode_report(REPORT), ("job-1", None)),
        (json.dumps({**REPORT, "attempt": 2}), ("job-1", 2)),
        (json.dumps({"instance_id": "job-1", "status": "DONE"}), ("job-1", None)),
        ('{"instance_id" : "job-1", "status": ', ("job-1", None)),
        (encode_report({"instance_id": "job-1"}), ("job-1", None)),
        (twice(json.dumps(REPORT)), ("job-1", None)),
        ('{"instance_id": ".."}', (None, None)),
        ('{"instance_id": "a/b"}', (None, None)),
        ("hello", (None, None)),
        ("", (None, None)),
        ("\ufeff\x00", (None, None)),
    ],
)
def test_whose_report_it_is(text: str, found: Any) -> None:
    assert whose(text.encode()) == found


async def test_its_job_is_ended_and_the_message_kept() -> None:
    client = FakeClient([RUNNING])
    kept = rejected(await take(encode_report(REPORT), client))
    assert (kept["reason"], kept["message"]) == ("poisoned", encode_report(REPORT))
    assert kept["detail"] == "Its job was ended as failed: job-1"
    ((instance_id, name, data),) = client.raised
    assert (instance_id, name) == ("job-1", "processed")
    report = decode_event(data, "job-1")
    assert (report.status, report.attempt) == ("FAILED", 2)
    assert report.error is not None
    assert (report.error.code, report.error.retryable) == ("poisoned", False)
    assert "video-processed-rejected" in report.error.message


async def test_older_attempt_does_not_end_the_newer_one() -> None:
    client = FakeClient([RUNNING])
    kept = rejected(await take(json.dumps({**REPORT, "attempt": 1}), client))
    assert (kept["reason"], client.raised) == ("poisoned", [])
    assert "older attempt" in kept["detail"]


@pytest.mark.parametrize(
    ("state", "says"),
    [(status("Completed"), "has ended already"), (FakeStatus(), "no such job"), (RUNNING, "does not say")],
)
async def test_message_without_a_running_job_is_kept(state: FakeStatus, says: str) -> None:
    client = FakeClient([state])
    text = "hello" if state is RUNNING else encode_report(REPORT)
    assert says in rejected(await take(text, client))["detail"]
    assert client.raised == []


async def test_pending_job_is_waited_for_until_the_last_try() -> None:
    late = FakeClient([status("Pending"), status("Pending"), RUNNING])
    await take(encode_report(REPORT), late)
    assert len(late.raised) == 1
    for count in range(1, MAX_TRIES):
        with pytest.raises(NotYetDelivered):
            await take(encode_report(REPORT), FakeClient([status("Pending")]), count)
    kept = rejected(await take(encode_report(REPORT), FakeClient([status("Pending")]), MAX_TRIES))
    assert "not started" in kept["detail"]


async def test_storage_that_is_down_leaves_the_message_on_the_queue() -> None:
    queues = FakeQueues(QueueError("storage_unavailable", "down"))
    with pytest.raises(QueueError):
        await take(encode_report(REPORT), FakeClient([status("Completed")]), queues=queues)
