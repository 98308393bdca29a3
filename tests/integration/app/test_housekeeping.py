"""Old jobs are purged in the night, and the poison queue is looked after, on the test kit."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from devhost.testing import TestHost
from tests.integration.app.kit import BODY, START, app_on_kit
from video_jobs.housekeeping import purge


async def start(host: TestHost, job: str, **fields: Any) -> None:
    answer = await host.request("POST", f"{START}?instanceId={job}", json={**BODY, **fields})
    assert answer.status == 202
    await host.settle()


async def test_finished_jobs_that_are_old_enough_are_purged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEO_KEEP_DAYS", "3")
    async with app_on_kit(leftovers="ignore") as (host, _):
        monkeypatch.setitem(cast(Any, purge).__kwdefaults__, "now", host.clock.now)
        for job in ("done", "failed", "terminated"):
            await start(host, job)
        await host.instance("done").raise_event("processed", {"instance_id": "done", "status": "PROCESSED"})
        await host.request("POST", "/api/jobs/failed/cancel")
        await host.request("POST", "/runtime/webhooks/durabletask/instances/terminated/terminate?reason=x")
        await host.advance(days=5)
        await start(host, "runs", timeoutSeconds=432_000)
        await host.advance(days=2)
        assert {job.id for job in host.instances()} == {"done", "failed", "terminated", "runs"}
        await host.advance(days=2)
        assert {job.id for job in host.instances()} == {"runs"}
        result = await host.instance("runs").result()
        assert result["status"] == "timeout"
        await host.advance(days=1)
        assert {job.id for job in host.instances()} == {"runs"}


async def test_nothing_is_purged_by_default() -> None:
    async with app_on_kit(leftovers="ignore") as (host, _):
        await start(host, "done")
        await host.instance("done").raise_event("processed", {"instance_id": "done", "status": "PROCESSED"})
        await host.advance(days=30)
        assert [job.id for job in host.instances()] == ["done"]


@pytest.mark.parametrize("text", ['{"instance_id": "job-1", "status": "PROCESSED"}', '{"instance_id": "job-1", "sta'])
async def test_a_poisoned_report_ends_its_job(text: str) -> None:
    async with app_on_kit(leftovers="ignore") as (host, _):
        await start(host, "job-1")
        host.queue("video-processed-poison").put_raw(text)
        result = await host.instance("job-1").result()
        assert (result["status"], result["error"]["code"], result["error"]["step"]) == ("failed", "poisoned", "worker")
        (kept,) = [json.loads(one) for one in host.queue("video-processed-rejected").take_all()]
        assert (kept["reason"], kept["message"]) == ("poisoned", text)
        assert host.queue("video-processed-poison").messages() == []
        (told,) = [json.loads(one) for one in host.queue("video-failed").take_all()]
        assert told["error"]["code"] == "poisoned"


async def test_a_report_that_fails_five_times_comes_to_the_poison_queue_and_ends_its_job() -> None:
    async with app_on_kit(leftovers="ignore") as (host, storage):
        await start(host, "job-1", timeoutSeconds=3600)
        # Each try to move it aside fails; then the host moves it to the poison queue.
        storage.outages = 5
        text = '{"instance_id": "job-1", "status": "DONE"}'
        host.queue("video-processed").put_raw(text)
        await host.advance(minutes=5)
        result = await host.instance("job-1").result()
        assert result["error"]["code"] == "poisoned"
        (kept,) = [json.loads(one) for one in host.queue("video-processed-rejected").take_all()]
        assert (kept["reason"], kept["message"]) == ("poisoned", text)
