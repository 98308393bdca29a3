"""What people and machines do to a job in its course: suspend it, kill the host, take the storage away."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from devhost.testing import BadDays, TestHost
from tests.integration.app.kit import BODY, START, app_on_kit

JOB = "job-1"
REPORT = {"instance_id": JOB, "status": "PROCESSED"}


async def start(host: TestHost, **fields: Any) -> None:
    answer = await host.request("POST", f"{START}?instanceId={JOB}", json={**BODY, **fields})
    assert answer.status == 202
    await host.settle()


async def manage(host: TestHost, verb: str) -> int:
    answer = await host.request("POST", f"/runtime/webhooks/durabletask/instances/{JOB}/{verb}?reason=test")
    await host.settle()
    return answer.status


async def test_report_for_a_suspended_job_is_its_result() -> None:
    async with app_on_kit() as (host, _):
        await start(host)
        assert await manage(host, "suspend") == 202
        assert (await host.request("POST", f"/api/jobs/{JOB}/processed", json=REPORT)).status == 202
        await host.advance(hours=1)
        # A race that has ended leaves nothing that the suspension could hold up: the job may have ended by now.
        assert await manage(host, "resume") in (202, 410)
        assert (await host.instance(JOB).result())["status"] == "processed"
        host.queue("video-to-processing").take_all()


async def test_deadline_goes_on_while_a_job_is_suspended() -> None:
    async with app_on_kit() as (host, _):
        await start(host)
        assert await manage(host, "suspend") == 202
        await host.advance(hours=1)
        assert host.instance(JOB).status == "Suspended"
        assert await manage(host, "resume") == 202
        result = await host.instance(JOB).result(within=timedelta(seconds=10))
        assert (result["status"], result["notification"]["delivered"]) == ("timeout", True)
        host.queue("video-failed").take_all()


@pytest.mark.parametrize("status", ["PROCESSED", "FAILED"])
async def test_a_crash_costs_a_job_a_minute(status: str) -> None:
    # What host.json says of the queues' visibility; the report waits longer than that on its queue.
    async with app_on_kit(bad_days=BadDays(slow_recovery=timedelta(minutes=1)), leftovers="ignore") as (host, _):
        host.kill_at_commit(2)
        await host.request("POST", f"{START}?instanceId={JOB}", json=BODY)
        await host.settle()
        assert host.deaths == 1
        host.queue("video-processed").put({**REPORT, "status": status})
        result = await host.instance(JOB).result(within=timedelta(minutes=2))
        assert result["status"] == status.lower()
        assert host.queue("video-processed-rejected").messages() == []


async def test_a_job_ends_though_the_storage_stays_away() -> None:
    async with app_on_kit() as (host, storage):
        storage.outages = 1000
        answer = await host.request("POST", f"{START}?instanceId={JOB}", json=BODY)
        assert answer.status == 202
        result = await host.instance(JOB).result()
        assert (result["status"], result["error"]["code"]) == ("failed", "storage_unavailable")
        assert result["notification"] == {"delivered": False, "channels": []}


async def test_what_a_job_ignored_is_kept_word_by_word() -> None:
    async with app_on_kit() as (host, _):
        await start(host, maxAttempts=2)
        job = host.instance(JOB)
        retryable = {"code": "no_space", "message": "full", "retryable": True}
        await job.raise_event("processed", {**REPORT, "status": "FAILED", "attempt": 1, "error": retryable})
        await host.settle()
        ignored: Any
        for ignored in ({**REPORT, "attempt": 1}, {"hello": "world"}, [], "text"):
            await job.raise_event("processed", ignored)
            await host.settle()
        await job.raise_event("processed", {**REPORT, "attempt": 2})
        assert (await job.result())["attempts"] == 2
        kept = [json.loads(text) for text in host.queue("video-processed-rejected").take_all()]
        assert [entry["reason"] for entry in kept] == ["stale_attempt", *["breaks_contract"] * 2, "not_json"]
        assert [entry["message"] for entry in kept[1:]] == ['{"hello": "world"}', "[]", '"text"']
        host.queue("video-to-processing").take_all()


async def test_a_webhook_that_nobody_answers_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEO_FAILURE_WEBHOOK_URL", "https://127.0.0.1:1/hooks/SeCrEt")
    async with app_on_kit() as (host, _):
        await start(host, timeoutSeconds=1)
        result = await host.instance(JOB).result()
        assert (result["status"], result["notification"]) == ("timeout", {"delivered": True, "channels": ["queue"]})
        (told,) = [json.loads(text) for text in host.queue("video-failed").take_all()]
        assert told["links"]["status"].endswith(f"/instances/{JOB}")
        log = "\n".join(line.text for line in host.log)
        assert log.count("nobody was told through webhook") == 3
        assert "SeCrEt" not in log


async def test_a_crash_after_sending_and_before_that_is_recorded_sends_twice() -> None:
    sent: list[list[dict[str, Any]]] = []
    for commit in (2, 3, 4):  # the first is that of the start
        async with app_on_kit(leftovers="ignore") as (host, _):
            host.kill_at_commit(commit)
            await host.request("POST", f"{START}?instanceId={JOB}", json=BODY)
            await host.settle()
            sent.append([json.loads(text) for text in host.queue("video-to-processing").messages()])
            await host.instance(JOB).raise_event("processed", REPORT)
            assert (await host.instance(JOB).result())["status"] == "processed"
    first, second = max(sent, key=len)
    assert first == second
    assert (first["instance_id"], first["attempt"]) == (JOB, 1)
