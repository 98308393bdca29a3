"""Where the live host hangs or fails in silence, devhost says so; the strict mode ends what hangs."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from devhost.host import Host
from devhost.logs import LogLine

APP = """
import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.orchestration_trigger(context_name="context")
def lost(context):
    yield context.call_activity("nosuch", 1)


@app.orchestration_trigger(context_name="context")
def deaf(context):
    return (yield context.wait_for_external_event("Go"))


@app.orchestration_trigger(context_name="context")
def parent(context):
    yield context.call_sub_orchestrator("deaf", None, "one")


RUNS = []


@app.orchestration_trigger(context_name="context")
def fickle(context):
    RUNS.append(1)
    yield context.call_activity("echo" if len(RUNS) == 1 else "shout", 1)


@app.activity_trigger(input_name="x")
def echo(x):
    return x


@app.activity_trigger(input_name="x")
def shout(x):
    return x
"""


@pytest.fixture
def app_dir(tmp_path: Path) -> Path:
    (tmp_path / "function_app.py").write_text(APP, "utf-8")
    (tmp_path / "host.json").write_text('{"version": "2.0"}', "utf-8")
    return tmp_path


Answer = tuple[int, dict[str, object]]


async def start(host: Host, session: aiohttp.ClientSession, name: str, *, seconds: float = 0.5) -> Answer:
    url = f"{host.url}/runtime/webhooks/durabletask/orchestrators/{name}/one?timeout={seconds}&pollingInterval=0.02"
    async with session.post(url) as response:
        return response.status, await response.json()


async def test_an_unknown_activity_is_told_in_the_log_and_the_instance_stays_running(app_dir: Path) -> None:
    lines: list[LogLine] = []
    async with Host(app_dir, port=0, state=":memory:", sink=lines.append) as host, aiohttp.ClientSession() as session:
        code, _ = await start(host, session, "lost")
        assert code == 202
    said = [line.text for line in lines if "waits for ever" in line.text]
    assert said == ["Instance 'one' (lost) waits for ever: activity 'nosuch' does not exist."]


async def test_in_strict_mode_the_instance_fails_with_the_reason(app_dir: Path) -> None:
    async with Host(app_dir, port=0, state=":memory:", strict=True) as host, aiohttp.ClientSession() as session:
        code, status = await start(host, session, "lost", seconds=10)
    assert (code, status["runtimeStatus"]) == (200, "Failed")
    assert status["output"] == (
        "Orchestrator function 'lost' failed: it would wait for ever: activity 'nosuch' does not exist"
    )


async def test_an_event_in_the_wrong_case_is_told_in_the_log(app_dir: Path) -> None:
    lines: list[LogLine] = []
    async with Host(app_dir, port=0, state=":memory:", sink=lines.append) as host, aiohttp.ClientSession() as session:
        base = f"{host.url}/runtime/webhooks/durabletask"
        code, _ = await start(host, session, "deaf", seconds=0.1)
        assert code == 202
        for name in ("go", "Go"):
            async with session.post(f"{base}/instances/one/raiseEvent/{name}", json=1) as response:
                assert response.status == 202
        code, status = await ended(session, f"{base}/instances/one")
        assert (code, status["output"]) == (200, 1)
    said = [line.text for line in lines if "will not see" in line.text]
    assert said == [
        "Instance 'one' (deaf) will not see an event, for Python minds the case of its name: "
        "event 'go' was raised, but the orchestrator waits for 'Go'."
    ]


async def ended(session: aiohttp.ClientSession, url: str) -> Answer:
    while True:
        async with session.get(url) as response:
            if response.status != 202:
                return response.status, await response.json()


async def test_a_nondeterministic_orchestrator_fails_with_what_was_expected_what_came_and_usual_causes(
    app_dir: Path,
) -> None:
    lines: list[LogLine] = []
    async with Host(app_dir, port=0, state=":memory:", sink=lines.append) as host, aiohttp.ClientSession() as session:
        code, status = await start(host, session, "fickle", seconds=10)
    assert (code, status["runtimeStatus"]) == (200, "Failed")
    assert str(status["output"]).startswith("Non-Deterministic workflow detected:")
    (said,) = [line.text for line in lines if "Usual causes" in line.text]
    assert "at event id 0 the history holds an activity task 'echo'" in said
    assert "in the replay an activity task 'shout' came" in said


async def test_a_child_that_replaces_a_running_instance_is_told_in_the_log(app_dir: Path) -> None:
    lines: list[LogLine] = []
    async with Host(app_dir, port=0, state=":memory:", sink=lines.append) as host, aiohttp.ClientSession() as session:
        await start(host, session, "deaf", seconds=0.1)
        await host.hub.client.start("parent", "two", None)
        base = f"{host.url}/runtime/webhooks/durabletask"
        while not any("is replaced" in line.text for line in lines):
            async with session.get(f"{base}/instances/two") as response:
                assert response.status == 202
    (said,) = [line.text for line in lines if "is replaced" in line.text]
    assert said.startswith("Instance 'one' (deaf) was Running: it is replaced")
