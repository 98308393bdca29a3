"""Whatever happens in whatever order: each job ends with exactly one result in time, and no report vanishes.

Hypothesis makes the sequences, the test kit plays a mix of the live host's bad days, crashes included.
What must hold at the end is in accounts.py.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any, TypeVar

import aiohttp
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from devhost.testing import BadDays, Response
from tests.integration.app.accounts import Accounts, Sent
from tests.integration.app.kit import BODY, START, app_on_kit
from video_jobs.contract import ProcessingRequest, decode_request

TIMEOUTS = st.one_of(st.sampled_from((1, 2, 30, 360, 86_400, 432_000)), st.integers(1, 432_000))
GARBAGE = {
    "no json! {}": "not_json",
    '{{"number": {}}}': "breaks_contract",
    "[{}]": "breaks_contract",
    '{{"instance_id": "x", "status": "MAYBE", "number": {}}}': "breaks_contract",
    '{{"instance_id": "../x", "status": "FAILED", "number": {}}}': "breaks_contract",
}
EVENT_GARBAGE: tuple[Any, ...] = (
    {"hello": "world"},
    [],
    None,
    "no report",
    {"__class__": "Nobody", "__module__": "nowhere"},
)
# What a worker says, and whether its failure may pass.
VERDICTS = st.sampled_from((("PROCESSED", False), ("processed", False), ("FAILED", False), ("failed", True)))
WHICH = st.integers(0, 9)
# That a report names: mostly none.
ATTEMPTS = st.sampled_from((None, None, None, 1, 2, 3))
T = TypeVar("T")


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class AnyCourse(RuleBasedStateMachine):
    """Jobs, reports, time and crashes in any order."""

    @initialize(seed=st.integers(0, 10_000), timeout=TIMEOUTS, attempts=st.integers(1, 5))
    def begin(self, seed: int, timeout: int, attempts: int) -> None:
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.broken = False
        self.keys = 0
        self.ids: list[str] = []
        self.again: list[str] = []
        self.numbers = 0
        kit = app_on_kit(bad_days=BadDays(mix=seed), leftovers="ignore")
        self.host, self.storage = self.run(self.stack.enter_async_context(kit))
        self.accounts = Accounts(self.host, self.storage)
        self.start(timeout, attempts, with_key=True)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return self.runner.run(work)
        except BaseException:
            self.broken = True
            raise

    async def ask(self, path: str, body: Any, **headers: str) -> Response | None:
        """None when the host died meanwhile: then nobody knows what became of the request."""
        try:
            headers = {"Content-Type": "application/json", **headers}
            return await self.host.request("POST", path, data=json.dumps(body), headers=headers)
        except (aiohttp.ClientError, RuntimeError):
            await self.host.settle()
            assert self.host.deaths > len(self.accounts.crashes), "only a death of the host may break a request off"
            return None

    def pick(self, which: int) -> str:
        return self.ids[which % len(self.ids)]

    # --- what people do -----------------------------------------------------------------------------------

    @rule(timeout=TIMEOUTS, attempts=st.integers(1, 5), with_key=st.booleans())
    def start_another(self, timeout: int, attempts: int, with_key: bool) -> None:
        self.start(timeout, attempts, with_key)

    def start(self, timeout: int, attempts: int, with_key: bool) -> None:
        key = f"job-{self.keys}" if with_key else None
        self.keys += 1
        self.run(self._start(key, {**BODY, "timeoutSeconds": timeout, "maxAttempts": attempts}))

    async def _start(self, key: str | None, body: dict[str, Any]) -> None:
        answer = await self.ask(START, body, **({"Idempotency-Key": key} if key else {}))
        if answer is None or answer.status == 503:
            self.accounts.unsure_starts += 1
        else:
            assert answer.status == 202, answer.text
            self.accounts.started.add(answer.json()["id"])
            assert key in (None, answer.json()["id"])
        if key or (answer is not None and answer.status == 202):
            self.ids.append(key or str(answer.json()["id"]) if answer else str(key))

    @rule(which=WHICH, same_body=st.booleans())
    def start_with_the_same_key(self, which: int, same_body: bool) -> None:
        self.run(self._start_again(self.pick(which), same_body))

    async def _start_again(self, key: str, same_body: bool) -> None:
        await self.host.settle()  # a host that dies just now can't be asked
        job = next((job for job in self.host.instances() if job.id == key), None)
        body = {**BODY, "timeoutSeconds": 7}
        if job is not None and same_body:
            body = json.loads(json.loads(job.row().input or ""))
        answer = await self.ask(START, body, **{"Idempotency-Key": key})
        if answer is None or answer.status == 503:
            self.accounts.unsure_starts += job is None
            return
        assert answer.status == (202 if job is None or same_body else 409), answer.text
        if answer.status == 202:
            assert answer.json()["id"] == key
            self.accounts.started.add(key)

    # --- what workers do ----------------------------------------------------------------------------------

    def _report(self, job: str, verdict: tuple[str, bool], attempt: int | None = None) -> tuple[int, dict[str, Any]]:
        self.numbers += 1
        status, retryable = verdict
        body: dict[str, Any] = {"instance_id": job, "status": status, "details": {"number": self.numbers}}
        if attempt:
            body["attempt"] = attempt
        if status.upper() == "FAILED":
            body["error"] = {"code": "bad_video", "message": "It can't be read", "retryable": retryable}
        return self.numbers, body

    def _put(self, job: str, verdict: tuple[str, bool], encoded: bool, copies: int, attempt: int | None = None) -> None:
        number, body = self._report(job, verdict, attempt)
        text = _base64(json.dumps(body)) if encoded else json.dumps(body)
        for _ in range(copies):
            self.host.queue("video-processed").put_raw(text)
        self.again.append(text)
        self.accounts.sent.append(Sent(job, number, verdict[0].upper(), verdict[1], text=text))

    @rule(which=WHICH, verdict=VERDICTS, encoded=st.booleans(), copies=st.integers(1, 2), attempt=ATTEMPTS)
    def report_by_queue(
        self, which: int, verdict: tuple[str, bool], encoded: bool, copies: int, attempt: int | None
    ) -> None:
        self._put(self.pick(which), verdict, encoded, copies, attempt)

    @rule(verdict=VERDICTS)
    def report_by_queue_for_no_job(self, verdict: tuple[str, bool]) -> None:
        self._put("no-such-job", verdict, encoded=True, copies=1)

    @precondition(lambda self: self.again)
    @rule(which=WHICH)
    def an_earlier_report_comes_again(self, which: int) -> None:
        self.host.queue("video-processed").put_raw(self.again[which % len(self.again)])

    @rule(which=WHICH, verdict=VERDICTS, attempt=ATTEMPTS)
    def report_over_http(self, which: int, verdict: tuple[str, bool], attempt: int | None) -> None:
        number, body = self._report(self.pick(which), verdict, attempt)
        answer = self.run(self.ask(f"/api/jobs/{body['instance_id']}/processed", body))
        status = 0 if answer is None else answer.status
        assert status in (0, 202, 409, 503)
        text = json.dumps(body)
        self.accounts.sent.append(Sent(body["instance_id"], number, verdict[0].upper(), verdict[1], text, status))

    @rule(which=WHICH, verdict=VERDICTS)
    def report_over_http_for_another_job(self, which: int, verdict: tuple[str, bool]) -> None:
        _, body = self._report("no-such-job", verdict)
        answer = self.run(self.ask(f"/api/jobs/{self.pick(which)}/processed", body))
        assert answer is None or answer.status == 400
        answer = self.run(self.ask("/api/jobs/no-such-job/processed", body))
        assert answer is None or answer.status == 503

    @rule(
        which=WHICH,
        name=st.sampled_from(("processed", "PROCESSING_VIDEO_COMPLITED")),
        verdict=VERDICTS,
        attempt=ATTEMPTS,
    )
    def raise_by_the_standard_link(self, which: int, name: str, verdict: tuple[str, bool], attempt: int | None) -> None:
        number, body = self._report(self.pick(which), verdict, attempt)
        job, at = body["instance_id"], self.host.clock.now()
        answer = self._raise(job, name, body)
        self.accounts.raised.append(Sent(job, number, verdict[0].upper(), verdict[1], answer=answer, at=at))

    @rule(which=WHICH, garbage=st.sampled_from(EVENT_GARBAGE))
    def raise_garbage(self, which: int, garbage: Any) -> None:
        self._raise(self.pick(which), "processed", garbage)

    def _raise(self, job: str, name: str, data: Any) -> int:
        answer = self.run(self.ask(f"/runtime/webhooks/durabletask/instances/{job}/raiseEvent/{name}", data))
        assert answer is None or answer.status in (202, 404, 410), answer.text
        return 0 if answer is None else answer.status

    @rule(which=WHICH)
    def cancel(self, which: int) -> None:
        job = self.pick(which)
        answer = self.run(self.ask(f"/api/jobs/{job}/cancel", {"reason": "the wrong camera"}))
        assert answer is None or answer.status in (202, 404, 409, 503), answer.text
        self.accounts.cancelled.add(job)

    @rule(which=WHICH, data=st.sampled_from((None, {"reason": "why"}, {"why": 1}, "now")))
    def cancel_by_the_standard_link(self, which: int, data: Any) -> None:
        job = self.pick(which)
        self._raise(job, "cancel", data)
        self.accounts.cancelled.add(job)

    @rule(template=st.sampled_from(sorted(GARBAGE)))
    def garbage_by_queue(self, template: str) -> None:
        self.numbers += 1
        self._put_garbage(template.format(self.numbers), GARBAGE[template])

    @rule()
    def report_in_base64_twice(self) -> None:
        _, body = self._report("job-0", ("PROCESSED", False))
        self._put_garbage(_base64(_base64(json.dumps(body))), "nested_base64")

    def _put_garbage(self, text: str, reason: str) -> None:
        self.host.queue("video-processed").put_raw(text)
        self.accounts.garbage[text] = reason

    @rule(verdict=st.one_of(st.none(), VERDICTS))
    def a_worker_takes_a_request(self, verdict: tuple[str, bool] | None) -> None:
        """And reports, or says nothing."""
        # No precondition: whether a request is there by now may differ from run to run.
        request = self.run(self._take_a_request())
        if request is not None and verdict is not None:
            self._put(request.instance_id, verdict, encoded=True, copies=1, attempt=request.attempt)

    @rule(verdict=st.sampled_from((("FAILED", True), ("PROCESSED", False))))
    def a_worker_does_its_work(self, verdict: tuple[str, bool]) -> None:
        self.a_worker_takes_a_request(verdict)

    async def _take_a_request(self) -> ProcessingRequest | None:
        await self.host.settle()
        requests = self.host.queue("video-to-processing")
        if not requests.messages():
            return None
        self.accounts.taken.append(decode_request(requests.take()))
        return self.accounts.taken[-1]

    # --- what time and bad luck do ------------------------------------------------------------------------

    @rule(seconds=st.sampled_from((0, 0.5, 1, 10, 300, 3600, 86_400, 400_000)))
    def time_passes(self, seconds: float) -> None:
        self.run(self.host.advance(seconds=seconds))

    @rule(which=WHICH, seconds=st.sampled_from((-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 4.0)))
    def a_deadline_is_near(self, which: int, seconds: float) -> None:
        self.run(self._go_near(self.pick(which), timedelta(seconds=seconds)))

    async def _go_near(self, key: str, offset: timedelta) -> None:
        await self.host.settle()
        shown = next((job.custom_status for job in self.host.instances() if job.id == key), None)
        if shown and shown["deadline"]:
            away = datetime.fromisoformat(shown["deadline"]) + offset - self.host.clock.now()
            await self.host.advance(max(away, timedelta(0)))

    @rule()
    def crash(self) -> None:
        async def killed() -> None:
            await self.host.settle()  # a crash of another rule may be under way
            await self.host.kill()
            await self.host.start()

        self.run(killed())

    @rule(commit=st.integers(1, 6))
    def crash_at_a_commit(self, commit: int) -> None:
        self.run(self.host.settle())
        self.host.kill_at_commit(commit)

    @rule(times=st.integers(1, 3))
    def the_storage_fails(self, times: int) -> None:
        self.storage.outages += times

    # --- what must hold -----------------------------------------------------------------------------------

    @invariant()
    def a_crash_is_noted_and_over(self) -> None:
        try:
            _ = self.host.hub
        except RuntimeError:  # it dies just now, and starts again by itself
            self.run(self.host.settle())
        self.accounts.note_crashes()

    def teardown(self) -> None:
        if not hasattr(self, "runner"):
            return
        try:
            if not self.broken:
                self.run(self.accounts.settle_all())
        finally:
            self.runner.run(self.stack.aclose())
            self.runner.close()


TestAnyCourse = AnyCourse.TestCase
TestAnyCourse.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    derandomize=True,
    deadline=None,
    # An example runs a whole host; what is slow about that is measured in bench/.
    suppress_health_check=[HealthCheck.too_slow],
)
