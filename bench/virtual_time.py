"""How fast virtual time is, and the same human-interaction test in three ways.

Measured in turns in one run; medians are printed. The peer's timers really wait, so its timer is two seconds, which is
part of its time; with mocks nothing waits, and nothing but the generator is tested.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from devhost.testing import TestHost

ROOT = Path(__file__).resolve().parent.parent
EXPENSES = ROOT / "tests" / "apps" / "human_interaction"
FIVE_DAYS = 5 * 86_400
ROUNDS = 7
PEER_TIMER_SECONDS = 2
CHAIN = 200
BODY = {"blobURL": "http://127.0.0.1:1/a.avi", "blobName": "a.avi", "timeoutSeconds": FIVE_DAYS}


def main() -> None:
    """Print all figures."""
    logging.disable()
    os.environ["GRPC_VERBOSITY"] = "NONE"
    rounds = [_round() for _ in range(ROUNDS)]
    median = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    spread = {name: (min(one[name] for one in rounds), max(one[name] for one in rounds)) for name in rounds[0]}
    print(f"{'':58}{'median':>10}{'min':>10}{'max':>10}")
    for name, seconds in median.items():
        low, high = spread[name]
        print(f"{name:58}{_shown(seconds)}{_shown(low)}{_shown(high)}")
    ours, jobs = median["human interaction, five days: test kit"], median["our job, five days: test kit"]
    print(f"\nvirtual seconds per real second, human interaction: {FIVE_DAYS / ours:,.0f}")
    print(f"virtual seconds per real second, our job:            {FIVE_DAYS / jobs:,.0f}")
    peer = next((name for name in median if "durabletask" in name), None)
    if peer is not None:
        print(
            f"durabletask's in-memory backend takes {median[peer] / ours:.1f} times as long (2 s of it are its timer)"
        )
    mocks = median["human interaction: plain mocks"]
    print(f"plain mocks take {mocks / ours:.3f} of the time")
    print(f"forced replay costs {median['200 instances, forced replay'] / median['200 instances']:.2f} times the time")
    print(f"\nunit and in-process tests: {_tests()}")


def _round() -> dict[str, float]:
    figures: dict[str, Callable[[], object]] = {
        "human interaction, five days: test kit": lambda: asyncio.run(_on_the_kit()),
        "our job, five days: test kit": lambda: asyncio.run(_our_job()),
        "human interaction: plain mocks": _with_mocks,
        "200 instances, forced replay": lambda: asyncio.run(_many(forced_replay=True)),
        "200 instances": lambda: asyncio.run(_many(forced_replay=False)),
    }
    with suppress(ImportError):
        import durabletask.testing  # type: ignore[import-not-found, unused-ignore]  # noqa: F401, PLC0415

        figures["human interaction, 2 s: durabletask's in-memory backend"] = _on_the_peer
    return {name: _seconds(work) for name, work in figures.items()}


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


async def _on_the_kit() -> None:
    async with TestHost(EXPENSES) as host:
        job = await host.start_orchestration("expense", {"amount": 80, "seconds": FIVE_DAYS})
        assert await job.result() == "escalated: nobody decided about 80"


async def _our_job() -> None:
    environment = {"VideoStorage": "UseDevelopmentStorage=true"}
    async with TestHost(ROOT, environment=environment) as host:
        host.activity("send_processing_request").returns({"ok": True, "receipt": {}})
        host.activity("SendFailureNotification").returns(["queue"])
        job = await host.start_orchestration("video_orchestrator", BODY)
        assert (await job.result())["status"] == "timeout"


async def _many(*, forced_replay: bool) -> None:
    async with TestHost(EXPENSES, forced_replay=forced_replay) as host:
        jobs = [await host.start_orchestration("expense", {"amount": 1, "seconds": 60}) for _ in range(CHAIN)]
        await asyncio.gather(*(job.result() for job in jobs))


def _with_mocks() -> None:
    """The generator driven by hand, as the SDK's own guide does it."""
    sys.path.insert(0, str(EXPENSES))
    try:
        function_app = importlib.import_module("function_app")
        user_code = function_app.expense.build().get_user_function().orchestrator_function
        context = mock.Mock()
        context.get_input.return_value = {"amount": 80, "seconds": FIVE_DAYS}
        context.current_utc_datetime = datetime(2026, 1, 1, tzinfo=UTC)
        context.create_timer.return_value = timer = mock.Mock()
        steps = user_code(context)
        next(steps)
        steps.send("May 80 be paid?")
        steps.send(timer)
        with suppress(StopIteration):
            steps.send("escalated")
            raise AssertionError("the orchestrator goes on")
    finally:
        sys.path.remove(str(EXPENSES))
        sys.modules.pop("function_app", None)


def _on_the_peer() -> None:
    from durabletask import client, task, worker  # noqa: PLC0415 - only with the peer installed
    from durabletask.testing import create_test_backend  # noqa: PLC0415

    def ask(context: Any, amount: int) -> str:
        return f"May {amount} be paid?"

    def escalate(context: Any, amount: int) -> str:
        return f"escalated: nobody decided about {amount}"

    def expense(context: Any, amount: int) -> Any:
        yield context.call_activity(ask, input=amount)
        over = context.create_timer(timedelta(seconds=PEER_TIMER_SECONDS))
        decision = context.wait_for_external_event("Decision")
        first = yield task.when_any([decision, over])
        if first == over:
            return (yield context.call_activity(escalate, input=amount))
        return "paid"

    backend = create_test_backend(port=50_651)
    try:
        with worker.TaskHubGrpcWorker(host_address="localhost:50651") as runs:
            for function in (ask, escalate):
                runs.add_activity(function)
            runs.add_orchestrator(expense)
            runs.start()
            asks = client.TaskHubGrpcClient(host_address="localhost:50651")
            job = asks.schedule_new_orchestration(expense, input=80)
            state = asks.wait_for_orchestration_completion(job, timeout=30)
            output = state.serialized_output if state is not None else None
            assert output == '"escalated: nobody decided about 80"'
    finally:
        backend.stop()


def _tests() -> str:
    """The seconds and the last line of pytest."""
    folders = ["tests/unit", "tests/integration/testing", "tests/examples", "tests/integration/app/test_properties.py"]
    begun = time.perf_counter()
    command = [sys.executable, "-m", "pytest", "-q", *folders]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ})
    last = done.stdout.strip().splitlines()[-1:]
    return f"{time.perf_counter() - begun:.1f} s ({''.join(last)})"


def _shown(seconds: float) -> str:
    return f"{seconds * 1000:8.1f}ms"


if __name__ == "__main__":
    main()
