"""What the kit finds by itself: orchestrators that are not deterministic, and what a test leaves behind."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path

import pytest

from devhost.testing import InstanceFailedError, LeftoverError, ReplayDiffers, TestHost


async def test_nondeterminism_shows_in_the_first_test(functions_app: Path) -> None:
    with pytest.raises(ReplayDiffers, match=r"'rolls_dice' is not deterministic.*its actions became"):
        async with TestHost(functions_app) as host:
            await (await host.start_orchestration("rolls_dice")).result()


async def test_it_fails_the_test_that_does_not_await_it_too(functions_app: Path) -> None:
    with pytest.raises(ReplayDiffers):
        async with TestHost(functions_app) as host:
            await host.start_orchestration("rolls_dice")
            await host.settle()


async def test_without_forced_replay_a_random_input_goes_unseen(functions_app: Path) -> None:
    async with TestHost(functions_app, forced_replay=False) as host:
        assert 0 <= await (await host.start_orchestration("rolls_dice")).result() < 1


async def test_an_instance_that_still_runs_is_left_over(functions_app: Path) -> None:
    with pytest.raises(LeftoverError, match=r"\(race\) is still Running: it waits for event 'Approval', a timer due "):
        async with TestHost(functions_app) as host:
            await host.start_orchestration("race")


async def test_a_timer_that_was_not_cancelled_is_left_over(functions_app: Path) -> None:
    with pytest.raises(LeftoverError, match=r"it has returned, but stays Running until .* a timer due"):
        async with TestHost(functions_app) as host:
            job = await host.start_orchestration("forgets_timer")
            await host.settle()
            await job.raise_event("Approval", "yes")


async def test_messages_that_nobody_took_are_left_over(functions_app: Path) -> None:
    with pytest.raises(LeftoverError, match=r"1 message.s. in queue 'receipts' that nobody took: {"):
        async with TestHost(functions_app) as host:
            await (await host.start_orchestration("pays", 1)).result()


async def test_a_thread_that_is_alive_is_left_over_with_its_stack(functions_app: Path) -> None:
    let_go = threading.Event()
    try:
        with pytest.raises(LeftoverError, match=r"(?s)thread 'forgotten thread' is still alive:.*wait"):
            async with TestHost(functions_app) as host:
                let_go = sys.modules["function_app"].let_go
                await (await host.start_orchestration("leaves_thread")).result()
    finally:
        let_go.set()


async def test_a_task_that_is_alive_is_left_over_with_its_stack(functions_app: Path) -> None:
    blocked = asyncio.Event()

    async def forgotten(_: object) -> None:
        task = asyncio.create_task(_block(blocked), name="forgotten task")
        kept.append(task)

    kept: list[asyncio.Task[None]] = []
    with pytest.raises(LeftoverError, match=r"(?s)task 'forgotten task' is still alive:.*blocked.wait"):
        async with TestHost(functions_app) as host:
            host.activity("reserve").runs(forgotten)
            host.activity("charge").returns(1)
            await (await host.start_orchestration("pays", 1)).result()
    blocked.set()
    await asyncio.gather(*kept)


async def _block(blocked: asyncio.Event) -> None:
    await blocked.wait()


async def test_a_failure_of_the_test_itself_is_not_hidden_by_leftovers(functions_app: Path) -> None:
    with pytest.raises(InstanceFailedError):
        async with TestHost(functions_app) as host:
            host.activity("reserve").raises(ValueError("no"))
            await host.start_orchestration("race")
            await (await host.start_orchestration("pays", 1)).result()


async def test_an_app_that_can_not_run_says_why(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    (tmp_path / "function_app.py").write_text("import no_such_package\n")
    with pytest.raises(RuntimeError, match=r"(?s)can't be tested: .*No module named 'no_such_package'"):
        async with TestHost(tmp_path):
            pass
