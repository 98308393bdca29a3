"""Writes durable-func-test.ipynb, always the same and without outputs.

Run it by `python -m tests.notebooks.make_notebook`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).with_name("durable-func-test.ipynb")
KERNEL = {"display_name": "Python (Durable Project)", "language": "python", "name": "my-durable-env"}

CELLS = [
    (
        "markdown",
        "intro",
        """\
# Try the orchestrator by hand

Here **you play the worker**: start the parts without one, in a terminal in the project's folder:

    python dev.py up --no-worker

This notebook talks to the host and the storage account that `.env` names. Its kernel is made once by

    python -m ipykernel install --user --name my-durable-env --display-name "Python (Durable Project)"

with the python of `.venv` (`.venv/bin/python`, on Windows `.venv\\Scripts\\python`).""",
    ),
    (
        "code",
        "setup",
        """\
import sys
from pathlib import Path

root = next(folder for folder in [Path.cwd(), *Path.cwd().parents] if (folder / "dev.py").is_file())
sys.path.insert(0, str(root))

from tests.test_utils import DurableHelper, load

helper = DurableHelper()
helper.host""",
    ),
    (
        "markdown",
        "http-text",
        """\
## A job whose report comes by HTTP
Start it, wait until it has asked for a worker, report, and see how it ends.""",
    ),
    (
        "code",
        "http",
        """\
payload = load("payload.local.json")
report = load("event-payload.local.json")

helper.start(payload)
helper.monitor(stage="waiting")
helper.report_by_http(report)
by_http = helper.monitor()
by_http["output"]""",
    ),
    (
        "markdown",
        "queue-text",
        """\
## A job whose report comes by Storage Queue
This is how a real worker reports: base64 of the JSON in the queue `video-processed`.""",
    ),
    (
        "code",
        "queue",
        """\
helper.start(payload)
helper.monitor(stage="waiting")
helper.report_by_queue(report)
by_queue = helper.monitor()
by_queue["output"]""",
    ),
    (
        "markdown",
        "event-text",
        """\
## A job whose report comes as an event, by the host's own route
The event is called `processed`; the older name `PROCESSING_VIDEO_COMPLITED` does the same.""",
    ),
    (
        "code",
        "event",
        """\
helper.start(payload)
helper.report_by_event(report, "PROCESSING_VIDEO_COMPLITED")
by_event = helper.monitor()
by_event["output"]""",
    ),
    (
        "markdown",
        "terminate-text",
        "## Terminate a job\nIt ends as `Terminated`, with the reason as its output.",
    ),
    (
        "code",
        "terminate",
        """\
helper.start(payload)
helper.monitor(("Running",))
helper.terminate("tried in the notebook")
terminated = helper.monitor()
terminated["runtimeStatus"], terminated["output"]""",
    ),
    ("markdown", "purge-text", "## Delete the state of this job\nOnly an ended job can be deleted."),
    ("code", "purge", "purged = helper.purge()\npurged"),
    (
        "markdown",
        "purge-all-text",
        """\
## Delete the state of all finished jobs
The filters are in `tests/data/purge-payload.local.json`.
The helper refuses filters that would reach running jobs.""",
    ),
    (
        "code",
        "purge-all",
        """\
purged_all = helper.purge_finished(load("purge-payload.local.json"))
purged_all""",
    ),
]


def notebook() -> str:
    """The notebook's text, in the layout in which Jupyter saves it."""
    book = {
        "cells": [_cell(kind, name, source) for kind, name, source in CELLS],
        "metadata": {"kernelspec": KERNEL, "language_info": {"name": "python", "version": "3.11"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(book, indent=1, sort_keys=True) + "\n"


def _cell(kind: str, name: str, source: str) -> dict[str, Any]:
    common = {"cell_type": kind, "id": name, "metadata": {}, "source": source.splitlines(keepends=True)}
    return {**common, "execution_count": None, "outputs": []} if kind == "code" else common


if __name__ == "__main__":
    NOTEBOOK.write_text(notebook(), "utf-8", newline="\n")
    sys.exit(0)
