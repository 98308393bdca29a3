"""The life of a host in this process: start, state Error, stop with work under way, restart."""

from __future__ import annotations

import asyncio
import os
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from devhost.host import MEMORY, Host
from devhost.logs import LogLine
from devhost.testing.clock import VirtualClock, settle

APP = """
import asyncio, os
import azure.functions as func
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

@app.route()
def hello(req: func.HttpRequest) -> str:
    return "hello"

@app.route()
def where(req: func.HttpRequest) -> str:
    return os.environ["WEBSITE_HOSTNAME"] + " " + os.environ["FROM_FILE"]

@app.route()
async def endless(req: func.HttpRequest) -> str:
    await asyncio.Event().wait()
    return "never"
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "function_app.py").write_text(APP, encoding="utf-8")
    (tmp_path / "host.json").write_text('{"version": "2.0"}', encoding="utf-8")
    local = '{"IsEncrypted": false, "Values": {"FROM_FILE": "file"}}'
    (tmp_path / "local.settings.json").write_text(local, encoding="utf-8")
    return tmp_path


def make(app: Path, **more: Any) -> tuple[Host, list[str]]:
    lines: list[str] = []

    def sink(line: LogLine) -> None:
        lines.append(line.text)

    return Host(app, port=more.pop("port", 0), state=MEMORY, sink=sink, **more), lines


async def get(host: Host, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession(host.url) as client, client.get(path) as response:
        return response.status, await response.text()


async def test_the_environment_is_the_apps_while_it_runs(app: Path) -> None:
    before = dict(os.environ)
    host, _ = make(app)
    async with host:
        assert host.state == "Running"
        assert await get(host, "/api/where") == (200, f"localhost:{host.port} file")
    assert host.state == "Stopped"
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"version": "2.0"', "host.json is not valid JSON"),
        ('{"version": "3.0"}', "'3.0' is an invalid value for host.json 'version' property."),
        ('{"version": "2.0", "functionTimeout": "soon"}', "functionTimeout must be a time span"),
        ('{"version": "2.0", "logging": {"logLevel": {"default": "Loud"}}}', "'Loud' is not a log level"),
    ],
)
async def test_a_host_json_that_cannot_be_used_leads_to_state_error(app: Path, text: str, error: str) -> None:
    (app / "host.json").write_text(text, encoding="utf-8")
    host, _ = make(app)
    async with host:
        assert host.state == "Error"
        assert error in (host.error or "")
        assert await get(host, "/api/hello") == (503, "Function host is not running.")
        assert (await get(host, "/admin/host/ping"))[0] == 200


async def test_a_busy_port_leaves_nothing_running(app: Path) -> None:
    before = dict(os.environ)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        host, _ = make(app, port=other.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            await host.start()
    assert host.state == "Stopped"
    assert dict(os.environ) == before


async def test_a_stop_waits_for_the_grace_then_cancels(app: Path) -> None:
    clock = VirtualClock()
    host, lines = make(app, clock=clock, grace=timedelta(seconds=10))
    await host.start()
    request = asyncio.create_task(get(host, "/api/endless"))
    while host.invoker.running() != ["endless"]:
        await settle()
    stop = asyncio.create_task(host.stop())
    await clock.sleepers()
    await clock.advance(timedelta(seconds=9))
    assert not stop.done()
    await clock.advance(timedelta(seconds=1))
    await stop
    with pytest.raises(aiohttp.ClientError):
        await request
    assert "Stopping; up to 10 s are left to: endless." in lines


async def test_a_restart_reads_the_app_again(app: Path) -> None:
    host, _ = make(app)
    async with host:
        port = host.port
        (app / "function_app.py").write_text(APP.replace('"hello"', '"changed"'), encoding="utf-8")
        await host.restart()
        assert host.port == port
        assert await get(host, "/api/hello") == (200, "changed")


async def test_two_hosts_run_side_by_side(app: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "function_app.py").write_text(APP.replace('"hello"', '"other"'), encoding="utf-8")
    (other / "host.json").write_text('{"version": "2.0"}', encoding="utf-8")
    (one, _), (two, _) = make(app), make(other)
    async with one, two:
        assert (await get(one, "/api/hello"))[1] == "hello"
        assert (await get(two, "/api/hello"))[1] == "other"
