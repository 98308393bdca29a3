"""Parts that are killed in mid-job, as processes of their own: the job is neither lost nor done twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.storage.queue import QueueClient

from tests.acceptance.processes import places
from tests.integration.worker.slow_source import SlowSource
from tests.test_utils import DurableHelper
from tools.parts import Parts, StoragePorts, free_ports
from tools.supervisor import Part, Supervisor
from worker import sample

WORKER_OPTIONS = ["--poll", "0.2", "--visibility", "2"]


@pytest.fixture(autouse=True)
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    with Supervisor(tmp_path / "logs") as one:
        yield one


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    blob, queue, table, port = free_ports(4)
    return Parts.of(places(), tmp_path, StoragePorts(blob, queue, table), port)


@pytest.fixture
def helper(parts: Parts) -> DurableHelper:
    return DurableHelper(parts.url, parts.storage.connection_string())


@pytest.fixture
def clip(tmp_path: Path) -> bytes:
    sample.write(tmp_path / "clip.avi", 4)
    return (tmp_path / "clip.avi").read_bytes()


def worker(parts: Parts) -> Part:
    return parts.module("worker", "worker", WORKER_OPTIONS)


def waiting_requests(parts: Parts) -> int:
    with QueueClient.from_connection_string(parts.storage.connection_string(), "video-to-processing") as queue:
        return queue.get_queue_properties().approximate_message_count or 0


def test_a_worker_killed_in_mid_job_is_replaced_by_another(
    supervisor: Supervisor, parts: Parts, helper: DurableHelper, clip: bytes
) -> None:
    supervisor.start(parts.azurite())
    supervisor.start(parts.devhost())
    with SlowSource(clip) as source:
        first = supervisor.start(worker(parts))
        helper.start({"blobURL": source.url, "blobName": "videos/slow.avi", "timeoutSeconds": 60})
        assert source.asked.wait(30)
        supervisor.kill(first)
        source.release.set()
        supervisor.start(worker(parts))
        output = helper.monitor()["output"]
    assert (output["status"], output["attempts"]) == ("processed", 1)
    assert len(output["report"]["details"]["segments"]) == 2
    assert waiting_requests(parts) == 0


@pytest.mark.parametrize("stage", ["publishing", "waiting"])
def test_devhost_killed_in_mid_job_goes_on_where_it_was(
    supervisor: Supervisor, parts: Parts, helper: DurableHelper, clip: bytes, stage: str
) -> None:
    supervisor.start(parts.azurite())
    host = supervisor.start(parts.devhost())
    with SlowSource(clip) as source:
        source.release.set()
        helper.start({"blobURL": source.url, "blobName": "videos/a.avi", "timeoutSeconds": 60})
        helper.monitor(stage=stage)
        supervisor.kill(host)
        supervisor.start(parts.devhost())
        helper.monitor(stage="waiting")
        # A kill between the request and the note of it may bring the request twice, never the work.
        assert waiting_requests(parts) == 1 or stage == "publishing"
        supervisor.start(worker(parts))
        output = helper.monitor()["output"]
    assert (output["status"], output["attempts"]) == ("processed", 1)


def test_without_storage_the_job_fails_and_tells_so_when_storage_is_back(
    supervisor: Supervisor, parts: Parts, helper: DurableHelper
) -> None:
    supervisor.start(parts.devhost())
    helper.start({"blobURL": "http://127.0.0.1:1/a.avi", "blobName": "videos/a.avi", "timeoutSeconds": 5})
    helper.monitor(stage="notifying")
    supervisor.start(parts.azurite())
    output = helper.monitor()["output"]
    assert output["status"] == "failed"
    assert output["error"]["step"] == "publishing"
    assert "\n" not in output["error"]["message"]
    assert output["notification"] == {"delivered": True, "channels": ["queue"]}


def test_storage_that_goes_and_comes_back_in_mid_job_loses_nothing(
    supervisor: Supervisor, parts: Parts, helper: DurableHelper, clip: bytes
) -> None:
    storage = supervisor.start(parts.azurite())
    supervisor.start(parts.devhost())
    with SlowSource(clip) as source:
        source.release.set()
        helper.start({"blobURL": source.url, "blobName": "videos/a.avi", "timeoutSeconds": 60})
        helper.monitor(stage="waiting")
        supervisor.end(storage)
        supervisor.start(worker(parts))
        supervisor.start(parts.azurite())
        output = helper.monitor()["output"]
    assert output["status"] == "processed"
