"""Timer triggers as recorded on a live host, with the real loader and invoker and the test's own clock."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from devhost.testing.clock import START, VirtualClock, settle
from devhost.triggers.timer import TimerTriggers
from tests.integration.devhost.app_bench import AppBench, app_bench
from tests.integration.devhost.recorder import RECORDER

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "03-queues.json"
CASE = next(case for case in json.loads(GOLDEN.read_text(encoding="utf-8"))["cases"] if case["title"] == "timers")
RECORDED, AFTER_A_MISS = (exchange["response"] for exchange in CASE["exchange"])
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)

APP = """
from datetime import timedelta
from tests.integration.devhost.recorder import RECORDER

def described(name, timer):
    record((name, RECORDER.clock.now(), timer))

@app.timer_trigger(arg_name="timer", schedule="*/10 * * * * *", run_on_startup=True)
async def tick(timer: func.TimerRequest):
    described("tick", timer)

@app.timer_trigger(arg_name="timer", schedule="*/5 * * * *", run_on_startup=True, use_monitor=True)
async def five(timer: func.TimerRequest):
    described("five", timer)

@app.timer_trigger(arg_name="timer", schedule="00:00:07")
async def span(timer: func.TimerRequest):
    described("span", timer)
    raise RuntimeError("a timer fails")

@app.timer_trigger(arg_name="timer", schedule="*/3 * * * * *")
async def slow(timer: func.TimerRequest):
    described("slow", timer)
    await RECORDER.clock.sleep_until(RECORDER.clock.now() + timedelta(seconds=5))
    described("slow ended", timer)

@app.timer_trigger(arg_name="timer", schedule="bogus")
async def bad(timer: func.TimerRequest):
    described("bad", timer)

@app.timer_trigger(arg_name="timer", schedule="%NOSCHED%")
async def unset(timer: func.TimerRequest):
    described("unset", timer)
"""


@pytest.fixture
def clock() -> VirtualClock:
    RECORDER.clear()
    # 3 s past a full minute: no schedule of the app is due at the very start.
    RECORDER.clock = clock = VirtualClock(START + 3 * SECOND + timedelta(milliseconds=500))
    return clock


@asynccontextmanager
async def ticking(
    folder: Path, clock: VirtualClock, code: str = APP, *, keep: bool = True, **settings: str
) -> AsyncIterator[AppBench]:
    """The app with its timers running; the state is kept in `folder`."""
    with app_bench(folder / "app", code, settings=settings, clock=clock) as bench:
        state = folder / "state" if keep else None
        timers = TimerTriggers(bench.settings, bench.index, bench.invoker, clock, state)
        await timers.start()
        await settle()
        try:
            yield bench
        finally:
            stopping = asyncio.create_task(timers.stop())
            await clock.advance(MINUTE)
            await stopping


def runs(name: str) -> list[Any]:
    return [timer for run, _, timer in RECORDER.records if run == name]


def seconds(name: str, since: datetime) -> list[float]:
    return [(at - since).total_seconds() for run, at, _ in RECORDER.records if run == name]


async def test_what_a_function_gets(tmp_path: Path, clock: VirtualClock) -> None:
    async with ticking(tmp_path, clock):
        await clock.advance(MINUTE)
    tick, span = runs("tick")[0], runs("span")[0]
    assert type(tick).__name__ == RECORDED["tick"]["type"]
    for timer, recorded in ((tick, RECORDED["tick"]), (span, RECORDED["span"])):
        assert timer.past_due is recorded["past_due"]
        assert timer.schedule == recorded["schedule"]
        assert timer.schedule_status == recorded["schedule_status"]


async def test_when_functions_run(tmp_path: Path, clock: VirtualClock) -> None:
    began = clock.now()
    async with ticking(tmp_path, clock):
        await clock.advance(29 * SECOND)
        assert seconds("tick", began) == [0, 6.5, 16.5, 26.5]
        assert RECORDED["span"]["first_run"] == "7 s after the start"
        assert RECORDED["span"]["after_exception"] == "goes on every 7 s"
        assert seconds("span", began) == [7, 14, 21, 28]
        assert RECORDED["slow"] == "a run starts as soon as the last ended, every 5 s, never two"
        assert seconds("slow", began) == [2.5, 7.5, 12.5, 17.5, 22.5, 27.5]
        assert seconds("slow ended", began) == [7.5, 12.5, 17.5, 22.5, 27.5]


async def test_schedules_that_can_not_be_read(tmp_path: Path, clock: VirtualClock) -> None:
    async with ticking(tmp_path, clock) as bench:
        for name in ("bad", "unset"):
            function = bench.index.function(name)
            assert function is not None
            assert function.errors[0].endswith(RECORDED[name])
        await clock.advance(MINUTE)
    assert runs("bad") + runs("unset") == []


async def test_a_missed_occurrence_gives_one_run_at_the_next_start(tmp_path: Path, clock: VirtualClock) -> None:
    async with ticking(tmp_path, clock):
        pass
    RECORDER.clear()
    await clock.advance(12 * MINUTE)
    async with ticking(tmp_path, clock) as bench:
        log = bench.log
        (five,) = runs("five")
        (tick,) = runs("tick")
    recorded = AFTER_A_MISS["five"]
    assert five.past_due is recorded["past_due"]
    assert set(five.schedule_status) == set(recorded["schedule_status"])
    assert five.schedule_status["Next"] == "2026-11-23T20:05:00+00:00"
    assert len(runs("five")) == recorded["runs"]
    assert not tick.past_due  # more often than once a minute: nothing is kept
    assert (
        "Trigger Details: UnscheduledInvocationReason: IsPastDue, OriginalSchedule: 2026-11-23T20:05:00.0000000+00:00"
        in log
    )


async def test_no_past_due_run_when_nothing_was_missed(tmp_path: Path, clock: VirtualClock) -> None:
    code = APP.replace(", run_on_startup=True, use_monitor=True)\nasync def five", ")\nasync def five")
    async with ticking(tmp_path, clock, code):
        assert runs("five") == []
    status = json.loads((tmp_path / "state" / "timers.json").read_text(encoding="utf-8"))
    assert list(status) == ["five"]
    assert status["five"]["Last"] == "0001-01-01T00:00:00+00:00"
    async with ticking(tmp_path, clock, code):
        assert runs("five") == []
        await clock.advance(5 * MINUTE)
        assert len(runs("five")) == 1


async def test_a_changed_schedule_is_not_past_due(tmp_path: Path, clock: VirtualClock) -> None:
    code = APP.replace("run_on_startup=True, use_monitor", "use_monitor")
    async with ticking(tmp_path, clock, code):
        pass
    await clock.advance(12 * MINUTE)
    async with ticking(tmp_path, clock, code.replace("*/5 * * * *", "*/20 * * * *")):
        assert runs("five") == []
    status = json.loads((tmp_path / "state" / "timers.json").read_text(encoding="utf-8"))
    assert status["five"]["Next"] == "2026-11-23T20:20:00+00:00"


async def test_without_a_state_folder_nothing_is_past_due(tmp_path: Path, clock: VirtualClock) -> None:
    async with ticking(tmp_path, clock, keep=False):
        pass
    await clock.advance(12 * MINUTE)
    async with ticking(tmp_path, clock, keep=False):
        assert [five.past_due for five in runs("five")] == [False, False]
    assert not (tmp_path / "state").exists()


async def test_a_spoilt_state_file_is_named(
    tmp_path: Path, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "timers.json").write_text('{"five": {"Last": 5}}', encoding="utf-8")
    async with ticking(tmp_path, clock):
        assert len(runs("five")) == 1
    assert any("timers.json can't be read" in message for message in caplog.messages)


async def test_the_log(tmp_path: Path, clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "devhost")
    async with ticking(tmp_path, clock) as bench:
        announced = [message for message in caplog.messages if message.startswith("The next 5 occurrences")]
        recorded_tick, recorded_span = CASE["log"][:2]
        lines = {message.partition("\n")[0]: message.splitlines()[1:] for message in announced}
        assert {recorded_tick, recorded_span} <= set(lines)
        assert lines[recorded_tick] == [
            f"11/23/2026 20:00:{second}Z (11/23/2026 20:00:{second}Z)" for second in (10, 20, 30, 40, 50)
        ]
        fired = "Executing 'Functions.five' (Reason='Timer fired at 2026-11-23T20:00:03.5000000+00:00', Id="
        assert any(line.startswith(fired) for line in bench.log)
        assert CASE["log"][3] in bench.log


async def test_clock_times_are_those_of_the_zone_in_the_settings(
    tmp_path: Path, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "devhost")
    code = """
from tests.integration.devhost.recorder import RECORDER

@app.timer_trigger(arg_name="timer", schedule="0 30 21 * * *")
async def nightly(timer: func.TimerRequest):
    record(("nightly", RECORDER.clock.now(), timer))
"""
    async with ticking(tmp_path, clock, code, WEBSITE_TIME_ZONE="Europe/Prague") as bench:
        await clock.advance(timedelta(hours=1))
        assert [at for _, at, _ in RECORDER.records] == [START + 30 * MINUTE]
        (nightly,) = runs("nightly")
        assert nightly.schedule_status["Next"] == "2026-11-23T21:30:00+01:00"
        assert any("Timer fired at 2026-11-23T21:30:00.0000000+01:00" in line for line in bench.log)
    assert "11/23/2026 21:30:00+01:00 (11/23/2026 20:30:00Z)" in "\n".join(caplog.messages)


async def test_a_schedule_without_any_occurrence_is_named(
    tmp_path: Path, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    code = """
@app.timer_trigger(arg_name="timer", schedule="0 0 0 30 2 *")
async def never(timer: func.TimerRequest):
    record(("never", None, timer))
"""
    async with ticking(tmp_path, clock, code):
        await clock.advance(MINUTE)
    assert RECORDER.records == []
    assert "'never' never runs: its schedule has no occurrence." in caplog.messages


async def test_stopping_waits_for_a_run_and_keeps_its_status(tmp_path: Path, clock: VirtualClock) -> None:
    code = APP.replace(
        '    described("five", timer)',
        """    described("five", timer)
    await RECORDER.clock.sleep_until(RECORDER.clock.now() + timedelta(seconds=20))
    described("five ended", timer)""",
    )
    async with ticking(tmp_path, clock, code):
        assert runs("five ended") == []
    assert len(runs("five ended")) == 1
    status = json.loads((tmp_path / "state" / "timers.json").read_text(encoding="utf-8"))
    assert status["five"]["Last"] == "2026-11-23T20:00:03.500000+00:00"


async def test_a_run_that_outlasts_the_grace_is_cut_and_past_due_at_the_next_start(
    tmp_path: Path, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    code = APP.replace("run_on_startup=True, use_monitor", "use_monitor")
    endless = code.replace(
        'described("five", timer)', "await RECORDER.clock.sleep_until(RECORDER.clock.now() + timedelta(days=1))"
    )
    async with ticking(tmp_path, clock, endless):
        await clock.advance(5 * MINUTE)
    assert "'five' still ran 0:00:30 after the stop; it was cut off." in caplog.messages
    async with ticking(tmp_path, clock, code):
        (five,) = runs("five")
    assert five.past_due


RETRIED = """
from tests.integration.devhost.recorder import RECORDER

@app.timer_trigger(arg_name="timer", schedule="0 0 * * * *", run_on_startup=True)
@app.retry(
    strategy="exponential_backoff", max_retry_count="3", minimum_interval="00:00:02", maximum_interval="00:00:05"
)
async def shaky(timer: func.TimerRequest, context):
    retries = context.retry_context
    record(("shaky", RECORDER.clock.now(), (retries.retry_count, retries.max_retry_count)))
    raise RuntimeError("always")

@app.timer_trigger(arg_name="timer", schedule="0 0 * * * *", run_on_startup=True)
@app.retry(strategy="fixed_delay", max_retry_count="many", delay_interval="00:00:02")
async def odd(timer: func.TimerRequest):
    record(("odd", RECORDER.clock.now(), None))
    raise RuntimeError("always")
"""


async def test_a_failing_timer_function_is_run_again_as_its_retry_policy_says(
    tmp_path: Path, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with ticking(tmp_path, clock, RETRIED):
        await clock.advance(MINUTE)
    tries = [(moment, tried) for name, moment, tried in RECORDER.records if name == "shaky"]
    began = tries[0][0]
    assert [((moment - began).total_seconds(), tried) for moment, tried in tries] == [
        (0, (0, 3)),
        (2, (1, 3)),
        (6, (2, 3)),
        (11, (3, 3)),
    ]
    assert [name for name, _, _ in RECORDER.records].count("odd") == 1
    assert "max_retry_count must be a whole number from -1 on, not 'many'" in caplog.text
