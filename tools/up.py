"""`dev.py up`: the same parts as in the demo, kept running on the usual ports until Ctrl-C."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tools.demo import CLIP, write_clip
from tools.failures import PartFailed
from tools.installation import ROOT, Places
from tools.parts import Parts, StoragePorts, wanted_port, wanted_storage_ports
from tools.supervisor import Supervisor

PAYLOAD = Path("tests") / "data" / "payload.local.json"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=7071, help="where devhost listens (7071; 0 = any free one)")
    parser.add_argument(
        "--storage-port",
        type=int,
        default=10000,
        metavar="PORT",
        help="blob service of Azurite; queue and table take the next two (10000; 0 = any free ones)",
    )
    parser.add_argument("--no-worker", action="store_true", help="start no worker: you send the reports yourself")
    parser.add_argument(
        "--state",
        type=Path,
        default=ROOT / ".devhost",
        metavar="DIR",
        help="folder for jobs, blobs, queues and logs, kept from one run to the next (.devhost)",
    )


def run(options: argparse.Namespace, places: Places, supervisor: Supervisor) -> int:
    folder = options.state.resolve()
    storage = wanted_storage_ports(options.storage_port, "--storage-port")
    parts = Parts.of(places, folder, storage, wanted_port(options.port, "--port"))
    clip = write_clip(supervisor, parts, folder / CLIP)
    supervisor.start(parts.azurite())
    blob = json.loads((places.root / PAYLOAD).read_text("utf-8"))["blobName"]
    if failure := supervisor.outcome(parts.module("upload", "tools.storage", [str(clip), blob])):
        raise PartFailed(f"The sample clip could not be uploaded: {failure}")
    supervisor.start(parts.devhost(shown=True))
    if not options.no_worker:
        supervisor.start(parts.worker(shown=True))
    print(_what_next(parts, worker=not options.no_worker))
    supervisor.stay()
    return 0


def _what_next(parts: Parts, *, worker: bool) -> str:
    lines = [
        "",
        "Ready. Start a job from a second terminal in this folder (PowerShell: curl.exe):",
        f'  curl -X POST "{parts.url}/api/orchestrators/video_orchestrator" '
        f'-H "Content-Type: application/json" -d "@{PAYLOAD.as_posix()}"',
        "then open the statusQueryGetUri of the answer.",
    ]
    if not worker:
        lines.append("There is no worker: the job waits until you report, by the notebook or by curl (see README.md).")
    standard = StoragePorts(10000, 10001, 10002)
    if parts.storage != standard:
        lines.append(f"Storage is on other ports. STORAGE_CONNECTION_STRING={parts.storage.connection_string()}")
    return "\n".join([*lines, "Ctrl-C stops everything.", ""])
