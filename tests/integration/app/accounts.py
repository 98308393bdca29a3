"""What was done to the app on the test kit, and what must have become of it in the end."""

from __future__ import annotations

import base64
import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, get_args

from devhost.durable.episode import Execution
from devhost.durable.events import EventType
from devhost.testing import Instance, TestHost
from tests.integration.app.kit import Storage
from video_jobs.contract import ProcessingRequest, decode_request
from video_jobs.rejected import Reason

# A job's time begins when its orchestrator does: a bad day starts it up to 3 s late.
LATE_START = timedelta(seconds=3)
# After the deadline: its timer (1 s), the last look (2 s), and the pauses of 25 s in which people are told, and twice
# those in which what was ignored is kept.
GRACE = timedelta(seconds=80)
# What a crash interrupts may stay hidden for a minute, by host.json: the start and each later step.
GRACE_PER_CRASH = timedelta(minutes=1)
# An event that a running job was sent may be overtaken, and is then a second on its way.
ON_ITS_WAY = timedelta(seconds=1)

RESULT_KEYS = {
    "status", "instance_id", "blobName", "blobUrl", "attempts", "requested_at", "finished_at", "report", "error",
    "notification",
}  # fmt: skip
REQUESTS = "video-to-processing"
NOTIFY_TRIES = 3


@dataclass(frozen=True)
class Sent:
    """A worker's report; `number` is in its details, `text` is what was sent.

    `answer` is the HTTP status (0 when the host died first); the queue takes everything, which counts as 202.
    """

    job: str
    number: int
    status: str
    retryable: bool
    text: str = ""
    answer: int = 202
    at: datetime | None = None


@dataclass(frozen=True)
class Ended:
    """A job that has ended, as the host and as its result tell it."""

    row: Execution
    result: dict[str, Any]

    @property
    def deadline(self) -> datetime:
        seconds = json.loads(json.loads(self.row.input or ""))["timeoutSeconds"]
        return self.time("requested_at") + timedelta(seconds=seconds)

    def time(self, key: str) -> datetime:
        return datetime.fromisoformat(self.result[key])


class Accounts:
    """Notes what a test does; `settle_all` lets every deadline pass and checks."""

    def __init__(self, host: TestHost, storage: Storage) -> None:
        self.host, self.storage = host, storage
        self.started: set[str] = set()
        self.unsure_starts = 0
        self.sent: list[Sent] = []
        self.raised: list[Sent] = []
        self.garbage: dict[str, str] = {}
        self.cancelled: set[str] = set()
        self.taken: list[ProcessingRequest] = []
        self.crashes: list[datetime] = []

    def note_crashes(self) -> None:
        """Crashes since the last call count as now, which is never too early."""
        self.crashes += [self.host.clock.now()] * (self.host.deaths - len(self.crashes))

    async def settle_all(self) -> None:
        """Let every deadline and every retry of a queue pass, then check all that must hold."""
        await self.host.settle()
        await self._pass_all_deadlines()
        await self.host.advance(hours=2)  # a message whose host died comes back after ten minutes, at most four times
        self.note_crashes()
        jobs = {job.id: self._ended(job) for job in self.host.instances()}
        assert self.started <= jobs.keys()
        assert len(jobs.keys() - self.started) <= self.unsure_starts
        assert self.host.queue("video-processed").messages() == []
        assert self.host.queue("video-processed-poison").messages() == []
        self._check_notifications(jobs)
        self._check_requests(jobs)
        for job in jobs.values():
            self._check_shape(job)
            self._check_times(job)
            self._check_reason(job)
        self._check_reports(jobs)

    async def _pass_all_deadlines(self) -> None:
        while (limit := self._limit()) > self.host.clock.now():
            await self.host.advance(limit - self.host.clock.now())
        await self.host.settle()
        running = [
            f"{job.id}: {job.status} {job.custom_status}" for job in self.host.instances() if not job.has_ended()
        ]
        assert not running, f"still open after the last deadline and grace: {running}"

    def _limit(self) -> datetime:
        """When every job must have ended: a crash while we wait makes it later."""
        timeouts = [(job.row().created, json.loads(json.loads(job.row().input or ""))) for job in self.host.instances()]
        late = LATE_START + GRACE + 2 * GRACE_PER_CRASH * self.host.deaths
        ends = [created + timedelta(seconds=body["timeoutSeconds"]) + late for created, body in timeouts]
        return max(ends, default=self.host.clock.now())

    def _ended(self, job: Instance) -> Ended:
        row, history = job.row(), job.history()
        assert row.status == "Completed", (row.status, row.output)
        assert sum(event["EventType"] == EventType.EXECUTION_COMPLETED for event in history) == 1
        return Ended(row, json.loads(row.output or ""))

    def _kept(self) -> tuple[Counter[str], set[Any]]:
        """The messages that were kept as undeliverable, by their text, and the numbers of the reports in them."""
        kept: Counter[str] = Counter()
        for text in self.host.queue("video-processed-rejected").messages():
            rejected = json.loads(text)
            assert rejected.keys() == {"reason", "detail", "received_at", "message"}
            assert rejected["reason"] in get_args(Reason)
            if rejected["reason"] == "poisoned":
                assert self.host.deaths or self.storage.failed
            else:
                assert self.garbage.get(rejected["message"], rejected["reason"]) == rejected["reason"]
            kept[rejected["message"]] += 1
        return kept, {_number(text) for text in kept}

    # --- one job ------------------------------------------------------------------------------------------

    def _check_shape(self, job: Ended) -> None:
        result = job.result
        assert result.keys() == RESULT_KEYS
        assert result["status"] in ("processed", "timeout", "failed")
        assert result["instance_id"] == job.row.instance_id
        assert 0 <= result["attempts"] <= json.loads(json.loads(job.row.input or ""))["maxAttempts"]
        if result["status"] == "processed":
            assert (result["error"], result["notification"]) == (None, None)
        else:
            assert result["error"].keys() == {"step", "code", "message"}
            assert result["notification"].keys() == {"delivered", "channels"}

    def _check_times(self, job: Ended) -> None:
        slow = GRACE_PER_CRASH * self.host.deaths
        assert job.time("requested_at") <= job.row.created + LATE_START + slow
        assert job.row.updated <= job.deadline + GRACE + slow, (job, "ended too late")
        # A timer left open would keep it running.
        assert job.row.updated <= job.time("finished_at") + ON_ITS_WAY + slow
        if job.result["status"] == "timeout":
            assert job.time("finished_at") >= job.deadline

    def _check_reason(self, job: Ended) -> None:
        """The result says what really happened."""
        result, report = job.result, job.result["report"]
        everything = [sent for sent in (*self.sent, *self.raised) if sent.job == job.row.instance_id]
        if report is not None and (result["error"] or {}).get("code") != "poisoned":
            assert report.get("attempt", result["attempts"]) == result["attempts"]
            wanted = "PROCESSED" if result["status"] == "processed" else "FAILED"
            assert report["details"]["number"] in [sent.number for sent in everything if sent.status == wanted]
        if result["status"] == "processed":
            assert report is not None
        elif result["status"] == "timeout":
            assert (report, result["error"]["code"]) == (None, "timeout")
        elif result["error"]["code"] == "cancelled":
            assert job.row.instance_id in self.cancelled
            assert report is None
        elif result["error"]["code"] == "poisoned":
            assert self.host.deaths or self.storage.failed
        elif report is not None:
            assert (result["error"]["step"], result["error"]["code"]) == ("worker", "bad_video")
        else:
            assert result["error"]["step"] == "publishing"
            late = result["error"]["code"] == "too_late" and self.host.deaths
            assert late or (result["error"]["code"] == "storage_unavailable" and REQUESTS in self.storage.failed)

    def _check_requests(self, jobs: dict[str, Ended]) -> None:
        """None for an attempt that was not allowed; what no worker took of a job without a report is withdrawn."""
        left = [decode_request(text) for text in self.host.queue(REQUESTS).messages()]
        for request in (*left, *self.taken):
            allowed = json.loads(json.loads(jobs[request.instance_id].row.input or ""))["maxAttempts"]
            assert 1 <= request.attempt <= allowed
        for request in left:
            result = jobs[request.instance_id].result
            last = request.attempt == result["attempts"]
            if last and result["report"] is None and not self.host.deaths and REQUESTS not in self.storage.failed:
                raise AssertionError(f"not withdrawn: {request}, of {result}")

    def _check_notifications(self, jobs: dict[str, Ended]) -> None:
        told = [json.loads(text) for text in self.host.queue("video-failed").messages()]
        undelivered = 0
        for job in jobs.values():
            messages = [one for one in told if one["instance_id"] == job.row.instance_id]
            assert all((one["status"], one["error"]) == (job.result["status"], job.result["error"]) for one in messages)
            if job.result["notification"] is not None:
                assert messages or not job.result["notification"]["delivered"]
                undelivered += not job.result["notification"]["delivered"]
        assert len(told) == 0 or {one["instance_id"] for one in told} <= jobs.keys()
        assert undelivered * NOTIFY_TRIES <= self.storage.failed.count("video-failed")

    # --- all reports --------------------------------------------------------------------------------------

    def _check_reports(self, jobs: dict[str, Ended]) -> None:
        kept, numbers = self._kept()
        for text in self.garbage:
            assert kept[text], f"vanished: {text}"
        missing: dict[str, list[Sent]] = {}
        for sent in self.sent:
            if sent.answer == 409:
                assert kept[sent.text], f"answered as late, but not kept: {sent}"
            elif sent.answer == 202 and sent.number not in numbers:
                assert sent.job in jobs, f"vanished: {sent}"
                if not _is_settled(sent, jobs[sent.job]):
                    missing.setdefault(sent.job, []).append(sent)
        for id, reports in missing.items():
            assert len(reports) <= self._last_moment(jobs[id]), f"vanished: {reports}, of {jobs[id].result}"
        for sent in self.raised:
            if sent.answer == 202 and sent.number not in numbers and not _is_settled(sent, jobs[sent.job]):
                assert self._is_lost_by_the_host(sent, jobs[sent.job]), f"vanished: {sent}, of {jobs[sent.job].result}"

    def _last_moment(self, job: Ended) -> int:
        """How many reports the job was sent while it ran, but so late that it had ended before they arrived.

        Only the host could tell of these: it has accepted them, and delivers them to nobody.
        """
        return sum(
            f"Job {job.row.instance_id}: the worker reported" in line.text and self._on_its_way(line.time, job)
            for line in self.host.log
        )

    def _is_lost_by_the_host(self, sent: Sent, job: Ended) -> bool:
        """Whether a report by the standard link came before the job ran, or as it ended."""
        assert sent.at is not None
        return sent.at <= job.time("requested_at") or self._on_its_way(sent.at, job)

    def _on_its_way(self, raised: datetime, job: Ended) -> bool:
        crashes = sum(crash >= raised for crash in self.crashes)
        return job.row.updated - raised <= ON_ITS_WAY + GRACE_PER_CRASH * crashes


def _number(text: str) -> Any:
    """The number in the details of a report, None when it has none."""
    for candidate in (text, _from_base64(text)):
        try:
            return json.loads(candidate)["details"]["number"]
        except (ValueError, KeyError, TypeError):
            continue
    return None


def _from_base64(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        return ""


def _is_settled(sent: Sent, job: Ended) -> bool:
    """Applied, or not needed: a report was the result, or a failure was followed by another attempt."""
    repeated = sent.status == "FAILED" and sent.retryable and job.result["attempts"] > 1
    return job.result["report"] is not None or repeated
