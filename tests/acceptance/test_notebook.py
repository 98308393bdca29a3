"""The notebook runs from its first to its last cell, as its reader runs it: against a host without a worker."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.acceptance.processes import places
from tests.notebooks.make_notebook import NOTEBOOK
from tools.parts import Parts, StoragePorts, free_ports
from tools.supervisor import Supervisor

CELL_SECONDS = 120


@pytest.fixture(autouse=True)
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The notebook's kernel under its name, in a folder of its own."""
    install = [sys.executable, "-m", "ipykernel", "install", "--prefix", str(tmp_path), "--name", "my-durable-env"]
    subprocess.run(install, check=True, capture_output=True)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share" / "jupyter"))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Azurite and devhost, which the notebook finds by the two settings of `.env`."""
    blob, queue, table, port = free_ports(4)
    parts = Parts.of(places(), tmp_path, StoragePorts(blob, queue, table), port)
    monkeypatch.setenv("ORCHESTRATOR_HOST", parts.url)
    monkeypatch.setenv("STORAGE_CONNECTION_STRING", parts.storage.connection_string())
    with Supervisor(tmp_path / "logs") as supervisor:
        supervisor.start(parts.azurite())
        supervisor.start(parts.devhost())
        yield


def test_the_notebook_runs_and_each_job_ends_as_it_says() -> None:
    read: Callable[..., Any] = nbformat.read
    book = read(NOTEBOOK, as_version=4)
    client = NotebookClient(book, timeout=CELL_SECONDS, resources={"metadata": {"path": str(NOTEBOOK.parent)}})
    client.execute()
    assert client.kernel_name == "my-durable-env"
    results = {cell["id"]: _result(cell) for cell in book["cells"] if cell["cell_type"] == "code"}
    for reported in ("http", "queue", "event"):
        assert "'status': 'processed'" in results[reported], reported
        assert "'stop_seconds': 6.48" in results[reported], reported
    assert results["terminate"] == "('Terminated', 'tried in the notebook')"
    assert results["purge"] == "1"
    assert results["purge-all"] == "3"


def _result(cell: dict[str, Any]) -> str:
    """The text of the cell's last expression."""
    shown = [each["data"]["text/plain"] for each in cell["outputs"] if each["output_type"] == "execute_result"]
    return "".join(shown)
