"""Damaged starts, reports and events against the app on the test kit, each of them accounted for.

`starts`, `reports` and `events` send `count` inputs of a seed to a host of their own and return an `Account`: what
became of them, and what nothing accounts for. bench/fuzz.py does it with many, test_fuzz.py with some hundreds.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from devhost.durable.events import EventType
from devhost.testing import BadDays, TestHost
from tests.integration.app.fuzz_checks import (
    AT_ONCE,
    LINKS,
    Account,
    Rejected,
    begin,
    check_answer,
    check_queues,
    cut,
    end_all,
    good_report,
    in_turns,
    quoted,
    results_of,
)
from tests.integration.app.fuzz_inputs import ODD_TEXTS, Input, Inputs
from tests.integration.app.kit import app_on_kit
from video_jobs.contract import MAX_MESSAGE_BYTES, ContractError, decode_cancel_event, decode_event, decode_report

REPORT_NAMES = ("processed", "PROCESSING_VIDEO_COMPLITED")
OUR_NAMES = (*REPORT_NAMES, "cancel")
FOREIGN_NAMES = ("Decision", "processed2", "process", "відео", "a b", "a+b", "{eventName}", "x" * 300)
GOOD_ORCHESTRATORS = ("video_orchestrator", "VIDEO_ORCHESTRATOR")
BAD_ORCHESTRATORS = ("no_such", "video_orchestrator2", "client_function", "відео", "a b", "x" * 300)
BAD_KEYS = ("", "a b", "a/b", "é", "..", "x" * 101, "відео", '"quoted"', "a,b", "@video@1", "%00", "${x}")
# Paths that a host or a client takes for another one: an empty answer of the host is right there.
ODD_PATHS = tuple(text for text in ODD_TEXTS if len(text) < 300)
CONTENT_TYPES = ("application/json", "application/json; charset=utf-16", "text/plain", "multipart/form-data", "відео")


# --- starts ---------------------------------------------------------------------------------------------------


async def starts(seed: int, count: int) -> Account:
    """Start bodies with good, bad, repeated and no keys; half of the jobs are reported, all have to end, each once."""
    async with app_on_kit(leftovers="ignore") as (host, _):
        return await _Starts(host, Inputs(seed)).run(count)


class _Starts:
    def __init__(self, host: TestHost, inputs: Inputs) -> None:
        self.host, self.inputs, self.account = host, inputs, Account()
        self.ids: set[str] = set()
        self.bodies: dict[str, Input] = {}

    async def run(self, count: int) -> Account:
        host, account = self.host, self.account
        await in_turns(self._start() for _ in range(count // 2))
        # Some have ended by then, and their keys come again.
        await host.advance(minutes=10)
        ended = {job.id: job.row().output for job in host.instances() if job.has_ended()}
        await in_turns(self._start() for _ in range(count - count // 2))
        await host.settle()
        jobs = [job.id for job in host.instances()]
        account.check(sorted(jobs) == sorted(self.ids), f"answered 202 for {len(self.ids)} jobs, there are {len(jobs)}")
        reported = [job for job in jobs if job not in ended][::2]
        for job in reported:
            host.queue("video-processed").put(good_report(job))
        await host.advance(days=6)
        results = results_of(host, account, jobs)
        for job in reported:
            account.check(results[job]["status"] == "processed", f"reported, but {results[job]}")
        for job, output in ended.items():
            account.check(host.instance(job).row().output == output, f"{job} had ended and has another result")
        check_queues(host, account)
        self._check_notifications(results)
        left = host.queue("video-processed-rejected").messages()
        account.check(not left, f"rejected, and nobody had sent it: {left}")
        return account

    def _key(self, made: Input) -> tuple[str, str, Input]:
        """A kind of key, the key, and the body to send with it: at times the one that it came with before."""
        chance = self.inputs.chance
        roll = chance.random()
        if roll < 0.5:
            return "none", "", made
        if roll < 0.6:
            return "bad", chance.choice(BAD_KEYS), made
        if roll < 0.8 or not self.bodies:
            key = f"key-{len(self.bodies)}"
            self.bodies[key] = made
            return "good", key, made
        key = chance.choice(list(self.bodies)[-20:])
        return "good", key, self.bodies[key] if chance.random() < 0.6 else made

    def _start(self) -> Awaitable[None]:
        """Make one start; what is returned sends it."""
        chance = self.inputs.chance
        kind, key, made = self._key(self.inputs.start())
        headers, query = {"Content-Type": chance.choice(CONTENT_TYPES)}, ""
        if kind != "none" and chance.random() < 0.5:
            headers["Idempotency-Key"] = key
        elif key:
            query = f"?instanceId={quote(key)}"
            if chance.random() < 0.1:
                kind, headers["Idempotency-Key"] = "bad", "another"
        else:
            kind = "none"  # a query without a value is none
        name, expected = chance.choice(GOOD_ORCHESTRATORS), {202, 400, 409, 413}
        if made.untouched:
            expected = {"none": {202}, "good": {202, 409}, "bad": {400}}[kind]
        odd = chance.random() < 0.02
        if odd:
            name, expected = chance.choice(ODD_PATHS), {400, 404}
        elif chance.random() < 0.05:
            name, expected = chance.choice(BAD_ORCHESTRATORS), {404}

        async def send() -> None:
            path = f"/api/orchestrators/{quoted(name)}{query}"
            response = await self.host.request("POST", path, data=made.body, headers=headers)
            self.account.fates[f"answered {response.status}"] += 1
            check_answer(self.account, response, expected, f"{name} {kind} {key}: {cut(made.body)}", maybe_empty=odd)
            if response.status == 202:
                links = response.json()
                self.account.check(set(links) >= LINKS and "Location" in response.headers, f"links: {links}")
                self.ids.add(str(links["id"]))

        return send()

    def _check_notifications(self, results: dict[str, dict[str, Any]]) -> None:
        """Of each job that was not processed people are told once."""
        told = [json.loads(text)["instance_id"] for text in self.host.queue("video-failed").take_all()]
        failed = [job for job, result in results.items() if result["status"] != "processed"]
        self.account.check(sorted(told) == sorted(failed), f"{len(failed)} jobs failed, {len(told)} notifications")


# --- reports --------------------------------------------------------------------------------------------------


async def reports(seed: int, count: int) -> Account:
    """Reports by queue and by HTTP, for jobs that wait, have ended, start only now, and never were."""
    async with app_on_kit(bad_days=BadDays(late_starts=timedelta(seconds=3)), leftovers="ignore") as (host, _):
        return await _Reports(host, Inputs(seed)).run(count)


class _Reports:
    def __init__(self, host: TestHost, inputs: Inputs) -> None:
        self.host, self.inputs, self.account = host, inputs, Account()
        self.queued: list[tuple[str, bool]] = []
        self.refused: list[str] = []
        self.delivered: Counter[str] = Counter()

    async def run(self, count: int) -> Account:
        host, account = self.host, self.account
        ended = await begin(host, [f"ended-{number}" for number in range(5)], timeoutSeconds=1)
        waiting = await begin(host, [f"waiting-{number}" for number in range(1 + count // 12)], maxAttempts=3)
        await host.advance(seconds=10)
        results_of(host, account, ended)
        for first in range(0, count, AT_ONCE):
            pending = [f"pending-{first}-{number}" for number in range(2)]
            await begin(host, pending)
            calls = []
            for _ in range(first, min(count, first + AT_ONCE)):
                pool = self.inputs.chance.choice((waiting, waiting, waiting, pending, ended, ["never-was"]))
                target = self.inputs.chance.choice(pool)
                if self.inputs.chance.random() < 0.5:
                    self._put(target)
                else:
                    calls.append(self._post(target))
            await asyncio.gather(*calls)
            waiting += pending
            await host.advance(seconds=4)
        await host.advance(minutes=1)
        self._find_all()
        for job in waiting:
            self._check_job(job)
        await end_all(host, account, waiting)
        return account

    def _put(self, target: str) -> None:
        text, untouched = self.inputs.queue_text(target)
        self.queued.append((text, untouched))
        self.host.queue("video-processed").put_raw(text)

    def _post(self, target: str) -> Awaitable[None]:
        chance, made = self.inputs.chance, self.inputs.report(target)
        roll = chance.random()
        name = chance.choice(ODD_PATHS) if roll < 0.03 else "another-job" if roll < 0.06 else target
        headers = {"Content-Type": chance.choice(CONTENT_TYPES)}

        async def send() -> None:
            path = f"/api/jobs/{quoted(name)}/processed"
            response = await self.host.request("POST", path, data=made.body, headers=headers)
            expected = {202, 400, 404, 409, 413, 503}
            if len(made.body) > MAX_MESSAGE_BYTES and roll >= 0.03:
                expected = {413}
            elif made.untouched:
                expected -= {413, 400} if roll >= 0.06 else {202, 413}
            check_answer(self.account, response, expected, f"{name} {cut(made.body)}", maybe_empty=roll < 0.03)
            if response.status == 202:
                self.delivered[target] += 1
                return
            self.account.fates[f"answered {response.status}"] += 1
            if response.status == 409:
                self.refused.append(made.body.decode())

        return send()

    def _find_all(self) -> None:
        """Each message is among the rejected ones with its text, or is a report that its job was given."""
        host, account = self.host, self.account
        rejected = Rejected(host.queue("video-processed-rejected").take_all(), account)
        for text in self.refused:
            account.check(rejected.take(text) is not None, f"answered 409 and not kept: {text}")
        known = {job.id for job in host.instances()}
        for text, untouched in self.queued:
            if (reason := rejected.take(text)) is not None:
                account.fates[f"rejected as {reason}"] += 1
                fits = reason in ("late", "unknown_job", "stale_attempt", "repeated", "breaks_contract", "pending")
                account.check(fits or not untouched, f"rejected as {reason}, though untouched: {text}")
                continue
            try:
                job = decode_report(text).instance_id
            except ContractError as error:
                account.problems.append(f"vanished: {cut(text)} ({error})")
                continue
            account.check(job in known, f"vanished, and there is no such job: {cut(text)}")
            self.delivered[job] += 1
        # A job may have put there what it ignored.
        account.check(len(rejected) <= self.delivered.total(), f"rejected, and nobody had sent it: {rejected}")

    def _check_job(self, job: str) -> None:
        """All that were delivered are the job's result, began another attempt, were ignored, or came after the end."""
        row, shown = self.host.instance(job).row(), self.host.instance(job).custom_status or {}
        decided = row.status == "Completed"
        result = json.loads(row.output or "{}")
        self.account.check(not decided or result["report"], f"{job} has ended without a report: {result}")
        attempts = result["attempts"] if decided else shown.get("attempt", 1)
        left = self.delivered[job]
        for fate, most in (
            ("became the result", int(decided)),
            ("began another attempt", attempts - 1),
            ("ignored by the job", shown.get("ignored", {}).get("count", 0)),
            ("acknowledged: the job had its result", left if decided else 0),
        ):
            self.account.fates[fate] += min(left, most)
            left -= min(left, most)
        self.account.check(left == 0, f"{job} was given {self.delivered[job]} reports, {left} vanished: {shown}")
        self.account.check(row.status in ("Running", "Completed"), f"{job} is {row.status}: {row.output}")


# --- events ---------------------------------------------------------------------------------------------------


async def events(seed: int, count: int) -> Account:
    """Events by the standard link: for many jobs, some hundreds for a single one, some for none and for ended ones."""
    async with app_on_kit(leftovers="ignore") as (host, _):
        return await _Events(host, Inputs(seed)).run(count)


class _Events:
    def __init__(self, host: TestHost, inputs: Inputs) -> None:
        self.host, self.inputs, self.account = host, inputs, Account()
        self.heard: Counter[str] = Counter()
        self.foreign: Counter[str] = Counter()

    async def run(self, count: int) -> Account:
        host, account, chance = self.host, self.account, self.inputs.chance
        ended = await begin(host, ["ended"], timeoutSeconds=1)
        jobs = await begin(host, ["busy", *(f"job-{number}" for number in range(1 + count // 6))], maxAttempts=3)
        await host.advance(seconds=5)
        calls = []
        for number in range(count):
            if number % 3 == 0:
                data = Input(self.inputs.event_garbage())
                calls.append(self._raise("busy", chance.choice((*REPORT_NAMES, "Processed", "x")), data))
                continue
            target = chance.choice(jobs[1:]) if chance.random() < 0.95 else chance.choice((*ended, "never-was"))
            name = self._name()
            calls.append(self._raise(target, name, self.inputs.event(target, name)))
        await in_turns(calls)
        # A cancelled job looks once more for its report, a second later.
        await host.advance(seconds=2)
        account.check(host.instance("busy").status == "Running", "garbage has ended a job")
        for job in jobs:
            self._check_job(job)
        await end_all(host, account, jobs)
        return account

    def _name(self) -> str:
        chance = self.inputs.chance
        roll = chance.random()
        if roll < 0.8:
            name = chance.choice(OUR_NAMES)
            return chance.choice((name, name, name.upper(), name.lower(), name.title()))
        return chance.choice(FOREIGN_NAMES if roll < 0.95 else ODD_PATHS)

    def _raise(self, job: str, name: str, made: Input) -> Awaitable[None]:
        chance = self.inputs.chance
        content_type = chance.choice(CONTENT_TYPES) if chance.random() < 0.1 else "application/json"

        async def send() -> None:
            path = f"/runtime/webhooks/durabletask/instances/{job}/raiseEvent/{quoted(name)}"
            response = await self.host.request("POST", path, data=made.body, headers={"Content-Type": content_type})
            expected = {"never-was": {404}, "ended": {410}}.get(job, {202, 400, 410})
            expected |= {400, 404} if name in ODD_PATHS else set()
            what = f"event {name!r} for {job} answered {response.status} {response.text}: {cut(made.body)}"
            self.account.check(response.status in expected, what)
            if response.status != 202:
                self.account.fates[f"answered {response.status}"] += 1
            elif name.lower() in map(str.lower, OUR_NAMES):
                self.heard[job] += 1
            else:
                self.foreign[job] += 1

        return send()

    def _check_job(self, job: str) -> None:
        """Of the events that a job listens for each one was its end, began another attempt, or is counted as ignored;
        only one that fits may end it, and one that fits does."""
        instance, account = self.host.instance(job), self.account
        row, shown, sent = instance.row(), instance.custom_status, self.heard[job]
        raised = [one for one in instance.history() if one["EventType"] == EventType.EVENT_RAISED]
        ours = [one for one in raised if one["Name"].lower() in map(str.lower, OUR_NAMES)]
        ignored = shown.get("ignored", {}).get("count", 0)
        attempts = shown["attempt"] - 1
        account.fates["of a name that nobody waits for"] += self.foreign[job]
        account.fates["ignored by the job"] += ignored
        account.fates["began another attempt"] += attempts
        if row.status == "Running":
            account.check(len(ours) == sent, f"{job}: {sent} events were accepted, its history has {len(ours)}")
            account.check(ignored + attempts == sent, f"{job} heard {sent} events and counts {shown}")
            account.check(not any(map(_may_end, ours, [job] * sent)), f"{job} was not ended by {ours}")
            return
        account.check(any(_fits(one, job) for one in ours), f"{job} is {row.status} {row.output} by {ours}")
        after = sent - ignored - attempts - 1
        account.check(after >= 0, f"{job} heard {sent} events and counts {shown}")
        account.fates["ended the job"] += 1
        account.fates["acknowledged: the job had its result"] += after


def _fits(event: dict[str, Any], job: str) -> bool:
    """Whether an event of a history is a cancel or a report by the contract."""
    try:
        data = json.loads(event["Input"])
        if event["Name"].lower() == "cancel":
            decode_cancel_event(data)
        else:
            decode_event(data, job)
    except (ContractError, ValueError, RecursionError):
        return False
    return True


def _may_end(event: dict[str, Any], job: str) -> bool:
    """Whether no job that is waiting could have stayed so."""
    if not _fits(event, job):
        return False
    if event["Name"].lower() == "cancel":
        return True
    report = decode_event(json.loads(event["Input"]), job)
    return report.status == "PROCESSED" and report.attempt is None
