"""`dev.py demo`: one video through the whole chain, on free ports, with nothing left behind."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from tools.failures import PartFailed, SetupProblem
from tools.installation import ROOT, Places
from tools.parts import Parts, StoragePorts, free_ports
from tools.supervisor import Part, Supervisor

LONGEST_WAIT_SECONDS = 432_000
CLIP = "sample.avi"


def add_options(parser: argparse.ArgumentParser) -> None:
    video = parser.add_mutually_exclusive_group()
    video.add_argument("--still", action="store_true", help="a clip in which nothing moves")
    video.add_argument("--video", type=Path, metavar="FILE", help="a video file of your own")
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=120,
        metavar="S",
        help="seconds the job waits for the worker (120)",
    )
    parser.add_argument(
        "--state",
        type=Path,
        default=ROOT / ".demo",
        metavar="DIR",
        help="folder for logs and the picture (.demo)",
    )


def run(options: argparse.Namespace, places: Places, supervisor: Supervisor) -> int:
    folder = options.state.resolve()
    video = _own_video(options.video)
    started = time.monotonic()
    # Two demos at once must not share a storage account or a task hub.
    with tempfile.TemporaryDirectory(prefix="run-", dir=folder, ignore_cleanup_errors=True) as state:
        blob, queue, table, port = free_ports(4)
        parts = Parts.of(places, Path(state), StoragePorts(blob, queue, table), port)
        try:
            if video is None:
                video = write_clip(supervisor, parts, folder / CLIP, still=options.still)
            for part in (parts.azurite(), parts.devhost(), parts.worker()):
                supervisor.start(part)
            print(f"Azurite, devhost and the worker are ready after {time.monotonic() - started:.1f} s.")
            return supervisor.run(_client(parts, video, options.timeout, folder))
        finally:
            supervisor.stop()  # before the folder that they write to is removed


def write_clip(supervisor: Supervisor, parts: Parts, target: Path, *, still: bool = False) -> Path:
    """The seeded clip that stands for a real video; the same bytes each time."""
    arguments = [str(target), *(["--still"] if still else [])]
    if failure := supervisor.outcome(parts.module("clip", "worker.sample", arguments)):
        raise PartFailed(f"The sample clip could not be written: {failure}")
    print(f"Video: {target}, {target.stat().st_size // 1024} KiB" + (", nothing moves in it." if still else "."))
    return target


def _client(parts: Parts, video: Path, timeout: int, folder: Path) -> Part:
    arguments = [
        "--host",
        parts.url,
        "--video",
        str(video),
        "--timeout",
        str(timeout),
        "--folder",
        str(folder),
    ]
    return parts.module("demo-client", "tools.send_video", arguments, shown=True)


def _own_video(path: Path | None) -> Path | None:
    if path is not None and not path.is_file():
        raise SetupProblem(f"There is no file {path}; --video needs the path of a video file.")
    return None if path is None else path.resolve()


def _seconds(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if not 1 <= value <= LONGEST_WAIT_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {LONGEST_WAIT_SECONDS}")
    return value
