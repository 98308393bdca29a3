"""The contract's table of reports, row by row, over the queue and over HTTP, on a real Azurite."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.app.conftest import Jobs
from video_jobs import delivery

Encode = Callable[[str], str]
RETRYABLE = {"code": "no_space", "message": "the disk is full", "retryable": True}


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def report(job: str, status: str = "PROCESSED", **more: Any) -> dict[str, Any]:
    return {"instance_id": job, "status": status, **more}


async def rejected(jobs: Jobs) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(await jobs.take("video-processed-rejected"))
    assert list(entry) == ["reason", "detail", "received_at", "message"]
    return entry


async def waiting_job(jobs: Jobs, **fields: Any) -> str:
    job = await jobs.start(**fields)
    await jobs.waiting(job)
    return job


async def processed_job(jobs: Jobs) -> str:
    job = await waiting_job(jobs)
    await jobs.send("video-processed", json.dumps(report(job)))
    assert (await jobs.result(job))["status"] == "processed"
    return job


async def second_attempt(jobs: Jobs) -> str:
    """A job that waits for its second attempt."""
    job = await waiting_job(jobs, maxAttempts=2)
    await jobs.send("video-processed", json.dumps(report(job, "FAILED", attempt=1, error=RETRYABLE)))

    async def on() -> bool:
        return bool((await jobs.waiting(job))["customStatus"]["attempt"] == 2)

    await jobs.until(on)
    return job


@pytest.mark.parametrize(
    "encode",
    [str, _base64, lambda text: "\ufeff" + text, lambda text: _base64("\ufeff" + text)],
    ids=["plain", "base64", "plain with a byte-order mark", "base64 of a byte-order mark"],
)
@pytest.mark.parametrize("status", ["PROCESSED", "processed", "FAILED", "Failed"])
async def test_report_that_fits_is_the_result(jobs: Jobs, encode: Encode, status: str) -> None:
    job = await waiting_job(jobs)
    await jobs.send("video-processed", encode(json.dumps(report(job, status, colour="kept"))))
    result = await jobs.result(job)
    assert result["status"] == status.lower()
    assert result["report"] == report(job, status.upper(), colour="kept")


async def test_report_that_comes_twice_is_acknowledged(jobs: Jobs) -> None:
    job = await processed_job(jobs)
    await jobs.send("video-processed", json.dumps(report(job)))
    assert await jobs.post(f"/api/jobs/{job}/processed", report(job)) == (202, {"ok": True, "instance_id": job})

    async def gone() -> bool:
        async with jobs.queue("video-processed") as queue:
            return (await queue.get_queue_properties()).approximate_message_count == 0

    await jobs.until(gone)
    async with jobs.queue("video-processed-rejected") as queue:
        assert (await queue.get_queue_properties()).approximate_message_count == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{not json", "not_json"),
        ("aGVsbG8gd29ybGQ=", "not_json"),
        (_base64(_base64('{"instance_id": "a", "status": "PROCESSED"}')), "nested_base64"),
        ('{"instance_id": "a", "status": "DONE"}', "breaks_contract"),
        ('{"status": "PROCESSED"}', "breaks_contract"),
        ('{"instance_id": "a", "status": "PROCESSED", "attempt": 0}', "breaks_contract"),
    ],
)
async def test_what_is_no_report_is_moved_at_once(jobs: Jobs, text: str, reason: str) -> None:
    await jobs.send("video-processed", text)
    entry = await rejected(jobs)
    assert (entry["reason"], entry["message"]) == (reason, text)
    code, answer = await jobs.post("/api/jobs/a/processed", text.encode())
    assert (code, answer["error"]["code"]) == (400, reason)


async def test_report_for_no_job_is_tried_again_then_moved(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "HOLD_SECONDS", 0)
    text = json.dumps(report("nobody"))
    await jobs.send("video-processed", text)
    entry = await rejected(jobs)
    assert (entry["reason"], entry["message"]) == ("unknown_job", text)
    code, answer = await jobs.post("/api/jobs/nobody/processed", text.encode())
    assert (code, answer["error"]["code"]) == (503, "unknown_job")


async def test_report_after_the_end_is_kept_as_late(jobs: Jobs) -> None:
    job = await processed_job(jobs)
    late = json.dumps(report(job, details={"other": 1}))
    await jobs.send("video-processed", late)
    entry = await rejected(jobs)
    assert (entry["reason"], entry["message"]) == ("late", late)
    code, answer = await jobs.post(f"/api/jobs/{job}/processed", late.encode())
    assert (code, answer["error"]["code"]) == (409, "late")
    assert (await rejected(jobs))["message"] == late


async def test_report_for_an_older_attempt_is_kept_as_stale(jobs: Jobs) -> None:
    job = await second_attempt(jobs)
    stale = json.dumps(report(job, attempt=1))
    await jobs.send("video-processed", stale)
    entry = await rejected(jobs)
    assert (entry["reason"], entry["message"]) == ("stale_attempt", stale)
    code, answer = await jobs.post(f"/api/jobs/{job}/processed", stale.encode())
    assert (code, answer["error"]["code"]) == (409, "stale_attempt")
    assert (await rejected(jobs))["message"] == stale
    await jobs.send("video-processed", json.dumps(report(job, attempt=2)))
    result = await jobs.result(job)
    assert (result["status"], result["attempts"]) == ("processed", 2)


async def test_what_the_standard_link_brings_and_a_job_ignores_is_kept_when_it_ends(jobs: Jobs) -> None:
    job = await second_attempt(jobs)
    garbage: Any
    for garbage in (report(job, attempt=1), {"hello": "world"}):
        assert await jobs.raise_event(job, "processed", garbage) == 202
    assert await jobs.raise_event(job, "processed", report(job, attempt=2)) == 202
    assert (await jobs.result(job))["report"]["attempt"] == 2
    kept = [await rejected(jobs) for _ in range(2)]
    assert [entry["reason"] for entry in kept] == ["stale_attempt", "breaks_contract"]
    assert json.loads(kept[1]["message"]) == {"hello": "world"}


async def test_poisoned_report_ends_its_job_and_is_kept(jobs: Jobs) -> None:
    job = await waiting_job(jobs)
    text = json.dumps(report(job))
    await jobs.send("video-processed-poison", text, base64=True)
    result = await jobs.result(job)
    assert (result["status"], result["error"]["code"]) == ("failed", "poisoned")
    entry = await rejected(jobs)
    assert (entry["reason"], base64.b64decode(entry["message"]).decode()) == ("poisoned", text)
    assert json.loads(await jobs.take("video-failed"))["error"]["code"] == "poisoned"
