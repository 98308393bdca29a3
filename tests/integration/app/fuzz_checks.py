"""What the fuzzing of the app has in common: its account, jobs that begin and end, and what each answer has to be."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote

from devhost.testing import Response, TestHost
from tests.integration.app.kit import BODY, START

AT_ONCE = 60
TIMEOUT_SECONDS = 3600
RESULT_KEYS = [
    "status",
    "instance_id",
    "blobName",
    "blobUrl",
    "attempts",
    "requested_at",
    "finished_at",
    "report",
    "error",
    "notification",
]
LINKS = {"id", "statusQueryGetUri", "sendEventPostUri", "terminatePostUri", "purgeHistoryDeleteUri", "rewindPostUri"}
T = TypeVar("T")


@dataclass
class Account:
    """`fates` counts the inputs by what became of them, `problems` tells what nothing accounts for."""

    fates: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    @property
    def inputs(self) -> int:
        return self.fates.total()

    def check(self, holds: object, otherwise: str) -> None:
        """A problem unless `holds`."""
        if not holds:
            self.problems.append(otherwise[:600])

    def add(self, other: Account) -> None:
        self.fates += other.fates
        self.problems += other.problems


class Rejected:
    """The messages of `video-processed-rejected`, to be claimed by their original text."""

    def __init__(self, texts: list[str], account: Account) -> None:
        self._whole: dict[str, list[str]] = defaultdict(list)
        self._cut: list[tuple[str, str]] = []
        for one in map(json.loads, texts):
            account.check({"reason", "detail", "received_at", "message"} <= set(one), f"rejected: {one}")
            if one["detail"].endswith("was cut)"):
                self._cut.append((one["message"], one["reason"]))
            else:
                self._whole[one["message"]].append(one["reason"])

    def __len__(self) -> int:
        return sum(map(len, self._whole.values())) + len(self._cut)

    def __repr__(self) -> str:
        return f"{[text for text, reasons in self._whole.items() if reasons]} {self._cut}"

    def take(self, text: str) -> str | None:
        """The reason for which this text was rejected; counted once."""
        if reasons := self._whole.get(text):
            return reasons.pop()
        for one in self._cut:
            if text.startswith(one[0]):
                self._cut.remove(one)
                return one[1]
        return None


async def in_turns(calls: Iterable[Awaitable[T]]) -> list[T]:
    """Some at once, in order."""
    waiting = list(calls)
    done: list[T] = []
    for first in range(0, len(waiting), AT_ONCE):
        done += await asyncio.gather(*waiting[first : first + AT_ONCE])
    return done


async def begin(host: TestHost, keys: list[str], **fields: Any) -> list[str]:
    """Start a job of each key."""
    body = {**BODY, "timeoutSeconds": TIMEOUT_SECONDS, **fields}
    for answer in await in_turns(
        host.request("POST", START, json=body, headers={"Idempotency-Key": key}) for key in keys
    ):
        assert answer.status == 202, answer.text
    return keys


def good_report(job: str) -> dict[str, Any]:
    return {"instance_id": job, "status": "PROCESSED", "details": {"good": job}}


async def end_all(host: TestHost, account: Account, jobs: list[str]) -> None:
    """Report every other job that has not ended, let time pass for the rest, and look at all results."""
    await host.settle()
    undecided = [job for job in jobs if host.instance(job).status == "Running"]
    reported = undecided[::2]
    for job in reported:
        host.queue("video-processed").put(good_report(job))
    await host.advance(seconds=2 * TIMEOUT_SECONDS)
    check_queues(host, account)
    results = results_of(host, account, jobs)
    for job in undecided:
        status = "processed" if job in reported else "timeout"
        account.check(results[job]["status"] == status, f"{job} should be {status}: {results[job]}")
        kept = results[job]["report"] == (good_report(job) if job in reported else None)
        account.check(kept, f"{job} has another report: {results[job]}")


def check_queues(host: TestHost, account: Account) -> None:
    """Each report was dealt with, and none only by the host."""
    for queue in ("video-processed", "video-processed-poison"):
        account.check(not (left := host.queue(queue).messages()), f"left in {queue}: {left[:3]}")


def results_of(host: TestHost, account: Account, jobs: list[str]) -> dict[str, dict[str, Any]]:
    """The results of these jobs by id; of one that has none, an empty one."""
    found: dict[str, dict[str, Any]] = {}
    for job in jobs:
        row = host.instance(job).row()
        output = json.loads(row.output or "{}") if row.status == "Completed" else {}
        problem = _problem_of(job, output)
        account.check(problem is None, f"{job} is {row.status}, {problem}: {row.output}")
        found[job] = {**dict.fromkeys(RESULT_KEYS), **output}
    return found


def _problem_of(job: str, result: dict[str, Any]) -> str | None:
    if list(result) != RESULT_KEYS:
        return f"its result has the keys {list(result)}"
    if result["status"] not in ("processed", "timeout", "failed") or result["instance_id"] != job:
        return "its result is none of the contract's"
    if datetime.fromisoformat(result["requested_at"]) > datetime.fromisoformat(result["finished_at"]):
        return "it ended before it began"
    report, error, notification = (result[key] for key in ("report", "error", "notification"))
    if result["status"] == "processed":
        good = bool(report) and error is None and notification is None
    else:
        good = set(error) == {"step", "code", "message"} and len(error["message"].splitlines()) == 1
        # "unexpected" is an exception that no step had foreseen.
        good = good and error["code"] != "unexpected" and notification == {"delivered": True, "channels": ["queue"]}
    return None if good else "something is wrong in it"


def check_answer(account: Account, response: Response, expected: set[int], sent: str, *, maybe_empty: bool) -> None:
    """One of the status codes; an error as the contract has it, or empty when the host may have given it."""
    what = f"answered {response.status} {response.text} to {sent}"
    account.check(response.status in expected, what)
    if response.status == 202 or (maybe_empty and not response.body):
        return
    try:
        body = json.loads(response.body)
        error = body["error"]
        good = body["ok"] is False and set(body) == {"ok", "error"} and set(error) == {"code", "message", "path"}
        good = good and bool(error["code"]) and len(error["message"].splitlines()) == 1
    except (ValueError, KeyError, TypeError):
        good = False
    account.check(good, f"not an error of the contract: {what}")


def quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


def cut(body: bytes | str) -> str:
    return repr(body if len(body) <= 300 else body[:300])
