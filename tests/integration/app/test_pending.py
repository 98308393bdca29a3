"""A report for a job that has not started yet is never raised into nothing."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path

from devhost.testing import BadDays, TestHost
from tests.integration.app.kit import BODY, START, app_on_kit

NAIVE_APP = Path(__file__).parent / "naive_app"
WORST = BadDays(lose_events_to_pending=True, late_starts=timedelta(seconds=3))
JOBS, AT_ONCE = 200, 16


async def test_two_hundred_jobs_reported_at_once_are_all_processed() -> None:
    async with app_on_kit(bad_days=WORST, leftovers="ignore") as (host, _):
        turn = asyncio.Semaphore(AT_ONCE)

        async def start_and_report() -> str:
            async with turn:
                answer = await host.request("POST", START, json=BODY)
                job = str(answer.json()["id"])
                host.queue("video-processed").put({"instance_id": job, "status": "PROCESSED", "details": {}})
                return job

        ids = await asyncio.gather(*(start_and_report() for _ in range(JOBS)))
        results = await asyncio.gather(*(host.instance(job).result() for job in ids))
        assert [result["status"] for result in results] == ["processed"] * JOBS
        assert host.queue("video-processed-rejected").messages() == []


async def test_an_app_that_raises_at_once_loses_them() -> None:
    async with TestHost(NAIVE_APP, bad_days=WORST) as host:
        ids = [str(json.loads((await host.request("POST", "/api/jobs")).text)["id"]) for _ in range(AT_ONCE)]
        for job in ids:
            assert (await host.request("POST", f"/api/jobs/{job}/done")).status == 202
        assert [await host.instance(job).result() for job in ids] == ["timeout"] * AT_ONCE
