"""The misbehaving worker against the running app: each of its ways has the end that the documents promise."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.azurite import Azurite
from tests.integration.app.conftest import Jobs
from worker.account import Account
from worker.fake.loop import FakeLoop
from worker.fake.modes import Behaviour
from worker.queue_loop import Options

ROOT = Path(__file__).parents[3]

Fake = Callable[..., AbstractAsyncContextManager[None]]


@pytest.fixture(autouse=True)
def no_pause_between_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AzureFunctionsJobHost__extensions__queues__visibilityTimeout", "00:00:00")


@pytest.fixture
def fake(azurite: Azurite) -> Fake:
    """The worker as a process of its own: ready at the beginning of the block, done with one request at its end."""
    options = ["--count", "1", "--poll", "0.1", "--connection", azurite.connection_string]

    @asynccontextmanager
    async def running(*arguments: str) -> AsyncIterator[None]:
        command = [sys.executable, "-m", "worker.fake", *arguments, *options]
        worker = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=asyncio.subprocess.PIPE)
        assert worker.stderr is not None
        try:
            assert b"Waiting for requests" in await worker.stderr.readline()
            yield
            async with asyncio.timeout(60):
                log = await worker.stderr.read()
                assert await worker.wait() == 0, log.decode()
        finally:
            if worker.returncode is None:
                worker.kill()
                await worker.wait()

    return running


async def rejected(jobs: Jobs, count: int) -> list[dict[str, Any]]:
    return [json.loads(await jobs.take("video-processed-rejected")) for _ in range(count)]


async def test_ok_ends_the_job_as_processed(jobs: Jobs, fake: Fake) -> None:
    async with fake("--mode", "ok"):
        job = await jobs.start()
    result = await jobs.result(job)
    assert (result["status"], result["report"]["details"]) == ("processed", {"segments": []})


async def test_failed_ends_the_job_as_failed_with_its_words(jobs: Jobs, fake: Fake) -> None:
    async with fake("--mode", "failed", "--code", "no_disk", "--message", "The disk is full"):
        job = await jobs.start()
    result = await jobs.result(job)
    assert (result["status"], result["error"]) == (
        "failed",
        {"step": "worker", "code": "no_disk", "message": "The disk is full"},
    )


async def test_garbage_ends_as_timeout_and_each_message_is_kept_with_its_reason(jobs: Jobs, fake: Fake) -> None:
    async with fake("--mode", "garbage"):
        job = await jobs.start(timeoutSeconds=2)
    assert (await jobs.result(job))["status"] == "timeout"
    reasons = sorted(each["reason"] for each in await rejected(jobs, 5))
    assert reasons == ["breaks_contract", "breaks_contract", "breaks_contract", "not_json", "unknown_job"]


@pytest.mark.parametrize("encoding", ["plain", "bom"])
async def test_encodings_that_are_accepted_end_the_job(jobs: Jobs, fake: Fake, encoding: str) -> None:
    async with fake("--mode", "wrong-encoding", "--encoding", encoding):
        job = await jobs.start()
    assert (await jobs.result(job))["report"]["details"]["note"] == "Bewegung in der Nähe"


@pytest.mark.parametrize(
    ("encoding", "reason"), [("nested-base64", "nested_base64"), ("utf-16", "not_json"), ("latin-1", "not_json")]
)
async def test_encodings_that_are_refused_are_kept_with_the_reason(
    jobs: Jobs, fake: Fake, encoding: str, reason: str
) -> None:
    async with fake("--mode", "wrong-encoding", "--encoding", encoding):
        await jobs.start()
    assert [each["reason"] for each in await rejected(jobs, 1)] == [reason]


async def test_late_is_kept_as_late(jobs: Jobs, azurite: Azurite) -> None:
    host, time = asyncio.get_running_loop(), datetime.now(UTC)
    started: asyncio.Future[str] = host.create_future()

    async def given_up() -> None:
        assert (await jobs.result(await started))["status"] == "timeout"

    def pause(seconds: float) -> None:
        # The job's time is real; the worker's stands still until the job has given up.
        nonlocal time
        asyncio.run_coroutine_threadsafe(given_up(), host).result()
        time += timedelta(seconds=seconds)

    account, stop = Account.connect(azurite.connection_string), threading.Event()
    worker = FakeLoop(account, Options(poll_seconds=0.1), stop, Behaviour("late"), 1, lambda: time, pause)
    working = asyncio.create_task(asyncio.to_thread(worker.run))
    try:
        started.set_result(await jobs.start(timeoutSeconds=1))
        (kept,) = await rejected(jobs, 1)
    finally:
        stop.set()
        await working
        account.close()
    assert kept["reason"] == "late"
    assert started.result() in kept["detail"]
