"""Jobs that take a random course: whatever comes, in whatever batches, there is one result and nothing is left."""

import random
from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from tests.unit.app.episodes import (
    DOWN,
    KEPT,
    NOTIFIED,
    NOTIFY,
    PUBLISH,
    RAISED,
    REJECT,
    SENT,
    START,
    WITHDRAW,
    WITHDRAWN,
    Event,
    Reply,
    completed,
    ended,
    failed,
    failure,
    fired,
    publishing,
    raised,
    report,
)

pytestmark = pytest.mark.filterwarnings("ignore:azure.functions df_loads was called without:DeprecationWarning")

TIMEOUT = timedelta(seconds=360)
# The last look, the pauses of publishing that began before the deadline, and the tries to tell somebody.
GRACE = timedelta(seconds=180)
NAMES = ("processed", "PROCESSING_VIDEO_COMPLITED", "Processed")


def some_event(chance: random.Random, attempt: int) -> Event:
    said: list[Any] = [
        "hello",
        None,
        report("DONE"),
        report(instance_id="another-job"),
        report(attempt=attempt + 1),
        failure(attempt),
        failure(attempt),
        failure(),
        failure(max(1, attempt - 1)),
        report(attempt=max(1, attempt - 1)),
    ]
    rare: list[Any] = [report(), report(attempt=attempt), failure(attempt, retryable=False)]
    if chance.random() < 0.1:
        return raised("cancel", chance.choice([None, {"reason": "r"}, {"why": 1}]), by_sdk=chance.random() < 0.5)
    data = chance.choice(rare if chance.random() < 0.15 else said)
    return raised(chance.choice(NAMES), data, by_sdk=chance.random() < 0.5)


def answer(chance: random.Random, luck: float, reply: Reply, activity: int) -> Event:
    name = reply.names()[activity]
    good = {PUBLISH: SENT, WITHDRAW: WITHDRAWN, NOTIFY: NOTIFIED, REJECT: KEPT}[name]
    bad = [failed(activity, RAISED), completed(activity, DOWN)]
    return completed(activity, good) if chance.random() < luck else chance.choice(bad)


@cache
def course(seed: int) -> dict[str, Any]:
    chance = random.Random(seed)
    luck = chance.choice((0.2, 0.7, 0.9))
    job = publishing(maxAttempts=chance.randint(1, 4))
    reply = job.last
    for _ in range(200):
        if reply.done:
            assert job.now <= START + TIMEOUT + GRACE
            result = ended(reply)
            assert result["attempts"] > 0 or result["report"] is None
            return result
        # Few of them while people are told: each would be told of three times in the log.
        some = [0, 0, 1, 1, 2, 3] if reply.stage in ("publishing", "waiting") else [0, 0, 0, 0, 0, 1]
        events = [some_event(chance, reply.shown["attempt"]) for _ in range(chance.choice(some))]
        running, timers = reply.started(), reply.open_timers()
        after = timedelta(0)
        if running and chance.random() < 0.6:
            events += [answer(chance, luck, reply, running[0])]
        elif not running and timers and chance.random() < 0.5:
            events += [fired(timers[0])]
            after = max(timedelta(0), reply.fires_at(timers[0]) - job.now - chance.random() * timedelta(seconds=1))
        chance.shuffle(events)
        reply = job.run(*events, after=after)
    raise AssertionError(f"seed {seed}: the job never ends: {reply.state}")


@pytest.mark.parametrize("block", range(10))
def test_there_is_always_one_result_and_nothing_left_over(block: int) -> None:
    results = [course(seed) for seed in range(block * 12, block * 12 + 12)]
    assert {result["status"] for result in results} <= {"processed", "timeout", "failed"}


def test_the_courses_differ() -> None:
    results = [course(seed) for seed in range(120)]
    codes = {result["error"]["code"] if result["error"] else result["status"] for result in results}
    assert {"processed", "timeout", "no_space", "cancelled", "storage_unavailable"} <= codes
    assert {result["attempts"] for result in results} >= {1, 2, 3}
