"""`extensions.queues` of host.json, and the listeners that follow it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from devhost.functions import AppIndex
from devhost.invoke import Invoker
from devhost.settings import Connection, HostSettings, SettingsError
from devhost.testing.clock import VirtualClock
from devhost.triggers.queue import QueueListeners
from devhost.triggers.queue_options import QueueOptions


def settings(folder: Path, environment: dict[str, str] | None = None, **queues: Any) -> HostSettings:
    host = {"version": "2.0", "extensions": {"queues": queues}}
    (folder / "host.json").write_text(json.dumps(host), encoding="utf-8")
    return HostSettings(folder, environment=environment or {})


def test_defaults(tmp_path: Path) -> None:
    assert QueueOptions.read(settings(tmp_path)) == QueueOptions(
        batch_size=16,
        new_batch_threshold=8 * (os.cpu_count() or 1),
        max_dequeue_count=5,
        visibility_timeout=timedelta(0),
        max_polling_interval=timedelta(minutes=1),
        base64=True,
    )


def test_development_polls_at_least_every_two_seconds_unless_told_otherwise(tmp_path: Path) -> None:
    environment = {"AZURE_FUNCTIONS_ENVIRONMENT": "Development"}
    assert QueueOptions.read(settings(tmp_path, environment)).max_polling_interval == timedelta(seconds=2)
    told = settings(tmp_path, environment, maxPollingInterval="00:00:30")
    assert QueueOptions.read(told).max_polling_interval == timedelta(seconds=30)


def test_every_value_is_read(tmp_path: Path) -> None:
    options = QueueOptions.read(
        settings(
            tmp_path,
            batchSize=4,
            newBatchThreshold=0,
            maxDequeueCount=2,
            visibilityTimeout="00:00:03",
            maxPollingInterval="00:00:00.100",
            messageEncoding="None",
        )
    )
    assert options == QueueOptions(4, 0, 2, timedelta(seconds=3), timedelta(milliseconds=100), base64=False)


@pytest.mark.parametrize(
    ("queues", "text"),
    [
        ({"batchSize": 33}, "batchSize must be a whole number from 1 to 32, not 33."),
        ({"batchSize": "many"}, "batchSize must be a whole number, not 'many'."),
        ({"newBatchThreshold": -1}, "newBatchThreshold must be a whole number of at least 0, not -1."),
        ({"maxDequeueCount": 0}, "maxDequeueCount must be a whole number of at least 1, not 0."),
        ({"maxPollingInterval": "00:00:00.050"}, "maxPollingInterval must be at least 00:00:00.100."),
        ({"visibilityTimeout": "-00:00:01"}, "visibilityTimeout must not be negative."),
        ({"messageEncoding": "utf8"}, "messageEncoding must be 'base64' or 'none', not 'utf8'."),
    ],
)
def test_a_value_out_of_range_is_named(tmp_path: Path, queues: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingsError) as error:
        QueueOptions.read(settings(tmp_path, **queues))
    assert str(error.value) == f"host.json: extensions.queues.{text}"


async def test_an_app_without_queues_opens_no_account(tmp_path: Path) -> None:
    def never(connection: Connection) -> Any:
        raise AssertionError(connection)

    listeners = QueueListeners(
        settings(tmp_path, batchSize=99), AppIndex(), cast(Invoker, None), VirtualClock(), open_account=never
    )
    await listeners.start()
    await listeners.stop()


def test_storage_packages_wait_for_the_first_queue() -> None:
    modules = (
        "devhost.triggers.queue, devhost.triggers.queue_output, devhost.triggers.timer, devhost.triggers.event_grid"
    )
    heavy = "[name for name in sys.modules if name.startswith(('azure.storage', 'azure.core', 'azure.identity'))]"
    code = f"import sys, {modules}; print({heavy})"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
