"""One run of a function: what it is given, what is made of its result, and how it may fail."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.functions.meta import Datum

from devhost.functions import AppIndex, Function, index_app
from devhost.invoke import FunctionFailed, Invoker
from devhost.logs import HostLog, LogLine, RecordHandler
from devhost.settings import HostSettings
from devhost.testing.clock import VirtualClock, settle

# The SDK says once a process that activities should name the type of their input.
pytestmark = pytest.mark.filterwarnings("ignore:azure.functions df_loads was called:DeprecationWarning")

HEAD = """
import asyncio, logging, sys, threading
import azure.functions as func, azure.durable_functions as df
app = df.DFApp()
"""
REQUEST = Datum(
    {
        "method": Datum("GET", "string"),
        "url": Datum("http://localhost/api/f", "string"),
        "headers": {},
        "query": {},
        "params": {},
        "body": Datum(b"", "bytes"),
    },
    "http",
)


class Bench:
    """An indexed app, an invoker for it, and what comes of its runs."""

    def __init__(self, folder: Path, lines: str, **settings: str) -> None:
        (folder / "function_app.py").write_text(HEAD + lines, encoding="utf-8")
        (folder / "host.json").write_text('{"version": "2.0"}', encoding="utf-8")
        environment = {"AzureWebJobsStorage": "UseDevelopmentStorage=true", **settings}
        self.settings = HostSettings(folder, environment=environment)
        self.index: AppIndex = index_app(self.settings)
        assert self.index.error is None, self.index.error
        self.clock = VirtualClock()
        self.lines: list[LogLine] = []
        self.log = HostLog(self.clock, sink=self.lines.append)
        self.sent: list[tuple[str, Any, str | None]] = []
        self.invoker = Invoker(self.settings, self.clock, self._client, self._send, self.log)
        self._records = RecordHandler(self.log)
        self._records.install()

    @staticmethod
    def _client(binding: dict[str, Any]) -> str:
        # What the SDK's client asks for when it is made.
        return json.dumps({"taskHubName": binding.get("taskHub", "Hub"), "creationUrls": {}, "managementUrls": {}})

    async def _send(self, function: Function, binding: dict[str, Any], datum: Datum) -> None:
        self.sent.append((binding["queueName"], datum.value, datum.type))

    @property
    def function(self) -> Function:
        (function,) = self.index.functions
        return function

    async def run(self, trigger: Datum = REQUEST, **more: Any) -> Datum | None:
        return await self.invoker.invoke(self.function, trigger, reason="test", **more)

    def texts(self) -> list[str]:
        return [line.text for line in self.lines]

    def close(self) -> None:
        self._records.uninstall()
        self.invoker.close()
        self.index.unload()


Make = Callable[..., Bench]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    benches: list[Bench] = []

    def make_bench(lines: str, **settings: str) -> Bench:
        benches.append(Bench(tmp_path, lines, **settings))
        return benches[-1]

    yield make_bench
    for bench in benches:
        bench.close()


async def failure(run: Awaitable[Any]) -> FunctionFailed:
    with pytest.raises(FunctionFailed) as caught:
        await run
    return caught.value


def text(value: str) -> Datum:
    return Datum(value, "string")


class TestInputs:
    async def test_sync_functions_run_on_threads_async_ones_on_the_loop(self, make: Make) -> None:
        bench = make(
            "@app.route()\ndef f(req): return threading.current_thread().name\n"
            "@app.route()\nasync def g(req): return threading.current_thread().name"
        )
        names = [
            (await bench.invoker.invoke(each, REQUEST, reason="")).value  # type: ignore[union-attr]
            for each in bench.index.functions
        ]
        assert names[0].startswith("ThreadPoolExecutor-")
        assert names[1] == threading.current_thread().name

    async def test_the_size_of_the_pool_is_a_setting(self, make: Make) -> None:
        lines = "@app.route()\ndef f(req): return threading.current_thread().name"
        bench = make(lines, PYTHON_THREADPOOL_THREAD_COUNT="1")
        results = await asyncio.gather(*(bench.run() for _ in range(5)))
        assert len({result.value for result in results if result is not None}) == 1

    async def test_queue_messages_carry_their_metadata(self, make: Make) -> None:
        bench = make(
            "seen = []\n@app.queue_trigger(arg_name='msg', queue_name='q-1', connection='')\n"
            "def f(msg: func.QueueMessage): seen.append((msg.id, msg.dequeue_count, msg.get_body()))"
        )
        metadata = {"Id": Datum('"7"', "json"), "DequeueCount": Datum("2", "json")}
        assert await bench.run(text("body"), metadata=metadata) is None
        assert bench.function.call.__globals__["seen"] == [("7", 2, b"body")]

    @pytest.mark.parametrize("annotation", ["str", "bytes"])
    async def test_str_and_bytes_choose_the_generic_converter(self, make: Make, annotation: str) -> None:
        bench = make(
            "seen = []\n@app.queue_trigger(arg_name='msg', queue_name='q-1', connection='')\n"
            f"def f(msg: {annotation}): seen.append(msg)"
        )
        await bench.run(text("body"))
        assert bench.function.call.__globals__["seen"] == ["body"]

    async def test_a_str_request_fails_as_in_azure(self, make: Make) -> None:
        error = await failure(make("@app.route()\ndef f(req: str): return 'x'").run())
        assert error.message == ("ValueError: unexpected type of data received for the \"generic\" binding : 'http'")

    async def test_activities_get_decoded_json(self, make: Make) -> None:
        bench = make("@app.activity_trigger(input_name='x')\ndef f(x): return [x, None]")
        result = await bench.run(text('{"a": "ї"}'))
        assert result is not None
        assert (json.loads(result.value), result.type) == ([{"a": "ї"}, None], "json")

    async def test_the_durable_client_is_made_from_the_hubs_text(self, make: Make) -> None:
        bench = make(
            "@app.route()\n@app.durable_client_input(client_name='client', task_hub='Other')\n"
            "async def f(req, client): return client._orchestration_bindings.task_hub_name"
        )
        result = await bench.run()
        assert result is not None
        assert result.value == "Other"

    async def test_the_context_names_the_invocation(self, make: Make) -> None:
        bench = make(
            "@app.route()\ndef f(req, context: func.Context):\n"
            "    t, r = context.trace_context, context.retry_context\n"
            "    return repr([context.function_name, context.invocation_id, t.Traceparent, t.attributes,\n"
            "        r.retry_count, hasattr(r, 'exception'), context.thread_local_storage.invocation_id])"
        )
        result = await bench.run(invocation_id="id-1")
        assert result is not None
        assert result.value == "['f', 'id-1', '', {}, 0, False, 'id-1']"


class TestOutputs:
    @pytest.mark.parametrize(
        ("annotation", "value", "sent"),
        [
            ("func.Out[str]", "'x'", ("x", "string")),
            ("func.Out[str]", "['a', 'b']", ('["a", "b"]', "json")),
            ("func.Out[str]", "{'a': 1}", ('{"a": 1}', "json")),
            ("func.Out[str]", "5", (5, "int")),
            ("func.Out[str]", "b'x'", (b"x", "bytes")),
            ("func.Out[func.QueueMessage]", "func.QueueMessage(body='b')", ('{"id": null, "body": "b"}', "json")),
            ("func.Out[func.QueueMessage]", "('a', 'b')", ('["a", "b"]', "json")),
        ],
    )  # fmt: skip
    async def test_what_is_set_is_sent_after_success(
        self, make: Make, annotation: str, value: str, sent: tuple[Any, str]
    ) -> None:
        bench = make(
            "@app.route()\n@app.queue_output(arg_name='out', queue_name='q-1', connection='')\n"
            f"def f(req, out: {annotation}):\n    out.set({value})\n    return 'ok'"
        )
        await bench.run()
        assert bench.sent == [("q-1", *sent)]

    async def test_nothing_is_sent_when_the_function_fails_or_sets_nothing(self, make: Make) -> None:
        bench = make(
            "@app.route(route='{x}')\n@app.queue_output(arg_name='out', queue_name='q-1', connection='')\n"
            "def f(req, out: func.Out[str]):\n    out.set('x')\n    raise ValueError('no')"
        )
        await failure(bench.run())
        assert bench.sent == []

    async def test_a_value_that_no_output_takes_fails_the_run(self, make: Make) -> None:
        bench = make(
            "@app.route()\n@app.queue_output(arg_name='out', queue_name='q-1', connection='')\n"
            "def f(req, out: func.Out[str]):\n    out.set(('a',))\n    return 'ok'"
        )
        error = await failure(bench.run())
        assert error.message.startswith("TypeError: unable to encode outgoing TypedData: unsupported type")
        assert error.message.endswith('for Python type "tuple"')

    async def test_a_queue_as_return_value_is_sent(self, make: Make) -> None:
        bench = make(
            "@app.queue_trigger(arg_name='m', queue_name='q-1', connection='')\n"
            "@app.queue_output(arg_name='$return', queue_name='q-2', connection='')\ndef f(m): return 'r'"
        )
        assert await bench.run(text("x"), metadata={}) is None
        assert bench.sent == [("q-2", "r", "string")]

    @pytest.mark.parametrize("value", ["None", "{'a': 1}", "5"])
    async def test_http_functions_return_text_or_a_response(self, make: Make, value: str) -> None:
        error = await failure(make(f"@app.route()\ndef f(req): return {value}").run())
        assert error.type_name == "TypeError"

    async def test_a_result_nobody_takes_fails_the_run(self, make: Make) -> None:
        bench = make("@app.queue_trigger(arg_name='m', queue_name='q-1', connection='')\ndef f(m): return 1")
        error = await failure(bench.run(text("x"), metadata={}))
        assert error.message == ("RuntimeError: function 'f' without a $return bindingreturned a non-None value")


class TestFailures:
    async def test_the_stack_begins_in_the_app(self, make: Make) -> None:
        bench = make("@app.route()\ndef f(req):\n    raise KeyError('kk')")
        error = await failure(bench.run())
        assert error.message == "KeyError: 'kk'"
        assert error.stack.startswith(f'  File "{bench.settings.app_dir / "function_app.py"}", line')
        assert error.stack.count("File ") == 1
        executed, result = bench.texts()[-2:]
        assert executed.startswith("Executed 'Functions.f' (Failed, Id=")
        assert result.startswith("Result: Failure\nException: KeyError: 'kk'\nStack:   File ")

    @pytest.mark.parametrize("prefix", ["", "async "])
    @pytest.mark.parametrize("line", ["sys.exit(3)", "raise KeyboardInterrupt()", "raise asyncio.CancelledError()"])
    async def test_exits_fail_the_run_and_nothing_else(self, make: Make, prefix: str, line: str) -> None:
        bench = make(f"@app.route()\n{prefix}def f(req): {line}")
        error = await failure(bench.run())
        assert error.type_name in ("SystemExit", "KeyboardInterrupt", "CancelledError")
        assert bench.invoker.running() == []

    async def test_a_failing_output_fails_the_run(self, make: Make) -> None:
        bench = make(
            "@app.route()\n@app.queue_output(arg_name='out', queue_name='q-1', connection='')\n"
            "def f(req, out: func.Out[str]):\n    out.set('x')\n    return 'ok'"
        )

        async def refuse(function: Function, binding: dict[str, Any], datum: Datum) -> None:
            raise OSError("no storage")

        bench.invoker._send_output = refuse
        assert (await failure(bench.run())).message == "OSError: no storage"


class TestTimeout:
    async def test_an_async_function_is_cancelled(self, make: Make) -> None:
        bench = make(
            "ended = []\n@app.route()\nasync def f(req):\n    try:\n        await asyncio.Event().wait()\n"
            "    finally:\n        ended.append(1)",
            AzureFunctionsJobHost__functionTimeout="00:00:03",
        )
        run = asyncio.create_task(bench.run(invocation_id="id-1"))
        await bench.clock.sleepers()
        await bench.clock.advance(timedelta(seconds=3))
        error = await failure(run)
        assert error.type_name == "FunctionTimeoutException"
        assert bench.function.call.__globals__["ended"] == [1]
        assert (
            "Timeout value of 00:00:03 exceeded by function 'Functions.f' (Id: 'id-1'). Initiating cancellation."
            in bench.texts()
        )

    async def test_a_thread_goes_on_and_that_is_said(self, make: Make) -> None:
        bench = make(
            "go = threading.Event()\n@app.route()\ndef f(req): go.wait()",
            AzureFunctionsJobHost__functionTimeout="00:00:03",
        )
        run = asyncio.create_task(bench.run())
        await bench.clock.sleepers()
        while not bench.invoker.on_threads():
            await settle()
        await bench.clock.advance(timedelta(seconds=3))
        assert (await failure(run)).type_name == "FunctionTimeoutException"
        assert any("can't be stopped on its thread" in line for line in bench.texts())
        assert bench.invoker.on_threads() == ["f"]
        bench.function.call.__globals__["go"].set()

    async def test_each_run_has_its_own_time(self, make: Make) -> None:
        bench = make(
            "gates = []\n@app.route()\nasync def f(req):\n    gates.append(asyncio.Event())\n"
            "    await gates[-1].wait()\n    return 'done'",
            AzureFunctionsJobHost__functionTimeout="00:00:10",
        )
        first = asyncio.create_task(bench.run())
        await bench.clock.sleepers()
        await bench.clock.advance(timedelta(seconds=6))
        second = asyncio.create_task(bench.run())
        await settle()
        await bench.clock.advance(timedelta(seconds=5))
        assert (await failure(first)).type_name == "FunctionTimeoutException"
        bench.function.call.__globals__["gates"][1].set()
        result = await second
        assert result is not None
        assert result.value == "done"

    async def test_a_run_in_time_leaves_nothing_behind(self, make: Make) -> None:
        bench = make("@app.route()\ndef f(req): return 'x'", AzureFunctionsJobHost__functionTimeout="00:00:03")
        assert await bench.run() is not None
        await bench.clock.advance(timedelta(seconds=10))
        assert bench.clock.deadlines == []


class TestStop:
    async def test_cancelling_reaches_the_caller(self, make: Make) -> None:
        bench = make("@app.route()\nasync def f(req): await asyncio.Event().wait()")
        run = asyncio.create_task(bench.run())
        await settle()
        assert bench.invoker.running() == ["f"]
        bench.invoker.cancel_all()
        with pytest.raises(asyncio.CancelledError):
            await run
        await bench.invoker.drained()

    async def test_drained_waits_for_the_last_run(self, make: Make) -> None:
        bench = make("go = asyncio.Event()\n@app.route()\nasync def f(req):\n    await go.wait()\n    return 'x'")
        run = asyncio.create_task(bench.run())
        await settle()
        drained = asyncio.create_task(bench.invoker.drained())
        await settle()
        assert not drained.done()
        bench.function.call.__globals__["go"].set()
        await drained
        await run


class TestLog:
    async def test_records_belong_to_the_run_that_makes_them(self, make: Make) -> None:
        bench = make(
            "@app.route(route='{n}')\ndef f(req):\n    logging.info('said %s', 1)\n"
            "    logging.getLogger('azure.functions.x').warning('hidden')\n"
            "    logging.getLogger('azure.core').warning('shown')\n    logging.debug('too low')\n    return 'x'"
        )
        await bench.run(details="Key: value")
        assert [(line.category, line.text) for line in bench.lines[2:-1]] == [
            ("Function.f.User", "said 1"),
            ("Function.f.User", "shown"),
        ]
        assert bench.lines[0].text.startswith("Executing 'Functions.f' (Reason='test', Id=")
        assert bench.lines[1].text == "Trigger Details: Key: value"
        assert bench.lines[-1].text.startswith("Executed 'Functions.f' (Succeeded, Id=")
        assert bench.lines[-1].text.endswith(", Duration=0ms)")

    async def test_a_thread_of_the_app_may_name_its_run(self, make: Make) -> None:
        bench = make(
            "@app.route()\ndef f(req, context):\n    def work():\n"
            "        context.thread_local_storage.invocation_id = context.invocation_id\n"
            "        logging.warning('from a thread')\n"
            "    t = threading.Thread(target=work)\n    t.start()\n    t.join()\n    return 'x'"
        )
        await bench.run()
        assert [line.category for line in bench.lines if line.text == "from a thread"] == ["Function.f.User"]
