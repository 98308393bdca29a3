"""A queue trigger against a queue in memory: what becomes of each message, and when, by the test's clock."""

from __future__ import annotations

import asyncio
import base64
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from azure.functions.meta import Datum

from devhost.functions import Function
from devhost.invoke import FunctionFailed, Invoker
from devhost.testing.clock import START, VirtualClock, settle
from devhost.testing.queues import MemoryAccount, MemoryQueue
from devhost.triggers.queue import has_poison_queue
from devhost.triggers.queue_listener import Backoff, QueueListener
from devhost.triggers.queue_message import StoredMessage
from devhost.triggers.queue_options import QueueOptions

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
Body = Callable[["Run"], Awaitable[None]]


@dataclass
class Run:
    """One call of the function."""

    at: datetime
    body: Any
    metadata: dict[str, Datum]
    details: str | None


async def succeed(run: Run) -> None:
    """The function does nothing."""


async def fail(run: Run) -> None:
    raise FunctionFailed("RuntimeError", "always fails", "")


@dataclass
class Bench:
    """A listener on queue `q` whose function is `body`; `texts` are put into the queue before it starts."""

    clock: VirtualClock = field(default_factory=VirtualClock)
    body: Body = succeed
    runs: list[Run] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.account = MemoryAccount(self.clock)

    async def invoke(
        self,
        function: Function,
        trigger: Datum,
        *,
        metadata: dict[str, Datum],
        reason: str,
        details: str | None,
    ) -> None:
        run = Run(self.clock.now(), trigger.value, metadata, details)
        self.runs.append(run)
        await self.body(run)

    def listener(self, queue: str = "q", binding: dict[str, Any] | None = None, **options: Any) -> QueueListener:
        function = SimpleNamespace(name="f", trigger={"name": "msg", "type": "queueTrigger", **(binding or {})})
        poison = self.account.queue(f"{queue}-poison") if has_poison_queue(queue) else None
        return QueueListener(
            cast(Function, function),
            self.account.queue(queue),
            poison,
            options=QueueOptions(**{"max_polling_interval": 2 * SECOND, **options}),
            invoker=cast(Invoker, self),
            clock=self.clock,
        )

    @asynccontextmanager
    async def listening(self, *texts: str, queue: str = "q", **options: Any) -> AsyncIterator[QueueListener]:
        self.account.create(queue, *texts)
        listener = self.listener(queue, **options)
        listener.start()
        await settle()
        try:
            yield listener
        finally:
            await listener.stop(timedelta(0))

    @property
    def seconds(self) -> list[float]:
        """When the runs began, counted from the start."""
        return [(run.at - START).total_seconds() for run in self.runs]


def b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


async def test_a_message_runs_once_and_is_deleted() -> None:
    bench = Bench()
    async with bench.listening(b64('{"a":1}')):
        assert bench.account.texts("q") == []
        await bench.clock.advance(MINUTE)
    (run,) = bench.runs
    assert run.body == '{"a":1}'
    assert run.details == "MessageId: m1, DequeueCount: 1, InsertionTime: 2026-11-23T20:00:00.000+00:00"
    assert {key: datum.value for key, datum in run.metadata.items()} == {
        "Id": '"m1"',
        "PopReceipt": '"r2"',
        "DequeueCount": "1",
        "InsertionTime": '"2026-11-23T20:00:00+00:00"',
        "ExpirationTime": '"2026-11-30T20:00:00+00:00"',
        "NextVisibleTime": '"2026-11-23T20:10:00+00:00"',
        "QueueTrigger": '"{\\"a\\":1}"',
    }


async def test_a_failing_message_gets_five_tries_and_its_text_goes_to_the_poison_queue(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench(body=fail)
    async with bench.listening("eyJmYWlsIjp0cnVlfQ=="):
        await bench.clock.advance(MINUTE)
        assert bench.account.texts("q") == []
        assert bench.account.texts("q-poison") == ["eyJmYWlsIjp0cnVlfQ=="]
    assert [run.metadata["DequeueCount"].value for run in bench.runs] == ["1", "2", "3", "4", "5"]
    assert bench.seconds[-1] < 1
    assert caplog.messages == ["Message has reached MaxDequeueCount of 5. Moving message to queue 'q-poison'."]


async def test_a_failed_message_comes_back_after_the_visibility_timeout() -> None:
    bench = Bench(body=fail)
    async with bench.listening(b64("f"), visibility_timeout=3 * SECOND, max_dequeue_count=3):
        await bench.clock.advance(MINUTE)
        assert bench.account.texts("q-poison") == [b64("f")]
    first, second, third = bench.seconds
    assert first == 0
    assert 3 <= second <= 5
    assert 3 <= third - second <= 5


@pytest.mark.parametrize("text", ["not base64 !!", '{"raw": 1}', "žlu", "abc"])
async def test_text_that_is_not_base64_is_poisoned_at_once(text: str, caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    async with bench.listening(text):
        assert bench.account.texts("q") == []
        assert bench.account.texts("q-poison") == [text]
    assert bench.runs == []
    assert caplog.messages == ["Message decoding has failed! Check MessageEncoding settings. MessageId=m1"]


async def test_bytes_that_are_no_text_are_poisoned_after_all_tries(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    async with bench.listening("AP/+"):
        await bench.clock.advance(MINUTE)
        assert bench.account.texts("q-poison") == ["AP/+"]
    assert bench.runs == []
    failures = [message for message in caplog.messages if "declare the trigger with data_type" in message]
    assert len(failures) == 5


async def test_bytes_arrive_when_the_trigger_asks_for_them() -> None:
    bench = Bench()
    async with bench.listening("AP/+", "abcd", "", binding={"dataType": "BINARY"}):
        pass
    assert [run.body for run in bench.runs] == [b"\x00\xff\xfe", b"i\xb7\x1d", b""]
    assert "QueueTrigger" not in bench.runs[0].metadata


async def test_without_encoding_the_text_is_the_body() -> None:
    bench = Bench()
    async with bench.listening("žluť ☃", "abcd", base64=False):
        pass
    assert [run.body for run in bench.runs] == ["žluť ☃", "abcd"]


async def test_a_run_of_eleven_minutes_is_not_delivered_twice() -> None:
    bench = Bench()

    async def eleven_minutes(run: Run) -> None:
        await bench.clock.sleep_until(run.at + 11 * MINUTE)

    bench.body = eleven_minutes
    async with bench.listening(b64("busy")):
        await bench.clock.advance(10 * MINUTE + SECOND)
        assert bench.account.texts("q") == [b64("busy")]
        await bench.clock.advance(MINUTE)
        assert bench.account.texts("q") == []
    assert len(bench.runs) == 1


async def test_a_message_that_was_taken_over_is_left_to_its_taker(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()

    async def long(run: Run) -> None:
        await bench.clock.sleep_until(run.at + 6 * MINUTE)

    bench.body = long
    async with bench.listening(b64("x")):
        bench.account.queues["q"]["m1"].pop_receipt = "another's"
        await bench.clock.advance(7 * MINUTE)
        assert bench.account.texts("q") == [b64("x")]
    assert caplog.messages == ["Message m1 of queue 'q' was deleted or taken by somebody else while in work."]


async def test_one_after_the_other_with_batch_size_one_and_threshold_zero() -> None:
    bench = Bench()

    async def a_while(run: Run) -> None:
        await bench.clock.sleep_until(run.at + 1.5 * SECOND)

    bench.body = a_while
    async with bench.listening(b64("0"), b64("1"), b64("2"), batch_size=1, new_batch_threshold=0):
        await bench.clock.advance(MINUTE)
    assert [run.body for run in bench.runs] == ["0", "1", "2"]
    assert bench.seconds == [0, 1.5, 3]


async def test_no_more_run_at_once_than_batch_size_and_threshold_allow() -> None:
    bench = Bench()
    release = asyncio.Event()

    async def until_released(run: Run) -> None:
        await release.wait()

    bench.body = until_released
    async with bench.listening(*(b64(str(n)) for n in range(40)), batch_size=4, new_batch_threshold=6):
        await bench.clock.advance(MINUTE)
        assert len(bench.runs) == 8
        release.set()
        await bench.clock.advance(MINUTE)
        assert len(bench.runs) == 40
        assert bench.account.texts("q") == []


async def test_a_poison_queues_own_failed_message_stays_invisible() -> None:
    bench = Bench(body=fail)
    async with bench.listening(b64("x"), queue="x-poison"):
        await bench.clock.advance(9 * MINUTE)
        assert len(bench.runs) == 1
        assert bench.account.texts("x-poison") == [b64("x")]
        await bench.clock.advance(2 * MINUTE)
        assert len(bench.runs) == 2
    assert "x-poison-poison" not in bench.account.queues


async def test_a_message_tried_too_often_already_is_poisoned_without_a_run() -> None:
    bench = Bench()
    bench.account.create("q", b64("x"))
    bench.account.queues["q"]["m1"].dequeue_count = 5
    async with bench.listening():
        assert bench.account.texts("q-poison") == [b64("x")]
    assert bench.runs == []


async def test_a_queue_made_after_the_start_is_picked_up(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    listener = bench.listener()
    listener.start()
    await bench.clock.advance(MINUTE)
    assert "q" not in bench.account.queues
    bench.account.create("q", b64("late"))
    await bench.clock.advance(2 * SECOND)
    await listener.stop(timedelta(0))
    assert [run.body for run in bench.runs] == ["late"]
    assert caplog.messages == []


async def test_storage_that_is_down_is_said_once_and_so_is_its_return(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    async with bench.listening():
        await bench.clock.advance(MINUTE)
        bench.account.outage, before = "Cannot connect to host 127.0.0.1:10001", bench.account.requests
        await bench.clock.advance(10 * MINUTE)
        assert 290 < bench.account.requests - before < 310  # one in two seconds, the longest back-off
        bench.account.outage = None
        bench.account.put("q", b64("x"))
        await bench.clock.advance(2 * SECOND)
    assert [run.body for run in bench.runs] == ["x"]
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert caplog.messages[0].startswith(
        "Queue 'q' of function 'f' can't be read: Cannot connect to host 127.0.0.1:10001."
    )
    assert caplog.messages[1] == "Queue 'q' of function 'f' can be read again."


async def test_an_unexpected_error_does_not_end_the_listener(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench()
    async with bench.listening():
        with monkeypatch.context() as patch:
            patch.setattr(bench.account, "queues", None)
            await bench.clock.advance(MINUTE)
        bench.account.put("q", b64("x"))
        await bench.clock.advance(2 * SECOND)
    assert [run.body for run in bench.runs] == ["x"]
    assert len(caplog.messages) == 3
    assert caplog.messages[0].startswith("Queue 'q' of function 'f' can't be read: TypeError")


async def test_a_done_message_is_deleted_once_the_storage_is_back() -> None:
    bench = Bench()

    async def storage_fails_meanwhile(run: Run) -> None:
        bench.account.outage = "down"

    bench.body = storage_fails_meanwhile
    async with bench.listening(b64("x")):
        await bench.clock.advance(2 * MINUTE)
        assert bench.account.texts("q") == [b64("x")]
        bench.account.outage = None
        await bench.clock.advance(5 * MINUTE)
        assert bench.account.texts("q") == []
    assert len(bench.runs) == 1


async def test_what_can_not_be_finished_is_named_and_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()

    async def storage_fails_meanwhile(run: Run) -> None:
        bench.account.outage = "down"

    bench.body = storage_fails_meanwhile
    async with bench.listening(b64("x")):
        await bench.clock.advance(20 * MINUTE)
        bench.account.outage = None
        bench.body = succeed
        await bench.clock.advance(2 * SECOND)
        assert bench.account.texts("q") == []
    assert len(bench.runs) == 2
    assert "Message m1 of queue 'q' could not be finished: down. It will be delivered again." in caplog.messages


async def test_a_renewal_that_fails_is_tried_again_before_the_message_shows() -> None:
    bench = Bench()

    async def long(run: Run) -> None:
        await bench.clock.sleep_until(run.at + 15 * MINUTE)

    bench.body = long
    async with bench.listening(b64("x")):
        await bench.clock.advance(4 * MINUTE)
        bench.account.outage = "down"
        await bench.clock.advance(4 * MINUTE)
        bench.account.outage = None
        await bench.clock.advance(10 * MINUTE)
        assert bench.account.texts("q") == []
    assert len(bench.runs) == 1


async def test_stopping_waits_for_what_runs_and_polls_no_more() -> None:
    bench = Bench()
    release = asyncio.Event()

    async def until_released(run: Run) -> None:
        await release.wait()

    bench.body = until_released
    bench.account.create("q", b64("x"))
    listener = bench.listener()
    listener.start()
    await settle()
    stopping = asyncio.create_task(listener.stop(30 * SECOND))
    await settle()
    bench.account.put("q", b64("later"))
    await bench.clock.advance(20 * SECOND)
    assert not stopping.done()
    release.set()
    await stopping
    assert bench.account.texts("q") == [b64("later")]
    assert len(bench.runs) == 1


async def test_a_poll_under_way_is_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.account.create("q", b64("x"))
    answer = asyncio.Event()
    receive = MemoryQueue.receive

    async def slow_receive(queue: MemoryQueue, count: int, invisible: timedelta) -> list[StoredMessage]:
        await answer.wait()
        return await receive(queue, count, invisible)

    monkeypatch.setattr(MemoryQueue, "receive", slow_receive)
    listener = bench.listener()
    listener.start()
    await settle()
    stopping = asyncio.create_task(listener.stop(30 * SECOND))
    await settle()
    answer.set()
    await stopping
    assert len(bench.runs) == 1
    assert bench.account.texts("q") == []


async def test_what_outlasts_the_grace_is_cut_and_not_released(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()

    async def for_ever(run: Run) -> None:
        await asyncio.get_running_loop().create_future()

    bench.body = for_ever
    bench.account.create("q", b64("x"))
    listener = bench.listener()
    listener.start()
    await settle()
    stopping = asyncio.create_task(listener.stop(30 * SECOND))
    await bench.clock.advance(30 * SECOND)
    await stopping
    assert bench.account.texts("q") == [b64("x")]
    assert bench.account.queues["q"]["m1"].visible == START + 10 * MINUTE
    assert caplog.messages == [
        "1 message(s) of queue 'q' were in work when the host stopped; they come back within 0:10:00."
    ]


@pytest.mark.parametrize("seed", range(50))
def test_the_pause_doubles_up_to_its_bound_and_falls_back_after_a_message(seed: int) -> None:
    random.seed(seed)
    backoff = Backoff(2 * SECOND)
    pauses = [backoff.next().total_seconds() for _ in range(8)]
    assert pauses[0] == 0.1
    assert pauses[-1] == 2
    assert pauses == sorted(pauses)
    for pause, middle in zip(pauses[1:5], (0.2, 0.3, 0.5, 0.9), strict=True):
        assert 0.1 + (middle - 0.1) * 0.8 <= pause <= 0.1 + (middle - 0.1) * 1.2
    backoff.reset()
    assert backoff.next().total_seconds() == 0.1


@pytest.mark.parametrize(("name", "expected"), [("q", True), ("x-poison", False), ("a" * 56, True), ("a" * 57, False)])
def test_which_queues_have_a_poison_queue(name: str, expected: bool) -> None:
    assert has_poison_queue(name) is expected
