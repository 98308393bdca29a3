"""Records our app's jobs anew: `python -m tests.record_histories`.

The recordings of a released version are never changed: they stand for jobs that may be in flight at the next deploy.
Those of the version in work, named in pyproject.toml, are made by this.
"""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from devhost.histories.recording import Recording
from devhost.testing import Instance, TestHost

ROOT = Path(__file__).resolve().parent.parent
HISTORIES = ROOT / "tests" / "data" / "histories"
NOW = datetime(2026, 11, 24, tzinfo=UTC)
BODY: dict[str, Any] = {"blobURL": "http://127.0.0.1:10000/dev/videos/a.avi", "blobName": "videos/a.avi"}
PUBLISH, WITHDRAW = "send_processing_request", "withdraw_request"
NOTIFY, REJECT = "SendFailureNotification", "keep_rejected_reports"
SENT = {
    "ok": True,
    "receipt": {"queue": "video-to-processing", "message_id": "m1", "pop_receipt": "p1"},
}
Play = Callable[[TestHost, Instance], Awaitable[None]]


def _report(job: Instance, status: str = "PROCESSED", **more: Any) -> dict[str, Any]:
    return {"instance_id": job.id, "blobName": "videos/a.avi", "status": status, "details": {}, **more}


async def _processed(host: TestHost, job: Instance) -> None:
    await job.raise_event("processed", _report(job))


async def _failed_by_worker(host: TestHost, job: Instance) -> None:
    error = {"code": "no_video", "message": "The file holds no video", "retryable": False}
    await job.raise_event("processed", _report(job, "FAILED", error=error))


async def _garbage_first(host: TestHost, job: Instance) -> None:
    await job.raise_event("processed", {"hello": "world"})
    await host.settle()
    await job.raise_event("processed", _report(job))


async def _second_attempt(host: TestHost, job: Instance) -> None:
    error = {"code": "no_space", "message": "The disk is full", "retryable": True}
    await job.raise_event("processed", _report(job, "FAILED", error=error, attempt=1))
    await host.settle()
    await job.raise_event("processed", _report(job, attempt=1))
    await host.settle()
    await job.raise_event("processed", _report(job, attempt=2))


async def _cancelled(host: TestHost, job: Instance) -> None:
    await job.raise_event("cancel", {"reason": "the wrong camera"})


async def _nothing(host: TestHost, job: Instance) -> None:
    """Nobody reports."""


# name: (body, what the publish activity returns, what happens, whether the job is awaited)
JOBS: dict[str, tuple[dict[str, Any], dict[str, Any], Play, bool]] = {
    "processed": (BODY, SENT, _processed, True),
    "failed-by-worker": (BODY, SENT, _failed_by_worker, True),
    "garbage-first": (BODY, SENT, _garbage_first, True),
    "timeout": ({**BODY, "timeoutSeconds": 360}, SENT, _nothing, True),
    "timeout-of-five-days": ({**BODY, "timeoutSeconds": 432000}, SENT, _nothing, True),
    "not-published": (
        BODY,
        {"ok": False, "error": {"code": "bad_setting", "message": "No storage account for the queues"}},
        _nothing,
        True,
    ),
    "storage-down": (
        BODY,
        {"ok": False, "error": {"code": "storage_unavailable", "message": "Queue video-to-processing: no answer"}},
        _nothing,
        True,
    ),
    "second-attempt": ({**BODY, "maxAttempts": 2}, SENT, _second_attempt, True),
    "cancelled": (BODY, SENT, _cancelled, True),
    "bad-input": ({"blobURL": "ftp://a/b", "blobName": "b"}, SENT, _nothing, True),
    "still-waiting": (BODY, SENT, _nothing, False),
}


async def record(folder: Path) -> None:
    """Play all jobs and save their histories into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (body, published, play, awaited) in JOBS.items():
        async with TestHost(ROOT, now=NOW, leftovers="ignore", environment=_ENVIRONMENT) as host:
            host.activity(PUBLISH).returns(published)
            host.activity(WITHDRAW).returns({"ok": True, "withdrawn": True})
            host.activity(NOTIFY).returns({"told": ["queue"], "failed": []})
            host.activity(REJECT).returns({"ok": True})
            job = await host.start_orchestration("video_orchestrator", body, instance_id=name)
            await host.settle()
            await play(host, job)
            await (job.end() if awaited else host.settle())
            recording = Recording.of(job.row(), job.history(), NOW)
            # The one thing that is by chance.
            text = recording.text().replace(recording.execution_id, "0" * 32)
            (folder / f"{name}.json").write_text(text, encoding="utf-8", newline="\n")


_ENVIRONMENT = {"VideoStorage": "UseDevelopmentStorage=true"}


def version() -> str:
    """The version in work."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


if __name__ == "__main__":
    asyncio.run(record(HISTORIES / version()))
    print(json.dumps(sorted(file.name for file in (HISTORIES / version()).iterdir())))
