"""What a live host logged and answered when it loaded small apps, held against devhost (golden/01-indexing.json)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from azure.functions.meta import Datum

import devhost.host as host_module
from devhost.functions import Function
from devhost.host import MEMORY, Host
from devhost.logs import LogLine

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "01-indexing.json"
HEAD = """
import azure.functions as func, azure.durable_functions as df
app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
"""
STORAGE = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=a2V5;QueueEndpoint=http://127.0.0.1:9/a"


@dataclass(frozen=True)
class App:
    """The app that a shorthand case means."""

    lines: str
    environment: dict[str, str] = field(default_factory=dict)


def _routes(*names: str) -> str:
    return "\n".join(f"@app.route(route='{name}')\ndef {name}(req): return '{name}'" for name in names)


WRITTEN_OUT = {
    "functions are ordered by name": App(
        _routes(
            *("plain", "getonly", "getput", "introute", "optroute", "defroute", "restroute", "prec1", "prec2"),
            *("verbget", "verbpost", "same_a", "same_b", "ret", "multicookie", "notype", "getjson", "files"),
            *("ctxf", "logs", "adm", "fun", "dis", "dis2", "route_set", "sync_client", "pool"),
        )
    ),
    "route conflict": App(
        "@app.route(route='same')\ndef same_a(req): return 'a'\n@app.route(route='same')\ndef same_b(req): return 'b'"
    ),
    "only listed functions run": App(
        _routes("ok", "two") + "\n@app.route(route='zero')\ndef azero(req): return 'zero'",
        {"AzureFunctionsJobHost__functions__0": "two"},
    ),
    "durable_client_input on a sync function": App(
        "@app.route(route='syncclient')\n@app.durable_client_input(client_name='client')\n"
        "def sync_client(req, client):\n    print('ran')\n    return 'done'"
    ),
    "raw bindings as the host shows them": App(
        """
@app.queue_trigger(arg_name="msg", queue_name="q-start", connection="AzureWebJobsStorage")
@app.durable_client_input(client_name="client")
async def q_start(msg: func.QueueMessage, client): pass
@app.route(route="out/{kind}")
@app.queue_output(arg_name="out", queue_name="q-out", connection="AzureWebJobsStorage")
def out(req: func.HttpRequest, out: func.Out[str]): return "x"
@app.queue_trigger(arg_name="msg", queue_name="q-bytes", connection="AzureWebJobsStorage",
                   data_type=func.DataType.BINARY)
def q_bytes(msg: bytes): pass
@app.timer_trigger(arg_name="t", schedule="*/10 * * * * *", run_on_startup=True)
def tick(t): pass
@app.orchestration_trigger(context_name="context")
def orc(context): return 1
@app.event_grid_trigger(arg_name="event")
def eg(event: func.EventGridEvent): pass
"""
    ),
    "order, overlap of verbs, built-in routes, un-annotated OUT": App(
        """
@app.route(route="Zeta/{Id}")
def Zeta(req): return "z"
@app.route()
def Beta(req): return "b"
@app.route()
def alpha(req): return "a"
@app.route(route="cc")
@app.queue_output(arg_name="out", queue_name="outq", connection="AzureWebJobsStorage")
def cc(req: func.HttpRequest, out):
    out.set("v")
    return "Out"
@app.function_name(name="1bad")
@app.route(route="badname")
def bad(req): return "x"
@app.route(route="runtime/x")
def rt(req): return "x"
@app.route(route="sysp")
def sysp(req): return "x"
@app.route(route="overlap", methods=["GET", "POST"])
def ov1(req): return "ov1"
@app.route(route="OVERLAP", methods=["POST", "PUT"])
def ov2(req): return "ov2"
"""
    ),
    "worker exits": App(
        """
import sys
@app.route(route="ok")
def ok(req): return "ok"
@app.route(route="exit")
def ex(req): sys.exit(3)
@app.route(route="base")
def base(req): raise KeyboardInterrupt()
"""
    ),
}
# What is not compared over HTTP or in the log, and why: (title, path of the request or line of the log).
NOT_COMPARED = {
    ("malformed route template", "/admin/host/status"): "the error is in devhost's words; the state is compared",
    ("worker exits", "/api/osexit"): "os._exit ends the process, and devhost runs functions in its own",
    (
        "worker exits",
        "Exceeded language worker restart retry count for runtime:python. Shutting down and proactively "
        "recycling the Functions Host to recover",
    ): "there is no worker process: an exit fails the run only, however often it happens",
}


def _cases() -> Iterator[Any]:
    for case in json.loads(GOLDEN.read_text(encoding="utf-8"))["cases"]:
        yield pytest.param(case, id=case["title"])


def _app_of(case: dict[str, Any]) -> App:
    written_out = WRITTEN_OUT.get(case["title"])
    if written_out is None:
        return App(case["app"])
    return App(HEAD + written_out.lines, written_out.environment)


@dataclass
class Loaded:
    """A host with one case's app, what it logged and the messages that it would have queued."""

    host: Host
    log: list[str]
    queued: list[tuple[str, str]]


@asynccontextmanager
async def _loaded(case: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Loaded]:
    app = _app_of(case)
    (folder / "function_app.py").write_text(app.lines, encoding="utf-8")
    (folder / "host.json").write_text('{"version": "2.0"}', encoding="utf-8")
    lines: list[str] = []
    queued: list[tuple[str, str]] = []

    def sink(line: LogLine) -> None:
        lines.extend(line.text.split("\n"))

    async def send(settings: object, function: Function, binding: dict[str, Any], datum: Datum, **more: object) -> None:
        queued.append((binding["queueName"], datum.value))

    monkeypatch.setattr(host_module, "send_to_queue", send)
    # No storage listens in these tests, and none is needed.
    monkeypatch.setattr(host_module, "QueueListeners", _NoListeners)
    async with Host(
        folder,
        port=0,
        state=MEMORY,
        enable_auth=True,
        environment={"AzureWebJobsStorage": STORAGE, **app.environment},
        grace=timedelta(0),
        sink=sink,
        verbose=True,
        capture_print=True,
    ) as host:
        yield Loaded(host, lines, queued)


class _NoListeners:
    def __init__(self, *parts: object, **more: object) -> None:
        pass

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass


@pytest.mark.parametrize("case", list(_cases()))
async def test_an_app_is_indexed_as_on_the_live_host(
    case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        _loaded(case, tmp_path, monkeypatch) as loaded,
        aiohttp.ClientSession(loaded.host.url) as client,
    ):
        for exchange in case["exchange"]:
            if "function" in exchange:
                _compare_bindings(loaded.host, exchange)
            elif (case["title"], exchange["request"]["path"]) in NOT_COMPARED:
                _compare_index(loaded.host, exchange)
            else:
                await _compare_answer(client, loaded.host, exchange)
    for line in case.get("log", []):
        if (case["title"], line) not in NOT_COMPARED:
            wanted = line.removeprefix("---> System.InvalidOperationException: ")
            assert any(wanted in each for each in loaded.log), "\n".join(loaded.log)
    if "cc stored one message" in case["note"]:
        assert loaded.queued == [("outq", "v")]


def _compare_index(host: Host, exchange: dict[str, Any]) -> None:
    path, wanted = exchange["request"]["path"], exchange["response"]
    if "names" in wanted:
        assert [each.name for each in host.index.functions if each.listed] == wanted["names"]
    elif path == "/admin/host/status":
        assert host.state == wanted["body"]["state"]
        assert host.error is not None
        assert "'bad'" in host.error
    elif path.endswith("/status"):
        function = host.index.function(path.split("/")[3])
        assert (function is None) == (wanted["status"] == 404)
        assert function is None or function.errors == wanted["body"].get("errors", [])


def _compare_bindings(host: Host, exchange: dict[str, Any]) -> None:
    function = host.index.function(exchange["function"])
    assert function is not None
    assert function.bindings == exchange["bindings"]
    assert [list(each) for each in function.bindings] == [list(each) for each in exchange["bindings"]]


async def _compare_answer(client: aiohttp.ClientSession, host: Host, exchange: dict[str, Any]) -> None:
    asked, wanted = exchange["request"], exchange["response"]
    # Cases written down by hand leave out the key where it is understood.
    headers = {"x-functions-key": host.keys.master} if asked["path"].startswith("/admin") else {}
    async with client.request(asked["method"], asked["path"], headers=headers) as answer:
        text = await answer.text()
        assert answer.status == wanted["status"], asked
        if "names" in wanted:
            assert [each["name"] for each in json.loads(text)] == wanted["names"]
        if template := wanted.get("invoke_url_template of Zeta"):
            shown = next(each["invoke_url_template"] for each in json.loads(text) if each["name"] == "Zeta")
            assert shown == template.replace("<base-https>", host.url.replace("http:", "https:"))
        if isinstance(body := wanted.get("body"), dict):
            assert json.loads(text).items() >= body.items()
        elif body is not None:
            assert text == body


def test_each_exception_from_the_comparison_names_something_recorded() -> None:
    recorded = {
        (case["title"], each)
        for case in json.loads(GOLDEN.read_text(encoding="utf-8"))["cases"]
        for each in [*case.get("log", []), *(e["request"]["path"] for e in case["exchange"] if "request" in e)]
    }
    assert set(NOT_COMPARED) <= recorded
    assert set(WRITTEN_OUT) <= {title for title, _ in recorded} | {"raw bindings as the host shows them"}
