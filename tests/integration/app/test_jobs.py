"""The app's promises, kept on a running host: three results, reports by every way, nothing lost."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from devhost.functions import index_app
from devhost.settings import HostSettings
from tests.integration.app.conftest import BODY, START, Jobs

ROOT = Path(__file__).parents[3]


def report(job: str, **fields: Any) -> dict[str, Any]:
    return {
        "instance_id": job,
        "blobUrl": BODY["blobURL"],
        "blobName": BODY["blobName"],
        "status": "PROCESSED",
        "start_timestamp": "2025-12-14T18:00:30.761319",
        "stop_timestamp": "2025-12-14T18:00:37.427266",
        "details": {"frames": 200},
        **fields,
    }


def test_the_host_finds_every_function_under_the_names_that_clients_use() -> None:
    index = index_app(HostSettings(ROOT, environment={"VideoStorage": "UseDevelopmentStorage=true"}))
    index.unload()
    assert index.error is None
    assert {function.name: function.errors for function in index.functions} == {
        "cancel_job": [],
        "client_function": [],
        "keep_rejected_reports": [],
        "purge_finished_jobs": [],
        "report_processed": [],
        "send_processing_request": [],
        "SendFailureNotification": [],
        "take_poisoned_report": [],
        "video_orchestration_starter": [],
        "video_orchestrator": [],
        "withdraw_request": [],
    }


async def test_a_job_is_published_and_ends_processed_by_a_report_from_the_queue(jobs: Jobs) -> None:
    job = await jobs.start()
    request = json.loads(await jobs.take("video-to-processing"))
    assert list(request) == ["blobUrl", "blobName", "posted", "instance_id", "attempt", "deadline", "reply_queue"]
    assert (request["blobUrl"], request["instance_id"]) == (BODY["blobURL"], job)
    await jobs.waiting(job)
    await jobs.send("video-processed", json.dumps(report(job)), base64=True)
    result = await jobs.result(job)
    assert (result["status"], result["report"], result["error"]) == ("processed", report(job), None)


@pytest.mark.parametrize("name", ["processed", "PROCESSING_VIDEO_COMPLITED"])
async def test_both_event_names_end_the_wait(jobs: Jobs, name: str) -> None:
    job = await jobs.start()
    await jobs.waiting(job)
    assert await jobs.raise_event(job, name, report(job)) == 202
    assert (await jobs.result(job))["status"] == "processed"


async def test_a_report_to_the_apps_own_route_ends_the_job_and_another_one_is_late(jobs: Jobs) -> None:
    job = await jobs.start()
    await jobs.waiting(job)
    assert await jobs.post(f"/api/jobs/{job}/processed", report(job)) == (202, {"ok": True, "instance_id": job})
    assert (await jobs.result(job))["status"] == "processed"
    assert await jobs.post(f"/api/jobs/{job}/processed", report(job)) == (202, {"ok": True, "instance_id": job})
    code, answer = await jobs.post(f"/api/jobs/{job}/processed", report(job, details={"other": 1}))
    assert (code, answer["error"]["code"]) == (409, "late")
    assert json.loads(await jobs.take("video-processed-rejected"))["reason"] == "late"


async def test_without_a_report_the_job_ends_as_timeout_and_somebody_is_told(jobs: Jobs) -> None:
    job = await jobs.start(timeoutSeconds=1)
    result = await jobs.result(job)
    assert (result["status"], result["report"], result["error"]["code"]) == ("timeout", None, "timeout")
    assert result["notification"] == {"delivered": True, "channels": ["queue"]}
    told = json.loads(await jobs.take("video-failed"))
    assert (told["instance_id"], told["status"]) == (job, "timeout")


async def test_a_failed_report_ends_the_job_as_failed_with_the_workers_words(jobs: Jobs) -> None:
    job = await jobs.start()
    await jobs.waiting(job)
    error = {"code": "not_a_video", "message": "no frames", "retryable": False}
    await jobs.send("video-processed", json.dumps(report(job, status="failed", error=error)))
    result = await jobs.result(job)
    assert (result["status"], result["error"]) == (
        "failed",
        {"step": "worker", "code": "not_a_video", "message": "no frames"},
    )


async def test_a_garbage_event_neither_ends_nor_kills_the_job(jobs: Jobs) -> None:
    job = await jobs.start()
    await jobs.waiting(job)
    garbages: list[Any] = [None, 5, "text", [], {"status": "PROCESSED"}, {"__class__": "x", "__module__": "y"}]
    for garbage in garbages:
        assert await jobs.raise_event(job, "processed", garbage) == 202
    assert await jobs.raise_event(job, "processed", report(job)) == 202
    assert (await jobs.result(job))["report"] == report(job)


async def test_a_job_leaves_no_timer_behind(jobs: Jobs) -> None:
    job = await jobs.start(timeoutSeconds=432_000)
    await jobs.waiting(job)
    await jobs.raise_event(job, "processed", report(job))
    # An open timer would keep it Running for five days.
    assert (await jobs.result(job))["status"] == "processed"


async def test_a_message_that_is_no_report_is_moved_aside_with_its_text(jobs: Jobs) -> None:
    await jobs.send("video-processed", "{not json")
    rejected = json.loads(await jobs.take("video-processed-rejected"))
    assert list(rejected) == ["reason", "detail", "received_at", "message"]
    assert (rejected["reason"], rejected["message"]) == ("not_json", "{not json")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"", None),
        (b"{", None),
        (b"[]", "$"),
        (json.dumps({"blobName": "videos/a.avi"}).encode(), "$.blobURL"),
        (json.dumps({**BODY, "colour": 1}).encode(), "$.colour"),
        (json.dumps({**BODY, "timeoutSeconds": 0}).encode(), "$.timeoutSeconds"),
        (json.dumps({**BODY, "blobURL": "ftp://x"}).encode(), "$.blobURL"),
    ],
)
async def test_a_bad_start_is_refused_with_its_place_and_starts_nothing(
    jobs: Jobs, body: bytes, path: str | None
) -> None:
    code, answer = await jobs.post(START, body)
    assert (code, answer["ok"], answer["error"]["path"]) == (400, False, path)
    code, found = await jobs.post("/api/orchestrators/nosuch", BODY)
    assert (code, found["error"]["code"]) == (404, "unknown_orchestrator")
    async with jobs.queue("video-to-processing") as queue:
        assert (await queue.get_queue_properties()).approximate_message_count == 0


async def test_a_key_gives_the_same_job_again_and_is_refused_for_another(jobs: Jobs) -> None:
    code, links = await jobs.post(f"{START}?instanceId=night-1", BODY)
    assert (code, links["id"]) == (202, "night-1")
    assert await jobs.post(START, BODY, headers={"Idempotency-Key": "night-1"}) == (202, links)
    code, answer = await jobs.post(START, {**BODY, "maxAttempts": 2}, headers={"Idempotency-Key": "night-1"})
    assert (code, answer["error"]["code"], answer["error"]["path"]) == (409, "key_reused", "$.maxAttempts")
    await jobs.send("video-processed", json.dumps({"instance_id": "night-1", "status": "PROCESSED"}))
    result = await jobs.result("night-1")
    assert await jobs.post(START, BODY, headers={"Idempotency-Key": "night-1"}) == (202, links)
    assert await jobs.result("night-1") == result


async def test_sixteen_starts_at_once_with_one_key_are_one_job(jobs: Jobs) -> None:
    answers = await asyncio.gather(*(jobs.post(f"{START}?instanceId=night-2", BODY) for _ in range(16)))
    assert {code for code, _ in answers} == {202}
    assert {links["id"] for _, links in answers} == {"night-2"}
    await jobs.waiting("night-2")
    async with jobs.queue("video-to-processing") as queue:
        assert (await queue.get_queue_properties()).approximate_message_count == 1
