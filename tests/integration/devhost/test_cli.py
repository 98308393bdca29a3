"""`python -m devhost start` as a process of its own: what it prints, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

ROOT = Path(__file__).parents[3]
PATIENCE = 30.0  # seconds for a machine that is busy with other things
APP = """
import time
import azure.functions as func
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
print("imported")

@app.route(methods=["GET", "POST"])
def hello(req: func.HttpRequest) -> str:
    return "%s"

@app.route(route="any/{x?}")
def anything(req: func.HttpRequest) -> str:
    return "x"

@app.route()
def off(req: func.HttpRequest) -> str:
    return "x"

@app.timer_trigger(arg_name="timer", schedule="0 0 5 1 1 *")
def tick(timer: func.TimerRequest) -> None:
    pass
"""


class Process:
    """A running `devhost start`, with what it has printed so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.printed = ""

    async def until(self, text: str) -> None:
        """Read on until `text` has been printed."""
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            while text not in self.printed:
                piece = await self._process.stdout.read(4096)
                assert piece, f"ended before {text!r}:\n{self.printed}"
                self.printed += piece.decode()

    async def ended(self) -> int:
        """Its exit code."""
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            self.printed += (await self._process.stdout.read()).decode()
            return await self._process.wait()

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()


@asynccontextmanager
async def devhost(*arguments: str, **environment: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "devhost", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
    )
    running = Process(process)
    try:
        yield running
    finally:
        running.kill()
        await process.communicate()


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "function_app.py").write_text(APP % "one", encoding="utf-8")
    (tmp_path / "host.json").write_text('{"version": "2.0"}', encoding="utf-8")
    return tmp_path


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


async def answer(port: int) -> str:
    async with aiohttp.ClientSession() as client, client.get(f"http://localhost:{port}/api/hello") as response:
        return await response.text()


async def test_it_lists_the_functions_serves_them_and_ends_with_ctrl_c(app: Path, port: int) -> None:
    arguments = ("start", "--app", str(app), "--port", str(port), "--no-build")
    async with devhost(*arguments, **{"AzureWebJobs.off.Disabled": "true"}) as process:
        await process.until("Host lock lease acquired by instance ID '")
        assert await answer(port) == "one"
        process.interrupt()
        assert await process.ended() == 0
    base = f"http://localhost:{port}/api"
    assert "] imported\n" in process.printed
    assert (
        "Functions:\n\n"
        f"\tanything:  {base}/any/{{x?}}\n\n"
        f"\thello: [GET,POST] {base}/hello\n\n"
        "\ttick: timerTrigger\n\n"
        "Function off is disabled.\n"
    ) in process.printed
    assert "Executed 'Functions.hello' (Succeeded, Id=" in process.printed
    assert (app / ".devhost").is_dir()


async def test_a_busy_port_is_told(app: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        async with devhost("start", "--app", str(app), "-p", str(port)) as process:
            assert await process.ended() == 1
    assert process.printed == (
        f"Port {port} is unavailable. Close the process using that port, or specify another port using --port [-p].\n"
    )


async def test_an_app_that_does_not_load_is_told_with_its_traceback(app: Path, port: int) -> None:
    (app / "function_app.py").write_text("import no_such_module", encoding="utf-8")
    async with devhost("start", "--app", str(app), "-p", str(port), "--state", ":memory:") as process:
        assert await process.ended() == 1
    assert "No job functions found." in process.printed
    assert f'File "{app / "function_app.py"}", line 1' in process.printed
    assert "ModuleNotFoundError: No module named 'no_such_module'" in process.printed


@pytest.mark.parametrize(
    ("change", "arguments", "text"),
    [
        (("host.json", None), [], "Unable to find project root."),
        (("local.settings.json", '{"Values": {}}'), [], 'Set "IsEncrypted": false'),
        (None, ["--useHttps"], "--useHttps is not supported: devhost serves plain HTTP"),
        (None, ["-p", "70000"], "is not a port"),
        (None, ["--user-log-level", "loud"], "is not a log level"),
    ],
)
async def test_what_the_user_has_to_change_is_said_in_one_line(
    app: Path, change: tuple[str, str | None] | None, arguments: list[str], text: str
) -> None:
    if change is not None:
        name, content = change
        if content is None:
            (app / name).unlink()
        else:
            (app / name).write_text(content, encoding="utf-8")
    async with devhost("start", "--app", str(app), *arguments) as process:
        assert await process.ended() in (1, 2)
    assert text in process.printed
    assert "Traceback" not in process.printed


async def test_reload_starts_again_when_a_file_changes(app: Path, port: int) -> None:
    async with devhost("start", "--app", str(app), "-p", str(port), "--state", ":memory:", "--reload") as process:
        await process.until("Host lock lease acquired")
        assert await answer(port) == "one"
        changed = app / "function_app.py"
        changed.write_text(APP % "second", encoding="utf-8")
        await process.until("A file of the app has changed: starting again.")
        process.printed = ""
        await process.until("Host lock lease acquired")
        assert await answer(port) == "second"
        process.interrupt()
        assert await process.ended() == 0
