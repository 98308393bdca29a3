"""Whatever happens in whatever order: each job ends with exactly one result in time, and no report vanishes.

Hypothesis makes the sequences, the test kit plays a mix of the live host's bad days, crashes included.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import aiohttp
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from devhost.testing import BadDays, Response
from tests.integration.app.kit import BODY, START, app_on_kit

# The notification is repeated twice.
REPEATS = timedelta(seconds=10)
# After the deadline: the last look (1 s), a start that came late (3 s), the notification.
GRACE = REPEATS + timedelta(seconds=10)
# Each crash may hide what was under way for five minutes.
GRACE_PER_CRASH = timedelta(minutes=5)
# An event that the host has accepted may be a second on its way, and the deadline's timer a second early.
ON_ITS_WAY = timedelta(seconds=3)
TIMEOUTS = (1, 30, 360, 86_400, 432_000)
GARBAGE = ("no json", "{}", "[]", '{"instance_id": "x", "status": "MAYBE"}', "ZTMwPQ==")
T = TypeVar("T")


@dataclass(frozen=True)
class Sent:
    """A report that was put on the queue: its number is in its details."""

    job: str
    number: int
    status: str
    at: datetime


class AnyCourse(RuleBasedStateMachine):
    """Jobs, reports, time and crashes in any order."""

    @initialize(seed=st.integers(0, 10_000), timeout=st.sampled_from(TIMEOUTS))
    def begin(self, seed: int, timeout: int) -> None:
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.keys: list[str] = []
        self.sent: list[Sent] = []
        self.raised: list[Sent] = []
        self.garbage = 0
        self.lost_requests = 0
        kit = app_on_kit(bad_days=BadDays(mix=seed), leftovers="ignore")
        self.host, self.storage = self.run(self.stack.enter_async_context(kit))
        self.start(timeout)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    async def ask(self, path: str, body: Any, **headers: str) -> Response | None:
        """None when the host died meanwhile: then nobody knows what became of the request."""
        try:
            return await self.host.request("POST", path, json=body, headers=headers)
        except (aiohttp.ClientError, RuntimeError):
            self.lost_requests += 1
            return None

    # --- what people do -----------------------------------------------------------------------------------

    @rule(timeout=st.sampled_from(TIMEOUTS))
    def start_another(self, timeout: int) -> None:
        self.start(timeout)

    def start(self, timeout: int) -> None:
        key = f"job-{len(self.keys)}"
        answer = self.run(self.ask(START, {**BODY, "timeoutSeconds": timeout}, **{"Idempotency-Key": key}))
        assert answer is None or answer.status in (202, 503), answer.text
        self.keys.append(key)

    @precondition(lambda self: self.keys)
    @rule(data=st.data())
    def start_with_the_same_key(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.keys))
        answer = self.run(self.ask(START, {**BODY, "timeoutSeconds": 7}, **{"Idempotency-Key": key}))
        assert answer is None or answer.status in (202, 409, 503), answer.text

    # --- what workers do ----------------------------------------------------------------------------------

    def _report(self, job: str, status: str) -> tuple[Sent, dict[str, Any]]:
        sent = Sent(job, len(self.sent) + len(self.raised), status, self.host.clock.now())
        return sent, {"instance_id": job, "status": status, "details": {"number": sent.number}}

    @precondition(lambda self: self.keys)
    @rule(data=st.data(), status=st.sampled_from(("PROCESSED", "failed")), encoded=st.booleans(), twice=st.booleans())
    def report_by_queue(self, data: st.DataObject, status: str, encoded: bool, twice: bool) -> None:
        sent, body = self._report(data.draw(st.sampled_from(self.keys)), status)
        text = json.dumps(body)
        for _ in range(1 + twice):
            self.host.queue("video-processed").put_raw(base64.b64encode(text.encode()).decode() if encoded else text)
        self.sent.append(sent)

    @precondition(lambda self: self.keys)
    @rule(data=st.data(), status=st.sampled_from(("PROCESSED", "FAILED")))
    def report_over_http(self, data: st.DataObject, status: str) -> None:
        sent, body = self._report(data.draw(st.sampled_from(self.keys)), status)
        answer = self.run(self.ask(f"/api/jobs/{sent.job}/processed", body))
        assert answer is None or answer.status in (202, 409, 503), answer.text
        self.raised.append(sent)

    @precondition(lambda self: self.keys)
    @rule(
        data=st.data(),
        name=st.sampled_from(("processed", "PROCESSING_VIDEO_COMPLITED")),
        good=st.booleans(),
    )
    def raise_by_the_standard_link(self, data: st.DataObject, name: str, good: bool) -> None:
        sent, body = self._report(data.draw(st.sampled_from(self.keys)), "PROCESSED")
        path = f"/runtime/webhooks/durabletask/instances/{sent.job}/raiseEvent/{name}"
        self.run(self.ask(path, body if good else {"hello": "world"}))
        if good:
            self.raised.append(sent)

    @rule(text=st.sampled_from(GARBAGE))
    def garbage_by_queue(self, text: str) -> None:
        self.host.queue("video-processed").put_raw(text)
        self.garbage += 1

    @rule()
    def report_for_a_job_that_never_was(self) -> None:
        sent, body = self._report("no-such-job", "PROCESSED")
        self.host.queue("video-processed").put(body)
        self.sent.append(sent)

    @rule()
    def a_worker_takes_a_request(self) -> None:
        requests = self.host.queue("video-to-processing")
        if requests.messages():
            requests.take()

    # --- what time and bad luck do ------------------------------------------------------------------------

    @rule(seconds=st.sampled_from((0, 0.5, 1, 10, 300, 3600, 86_400)))
    def time_passes(self, seconds: float) -> None:
        self.run(self.host.advance(seconds=seconds))

    @rule()
    def crash(self) -> None:
        async def killed() -> None:
            await self.host.settle()
            await self.host.kill()
            await self.host.start()

        self.run(killed())

    @rule(commit=st.integers(1, 6))
    def crash_at_a_commit(self, commit: int) -> None:
        self.run(self.host.settle())  # also an earlier death, whose new start is under way
        self.host.kill_at_commit(commit)

    @rule()
    def the_storage_fails_once(self) -> None:
        self.storage.outages += 1

    # --- what must hold -----------------------------------------------------------------------------------

    def teardown(self) -> None:
        if not hasattr(self, "runner"):
            return
        try:
            self.run(self._check())
        finally:
            self.run(self.stack.aclose())
            self.runner.close()

    async def _check(self) -> None:
        await self.host.settle()
        jobs = self.host.instances()
        assert len({job.id for job in jobs}) == len(jobs)
        assert {job.id for job in jobs} <= set(self.keys)
        assert len(jobs) >= len(self.keys) - self.lost_requests
        results = {job.id: await job.result(within=timedelta(days=6)) for job in jobs}
        await self.host.advance(hours=2)  # whatever the queue still has to repeat
        rejected = [json.loads(text) for text in self.host.queue("video-processed-rejected").take_all()]
        poisoned = self.host.queue("video-processed-poison").take_all()
        told = [json.loads(text)["instance_id"] for text in self.host.queue("video-failed").take_all()]
        assert self.host.queue("video-processed").messages() == []
        for job, result in results.items():
            self._check_result(job, result, told)
        kept = [_details(one["message"]) for one in rejected] + [_details(text) for text in poisoned]
        assert sum(details is None for details in kept) >= self.garbage
        for sent in self.sent:
            assert self._is_accounted_for(sent, results, kept), (sent, results.get(sent.job), rejected)

    def _check_result(self, job: str, result: dict[str, Any], told: list[str]) -> None:
        assert result["instance_id"] == job
        finished, deadline = (
            datetime.fromisoformat(result["finished_at"]),
            _deadline(self.host.instance(job).row(), result),
        )
        assert finished <= deadline + GRACE + GRACE_PER_CRASH * self.host.deaths
        # What is still open when the orchestrator returns keeps the instance from ending, such as a timer.
        assert self.host.instance(job).row().updated - finished <= GRACE_PER_CRASH * (1 + self.host.deaths)
        good = [one for one in (*self.sent, *self.raised) if one.job == job and one.status == "PROCESSED"]
        if result["status"] == "processed":
            assert result["report"]["details"]["number"] in [one.number for one in good]
            assert (result["error"], result["notification"]) == (None, None)
            return
        assert result["status"] in ("timeout", "failed")
        assert result["error"]["code"]
        if result["notification"]["delivered"]:
            assert job in told

    def _is_accounted_for(self, sent: Sent, results: dict[str, Any], kept: list[Any]) -> bool:
        if {"number": sent.number} in kept:
            return True
        result = results.get(sent.job)
        if result is None:
            return False
        # Applied, or another report was: the job was decided by a worker already.
        if result["report"] is not None:
            return True
        # What the host had accepted and not yet handed over when the job was decided.
        if result["status"] == "timeout":
            return sent.at > _deadline(self.host.instance(sent.job).row(), result) - ON_ITS_WAY
        return sent.at > datetime.fromisoformat(result["finished_at"]) - REPEATS - ON_ITS_WAY


def _deadline(row: Any, result: dict[str, Any]) -> datetime:
    seconds = json.loads(json.loads(row.input))["timeoutSeconds"]
    return datetime.fromisoformat(result["requested_at"]) + timedelta(seconds=seconds)


def _details(text: str) -> Any:
    """The details of a report, None when it is none."""
    for candidate in (text, _from_base64(text)):
        try:
            return json.loads(candidate)["details"]
        except (ValueError, KeyError, TypeError):
            continue
    return None


def _from_base64(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        return ""


TestAnyCourse = AnyCourse.TestCase
TestAnyCourse.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    derandomize=True,
    deadline=None,
    # An example runs a whole host; what is slow about that is measured in bench/.
    suppress_health_check=[HealthCheck.too_slow],
)
