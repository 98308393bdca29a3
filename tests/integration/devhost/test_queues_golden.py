"""Every queue case recorded on a live host, replayed with the real loader and invoker on a real Azurite.

What is not compared here stands in `ELSEWHERE`, with the reason; the last test counts them all.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.functions.meta import Datum
from azure.storage.queue import QueueServiceClient

from devhost.clock import SystemClock
from devhost.invoke import FunctionFailed
from devhost.testing.clock import START, VirtualClock, settle
from devhost.testing.queues import MemoryAccount
from devhost.triggers.queue_message import manual_metadata
from tests.azurite import Azurite
from tests.integration.devhost.app_bench import AppBench, AwaitedLine, app_bench
from tests.integration.devhost.recorder import RECORDER

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "03-queues.json"
CASES: dict[str, dict[str, Any]] = {
    case["title"]: case for case in json.loads(GOLDEN.read_text(encoding="utf-8"))["cases"]
}
EVERY_EXCHANGE = {(title, at) for title, case in CASES.items() for at in range(len(case["exchange"]))}

# Not compared in this file, and why.
ELSEWHERE: dict[tuple[str, int], str] = {
    (
        "queue trigger with durable client",
        0,
    ): "needs the durable engine, which a queue trigger knows nothing of",
    (
        "invoke a queue function through /admin",
        1,
    ): "a refusal of the HTTP side, before any function is looked at",
    **{("timers", at): "tests/integration/devhost/test_timers.py" for at in range(2)},
    **{("event grid webhook", at): "tests/unit/devhost/test_event_grid.py" for at in range(15)},
}
# Compared, but for one thing that is otherwise on purpose.
DIFFERENT: dict[tuple[str, int], str] = {
    **{
        (
            "text that is not base64 (extension v4)",
            at,
        ): "recorded with extension 4: five tries. Extension 5 (bundle "
        "4.x) moves text that is not base64 to the poison queue at once"
        for at in (0, 1, 4)
    },
    (
        "visibilityTimeout 00:00:03, maxDequeueCount 3",
        0,
    ): "at least 3 s apart; the recorded rest is back-off by chance",
}


def exchanges(title: str) -> list[Any]:
    return [pytest.param(each["request"], each["response"]) for each in CASES[title]["exchange"]]


class Storage:
    """Azurite seen by a test: the names of queues in the recordings become names of this test alone."""

    def __init__(self, azurite: Azurite, prefix: str) -> None:
        self.connection_string = azurite.connection_string
        self.prefix = prefix
        self._service = QueueServiceClient.from_connection_string(azurite.connection_string)

    def name(self, recorded: str) -> str:
        return f"{self.prefix}{recorded.lower()}"

    def send(self, recorded: str, *texts: str, time_to_live: int | None = None) -> None:
        queue = self._service.get_queue_client(self.name(recorded))
        if not self.exists(recorded):
            queue.create_queue()
        for text in texts:
            queue.send_message(text, time_to_live=time_to_live)

    def exists(self, recorded: str) -> bool:
        return any(self._service.list_queues(name_starts_with=self.name(recorded)))

    def visible(self, recorded: str) -> list[str]:
        queue = self._service.get_queue_client(self.name(recorded))
        return [message.content for message in queue.peek_messages(32)]

    def count(self, recorded: str) -> int:
        """Of all messages, visible or not."""
        properties = self._service.get_queue_client(self.name(recorded)).get_queue_properties()
        return properties.approximate_message_count or 0

    def dequeue_counts(self, recorded: str) -> list[int | None]:
        queue = self._service.get_queue_client(self.name(recorded))
        return [message.dequeue_count for message in queue.peek_messages(32)]

    def close(self) -> None:
        self._service.close()


@pytest.fixture
async def storage(azurite: Azurite, queue_prefix: str) -> AsyncIterator[Storage]:
    RECORDER.clear()
    storage = Storage(azurite, queue_prefix)
    yield storage
    storage.close()


DESCRIBED = """
def described(msg):
    times = (msg.insertion_time, msg.expiration_time, msg.time_next_visible)
    return {"id": msg.id, "dequeue_count": msg.dequeue_count, "times": times, "pop_receipt": msg.pop_receipt,
            "body": msg.get_body(), "get_json": parsed(msg)}

def parsed(msg):
    try:
        return msg.get_json()
    except ValueError as error:
        return f"{type(error).__module__.split('.')[0]}.{type(error).__name__}"
"""


def listener_app(storage: Storage, queue: str, body: str, more: str = "", parameter: str = "func.QueueMessage") -> str:
    name = f"{storage.prefix}{queue}"
    return f"""
import asyncio, time
{DESCRIBED}
@app.queue_trigger(arg_name="msg", queue_name="{name}", connection="AzureWebJobsStorage"{more})
def fn(msg: {parameter}):
    {body}
"""


# ------------------------------------------------------------------------------------------ trigger


@pytest.mark.parametrize(("request_", "response"), exchanges("base64 JSON message"))
async def test_a_json_message(tmp_path: Path, storage: Storage, request_: Any, response: Any) -> None:
    sent = request_["send_message"]
    storage.send(sent["queue"], sent["text"])
    began = SystemClock().now()
    app = listener_app(storage, "Q-OK", "record(described(msg))")
    with app_bench(tmp_path, app, storage=storage.connection_string) as bench:
        async with bench.listening():
            (run,) = await RECORDER.wait_for(1)
        log = bench.log
    recorded = response["run"]
    inserted, expires, next_visible = run["times"]
    assert type(run["id"]).__name__ == recorded["id"][0]
    assert ["int", run["dequeue_count"]] == recorded["dequeue_count"]
    assert type(run["pop_receipt"]).__name__ == recorded["pop_receipt"][0]
    assert all(isinstance(moment, datetime) and moment.utcoffset() == timedelta(0) for moment in run["times"])
    assert expires - inserted == timedelta(days=7)
    assert abs(next_visible - began - timedelta(minutes=10)) < timedelta(seconds=20)
    assert repr(run["body"]) == recorded["body"]
    assert run["get_json"] == recorded["get_json"]
    assert storage.count(sent["queue"]) == len(response["queue_after"])
    invocation = log[0].rpartition("Id=")[2].rstrip(")")
    reason = f"New queue message detected on '{storage.name('q-ok')}'."
    assert log[:2] == [
        f"Executing 'Functions.fn' (Reason='{reason}', Id={invocation})",
        f"Trigger Details: MessageId: {run['id']}, DequeueCount: 1, "
        f"InsertionTime: {inserted:%Y-%m-%dT%H:%M:%S}.000+00:00",
    ]
    assert log[2].startswith(f"Executed 'Functions.fn' (Succeeded, Id={invocation}, Duration=")


@pytest.mark.parametrize(("request_", "response"), exchanges("other message bodies"))
async def test_other_bodies(tmp_path: Path, storage: Storage, request_: Any, response: Any) -> None:
    text, _, note = request_["send_message"]["text"].partition(" (time to live ")
    storage.send("q-ok", text, time_to_live=int(note.rstrip(")")) if note else None)
    app = listener_app(storage, "q-ok", "record(described(msg))")
    with app_bench(tmp_path, app, storage=storage.connection_string) as bench:
        async with bench.listening():
            (run,) = await RECORDER.wait_for(1)
    in_words = {"'žluť ☃' in UTF-8": "žluť ☃".encode()}
    assert run["body"] == in_words.get(response["body"]) or repr(run["body"]) == response["body"]
    if "get_json" in response:
        assert run["get_json"] == response["get_json"]
    if "expiration_time" in response:
        assert str(run["times"][1]) == response["expiration_time"]


async def until_poisoned(bench: AppBench) -> None:
    """Listen until a message is on its way to the poison queue."""
    with AwaitedLine("Moving message to queue", "decoding has failed") as poisoned:
        async with bench.listening():
            await poisoned.seen()


@pytest.mark.parametrize(("request_", "response"), exchanges("always failing function"))
async def test_always_failing(
    tmp_path: Path, storage: Storage, request_: Any, response: Any, caplog: pytest.LogCaptureFixture
) -> None:
    storage.send("q-fail", request_["send_message"]["text"])
    app = listener_app(storage, "q-fail", "record(msg.dequeue_count); raise RuntimeError('always fails')")
    with app_bench(tmp_path, app, storage=storage.connection_string) as bench:
        await until_poisoned(bench)
        log = bench.log
    assert RECORDER.records == response["dequeue_counts"]
    assert storage.count("q-fail") == len(response["queue_after"])
    assert storage.visible("q-fail-poison") == response["poison_queue"]["messages"]
    assert storage.dequeue_counts("q-fail-poison") == [response["poison_queue"]["dequeue_count"]]
    recorded = CASES["always failing function"]["log"]
    assert recorded[1] in log
    assert recorded[2] in log
    assert recorded[3].replace("q-fail", storage.name("q-fail")) in caplog.messages


NOT_BASE64 = "text that is not base64 (extension v4)"


@pytest.mark.parametrize("at", range(len(CASES[NOT_BASE64]["exchange"])))
async def test_not_base64(tmp_path: Path, storage: Storage, at: int, caplog: pytest.LogCaptureFixture) -> None:
    request_, response = CASES[NOT_BASE64]["exchange"][at].values()
    sent = request_["send_message"]
    storage.send(sent["queue"], sent["text"])
    app = listener_app(storage, sent["queue"], "record(described(msg))")
    with app_bench(tmp_path, app, storage=storage.connection_string) as bench:
        await until_poisoned(bench)
    assert len(RECORDER.records) == response["runs_of_the_python_function"]
    assert storage.visible(f"{sent['queue']}-poison") == [response["poison_message"]]
    assert storage.count(sent["queue"]) == 0
    tries = [message for message in caplog.messages if "Exception binding parameter 'msg'" in message]
    assert len(tries) == (0 if (NOT_BASE64, at) in DIFFERENT else 5)


@pytest.mark.parametrize(("request_", "response"), exchanges("binary data type"))
async def test_binary(tmp_path: Path, storage: Storage, request_: Any, response: Any) -> None:
    storage.send("q-bytes", request_["send_message"]["text"])
    more = ", data_type=func.DataType.BINARY"
    app = listener_app(storage, "q-bytes", "record(repr(msg.get_body()))", more)
    with app_bench(tmp_path, app, storage=storage.connection_string) as bench:
        if "poison_message" in response:
            await until_poisoned(bench)
            assert storage.visible("q-bytes-poison") == [response["poison_message"]]
            assert len(RECORDER.records) == response["runs_of_the_python_function"]
        else:
            async with bench.listening():
                recorded = await RECORDER.wait_for(1)
            assert recorded == [response["body"]]


@pytest.mark.parametrize(("request_", "response"), exchanges("queue trigger annotated str or bytes"))
async def test_plain_annotations(tmp_path: Path, storage: Storage, request_: Any, response: Any) -> None:
    sent = request_["send_message"]
    storage.send(sent["queue"], sent["text"])
    parameter = "str" if sent["queue"] == "l2-str" else "bytes"
    more = ", data_type=func.DataType.BINARY" if sent["queue"] == "l2-bytesb" else ""
    app = listener_app(storage, sent["queue"], "record(repr(msg))", more, parameter)
    with app_bench(tmp_path, app, storage=storage.connection_string) as bench:
        async with bench.listening():
            assert await RECORDER.wait_for(1) == [response["recorded"]]


@pytest.mark.parametrize(("request_", "response"), exchanges("a queue that is itself a -poison queue"))
async def test_own_poison_queue(tmp_path: Path, storage: Storage, request_: Any, response: Any) -> None:
    storage.send("x-poison", "eA==")
    app = listener_app(storage, "x-poison", "record(1); raise RuntimeError()")
    with app_bench(tmp_path, app, storage=storage.connection_string) as bench:
        async with bench.listening():
            await RECORDER.wait_for(1)
    assert len(RECORDER.records) == response["runs"]
    assert response["queue_after"] == "1 message, invisible"
    assert (storage.count("x-poison"), storage.visible("x-poison")) == (1, [])
    assert not storage.exists("x-poison-poison")


@pytest.mark.parametrize(("request_", "response"), exchanges("a queue that does not exist"))
async def test_missing_queue(
    tmp_path: Path, storage: Storage, request_: Any, response: Any, caplog: pytest.LogCaptureFixture
) -> None:
    clock = VirtualClock()
    app = listener_app(storage, "v-par", "record(msg.get_body())")
    with app_bench(tmp_path, app, storage=storage.connection_string, clock=clock) as bench:
        async with bench.listening():
            for _ in range(3):  # polls
                await clock.sleepers()
                await clock.advance(timedelta(seconds=1))
            await clock.sleepers()
            assert response["queue v-par"] == "not created; no error"
            assert not storage.exists("v-par")
            storage.send("v-par", "eA==")
            await clock.advance(timedelta(seconds=1))
            assert await RECORDER.wait_for(1) == [b"x"]
    assert [record for record in caplog.records if record.name == "devhost.triggers.queue_listener"] == []


@pytest.mark.parametrize(("request_", "response"), exchanges("return value without $return"))
async def test_returned_value(tmp_path: Path, storage: Storage, request_: Any, response: Any) -> None:
    storage.send("q-ret", request_["send_message"]["text"])
    app = listener_app(storage, "q-ret", "record(1); return 'value'").replace("fn(", "q_ret(")
    with app_bench(tmp_path, app, storage=storage.connection_string) as bench:
        await until_poisoned(bench)
        assert CASES["return value without $return"]["log"][0] in bench.log
    assert len(RECORDER.records) == response["runs"]
    assert storage.count(response["poison_queue"]) == 1


@pytest.mark.parametrize(("request_", "response"), exchanges("setting as queue name, empty connection"))
async def test_setting_as_name(tmp_path: Path, storage: Storage, request_: Any, response: Any) -> None:
    storage.send(request_["send_message"]["queue"], "eA==")
    app = """
@app.queue_trigger(arg_name="msg", queue_name="%SETQ%", connection="")
def fn(msg: func.QueueMessage):
    record(msg.get_body())
"""
    settings = {"SETQ": f"{storage.prefix}Q-Set-By-Name"}
    with app_bench(tmp_path, app, storage=storage.connection_string, settings=settings) as bench:
        async with bench.listening():
            await RECORDER.wait_for(response["runs"])
    assert RECORDER.records == [b"x"]


@pytest.mark.parametrize(("request_", "response"), exchanges("invoke a queue function through /admin")[:1])
async def test_run_without_a_message(tmp_path: Path, storage: Storage, request_: Any, response: Any) -> None:
    text = json.loads(request_["body"])["input"]
    with app_bench(tmp_path, listener_app(storage, "Q-OK", "record(described(msg))")) as bench:
        metadata = manual_metadata(text, START)
        await bench.invoker.invoke(bench.function("fn"), Datum(text, "string"), metadata=metadata, reason="admin")
    (run,) = RECORDER.records
    recorded = response["run"]
    assert (run["id"], run["pop_receipt"]) == (recorded["id"], recorded["pop_receipt"])
    assert run["dequeue_count"] == recorded["dequeue_count"]
    assert run["times"][0] == START
    assert [str(moment) for moment in run["times"][1:]] == [
        recorded["expiration_time"],
        recorded["time_next_visible"],
    ]
    assert repr(run["body"]) == recorded["body"]


# ------------------------------------------------------------- trigger, with the clock in the test's hands

SLOW = """
from datetime import timedelta
from devhost.testing.clock import START
from tests.integration.devhost.recorder import RECORDER

@app.queue_trigger(arg_name="msg", queue_name="{queue}", connection="AzureWebJobsStorage")
async def fn(msg: func.QueueMessage):
    clock = RECORDER.clock
    start = clock.now()
    {body}
"""


async def replayed(
    folder: Path, queue: str, texts: list[str], body: str, *, lasts: timedelta, **queues: Any
) -> MemoryAccount:
    """The queues after that long by the clock; what the app has recorded is with the RECORDER."""
    RECORDER.clear()
    RECORDER.clock = clock = VirtualClock()
    account = MemoryAccount(clock)
    account.create(queue, *texts)
    with app_bench(folder, SLOW.format(queue=queue, body=body), queues=queues, clock=clock) as bench:
        async with bench.listening(open_account=lambda connection: account):
            await settle()
            await clock.advance(lasts)
    return account


@pytest.mark.parametrize(("request_", "response"), exchanges("visibilityTimeout 00:00:03, maxDequeueCount 3"))
async def test_visibility_timeout(
    tmp_path: Path, request_: Any, response: Any, caplog: pytest.LogCaptureFixture
) -> None:
    account = await replayed(
        tmp_path,
        "v-fail",
        [request_["send_message"]["text"]],
        "record((start - START).total_seconds()); raise RuntimeError('x')",
        lasts=timedelta(seconds=20),
        visibilityTimeout="00:00:03",
        maxDequeueCount=3,
    )
    assert len(RECORDER.records) == response["runs"]
    for began, recorded in zip(RECORDER.records, response["at_seconds"], strict=True):
        assert abs(began - recorded) <= 1.1
    gaps = [later - earlier for earlier, later in zip(RECORDER.records, RECORDER.records[1:], strict=False)]
    assert min(gaps) >= 3
    assert account.texts("v-fail") == []
    assert account.texts(response["poison_queue"]["name"]) == response["poison_queue"]["messages"]
    assert CASES["visibilityTimeout 00:00:03, maxDequeueCount 3"]["log"][0] in caplog.messages


@pytest.mark.parametrize(("request_", "response"), exchanges("an 11 minute run"))
async def test_eleven_minutes(tmp_path: Path, request_: Any, response: Any) -> None:
    account = await replayed(
        tmp_path,
        "v-busy",
        [request_["send_message"]["text"]],
        "record((msg.dequeue_count, msg.time_next_visible - start)); "
        "await clock.sleep_until(start + timedelta(seconds=660))",
        lasts=timedelta(minutes=20),
        maxPollingInterval="00:00:05",
    )
    assert len(RECORDER.records) == response["runs"]
    assert RECORDER.records == [(response["dequeue_count"], timedelta(minutes=10))]
    assert account.texts("v-busy") == response["queue_after"]


async def test_eleven_minutes_with_receipts_of_a_real_storage(tmp_path: Path, storage: Storage) -> None:
    clock = VirtualClock()
    storage.send("v-busy", "YnVzeQ==")
    RECORDER.clock = clock
    body = "record(1); await clock.sleep_until(start + timedelta(seconds=660))"
    app = SLOW.format(queue=storage.name("v-busy"), body=body)
    with app_bench(tmp_path, app, storage=storage.connection_string, clock=clock) as bench:
        async with bench.listening():
            await RECORDER.wait_for(1)
            for _ in range(11):
                await clock.sleepers(3)  # the poller, the renewal, the function: nobody waits for the storage
                await clock.advance(timedelta(minutes=1))
    assert (RECORDER.records, storage.count("v-busy")) == ([1], 0)


@pytest.mark.parametrize(("request_", "response"), exchanges("batchSize 1, newBatchThreshold 0"))
async def test_one_at_a_time(tmp_path: Path, request_: Any, response: Any) -> None:
    account = await replayed(
        tmp_path,
        "v-seq",
        [each["send_message"]["text"] for each in request_],
        "await clock.sleep_until(start + timedelta(seconds=1.5)); record((start, clock.now()))",
        lasts=timedelta(seconds=20),
        batchSize=1,
        newBatchThreshold=0,
    )
    spans = [[(moment - START).total_seconds() for moment in span] for span in RECORDER.records]
    for span, recorded in zip(spans, response["start_end_seconds"], strict=True):
        assert span == pytest.approx(recorded, abs=0.1)
    assert account.texts("v-seq") == []


# ------------------------------------------------------------------------------------------- output

OUTPUT = """
from collections.abc import Callable
import typing

def generator():
    yield "g"

@app.queue_trigger(arg_name="msg", queue_name="unused", connection="")
@app.queue_output(arg_name="out", queue_name="{queue}", connection="AzureWebJobsStorage")
def fn(msg: func.QueueMessage, out: {annotation}):
    {body}
"""
# What the recording says in words.
IN_WORDS = {
    "func.QueueMessage(...)": "out.set(func.QueueMessage(id='X', body='b'))",
    "a generator": "out.set(generator())",
    "['two', QueueMessage]": "out.set(['two', func.QueueMessage(id='X', body='b')])",
    "'never sent', then raise": "out.set('never sent'); raise RuntimeError('after set')",
    "not called": "pass",
}


async def put_out(bench: AppBench) -> str | None:
    """Run the function once; the text of its failure, if it fails."""
    trigger, metadata = Datum("{}", "string"), manual_metadata("{}", START)
    try:
        await bench.invoker.invoke(bench.function("fn"), trigger, metadata=metadata, reason="test")
    except FunctionFailed as failure:
        return failure.message
    return None


def sent(storage: Storage) -> list[str]:
    return storage.visible("q-out") if storage.exists("q-out") else []


@pytest.mark.parametrize(("request_", "response"), exchanges("queue output, Out[str]"))
async def test_output_of_str(tmp_path: Path, storage: Storage, request_: Any, response: Any) -> None:
    body = IN_WORDS.get(request_["set"], f"out.set({request_['set']})")
    app = OUTPUT.format(queue=storage.name("q-out"), annotation="func.Out[str]", body=body)
    if request_["set"] == "b'by\\x00\\xfftes'":
        assert response["decoded"] == ["<the bytes>"]
    with app_bench(tmp_path, app, storage=storage.connection_string) as bench:
        failure = await put_out(bench)
    assert sent(storage) == response["messages"]
    assert (failure is None) == (response["status"] == 200)
    if failure is not None:
        recorded = response["exception"].replace('"<class', "...").replace("GenericBinding'>\"", "...")
        # What the recording leaves out, or the worker says of its own converter, may differ.
        assert failure.startswith(recorded.partition("...")[0])
        assert failure.endswith(recorded.rpartition("...")[2])


@pytest.mark.parametrize(("request_", "response"), exchanges("queue output, other annotations"))
async def test_output_by_annotation(tmp_path: Path, storage: Storage, request_: Any, response: Any) -> None:
    annotation, body = request_["annotation"], f"out.set({request_['set'] or None})"
    app = OUTPUT.format(queue=storage.name("q-out"), annotation=annotation, body=body)
    if annotation.startswith("$return"):
        app = RETURN.format(queue=storage.name("q-out"))
    with app_bench(tmp_path, app, storage=storage.connection_string) as bench:
        if "load_error" in response:
            assert response["load_error"] in (bench.index.error or "")
            return
        assert await put_out(bench) is None
    assert sent(storage) == response["messages"]


RETURN = """
@app.queue_trigger(arg_name="msg", queue_name="unused", connection="")
@app.queue_output(arg_name="$return", queue_name="{queue}", connection="AzureWebJobsStorage")
def fn(msg: func.QueueMessage):
    return 'returned {{"m":"q-in"}}'
"""


# ----------------------------------------------------------------------------------------- the count

COMPARED = {
    (title, at)
    for title in (
        "base64 JSON message",
        "other message bodies",
        "always failing function",
        "text that is not base64 (extension v4)",
        "binary data type",
        "queue trigger annotated str or bytes",
        "a queue that is itself a -poison queue",
        "a queue that does not exist",
        "return value without $return",
        "setting as queue name, empty connection",
        "visibilityTimeout 00:00:03, maxDequeueCount 3",
        "an 11 minute run",
        "batchSize 1, newBatchThreshold 0",
        "queue output, Out[str]",
        "queue output, other annotations",
    )
    for at in range(len(CASES[title]["exchange"]))
} | {("invoke a queue function through /admin", 0)}


def test_every_recorded_case_is_compared_or_listed() -> None:
    assert not COMPARED & set(ELSEWHERE)
    assert COMPARED | set(ELSEWHERE) == EVERY_EXCHANGE
    assert set(DIFFERENT) <= COMPARED
