"""Storage queues on a real Azurite: what each request does, how errors are told apart, and an outage survived."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from devhost.settings import Connection
from devhost.triggers.message_queue import MessageGoneError, QueueMissingError, StorageError
from devhost.triggers.storage_queue import StorageAccount, open_account
from tests.azurite import Azurite
from tests.integration.devhost.app_bench import AwaitedLine, app_bench
from tests.integration.devhost.recorder import RECORDER

MINUTE = timedelta(minutes=1)
AT_ONCE = timedelta(0)


@pytest.fixture
async def account(azurite: Azurite) -> AsyncIterator[StorageAccount]:
    account = open_account(Connection("Storage", azurite.connection_string))
    yield account
    await account.close()


async def test_a_message_from_putting_to_deleting(account: StorageAccount, queue_prefix: str) -> None:
    queue = account.queue(f"{queue_prefix}q")
    await queue.put("žluť <&> ☃")
    await queue.put("")
    first, second = await queue.receive(16, MINUTE)
    assert (first.text, second.text, first.dequeue_count) == ("žluť <&> ☃", "", 1)
    assert await queue.receive(16, MINUTE) == []
    receipt = await queue.hide(first.id, first.pop_receipt, AT_ONCE)
    assert receipt != first.pop_receipt
    (again,) = await queue.receive(16, MINUTE)
    assert (again.id, again.dequeue_count, again.inserted) == (first.id, 2, first.inserted)
    await queue.delete(again.id, again.pop_receipt)
    await queue.delete(second.id, second.pop_receipt)


async def test_one_poll_takes_no_more_than_it_is_told(account: StorageAccount, queue_prefix: str) -> None:
    queue = account.queue(f"{queue_prefix}q")
    for number in range(5):
        await queue.put(str(number))
    assert len(await queue.receive(2, MINUTE)) == 2
    assert len(await queue.receive(32, MINUTE)) == 3


async def test_errors_are_told_apart(account: StorageAccount, queue_prefix: str) -> None:
    queue = account.queue(f"{queue_prefix}q")
    with pytest.raises(QueueMissingError):
        await queue.receive(1, MINUTE)
    await queue.put("x")
    (message,) = await queue.receive(1, MINUTE)
    await queue.hide(message.id, message.pop_receipt, MINUTE)
    with pytest.raises(MessageGoneError):  # the receipt is an old one
        await queue.delete(message.id, message.pop_receipt)
    with pytest.raises(MessageGoneError):
        await queue.hide("00000000-0000-0000-0000-000000000000", message.pop_receipt, MINUTE)


async def test_no_request_shows_in_the_log(
    account: StorageAccount, queue_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await account.queue(f"{queue_prefix}q").put("x")
    assert [record for record in caplog.records if record.name.startswith("azure")] == []


def test_a_connection_without_queues_is_refused() -> None:
    with pytest.raises(ValueError, match="set Videos__queueServiceUri"):
        open_account(Connection("Videos", blob_service_uri="https://videos.blob.core.windows.net"))


async def test_an_identity_needs_no_secret() -> None:
    account = open_account(Connection("Videos", queue_service_uri="https://videos.queue.core.windows.net"))
    assert account.queue("requests").name == "requests"
    await account.close()


async def test_storage_that_is_away_for_a_while_costs_nothing_but_time(tmp_path: Path) -> None:
    RECORDER.clear()
    app = """
@app.queue_trigger(arg_name="msg", queue_name="arrivals", connection="")
def fn(msg: func.QueueMessage):
    record(msg.get_body())
"""
    with Azurite(tmp_path / "azurite") as azurite:
        connection = Connection("Storage", azurite.connection_string)
        with (
            app_bench(tmp_path / "app", app, storage=azurite.connection_string) as bench,
            AwaitedLine("can't be read: ") as away,
            AwaitedLine("can be read again") as back,
        ):
            async with bench.listening():
                azurite.stop()
                await away.seen()
                account = open_account(connection)
                with pytest.raises(StorageError):
                    await account.queue("arrivals").put("eA==")
                azurite.start()
                await back.seen()
                await account.queue("arrivals").put("eA==")
                assert await RECORDER.wait_for(1) == [b"x"]
                await account.close()
