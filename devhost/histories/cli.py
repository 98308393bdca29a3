"""`python -m devhost record` and `python -m devhost replay`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from pathlib import Path
from typing import Any, TextIO

from devhost.histories.recording import Recording, RecordingError, from_state, read

_FAILED, _UNUSABLE = 1, 2
_ADVICE = (
    "Jobs that are in flight would fail with 'Non-Deterministic workflow detected' after a deploy. Keep the old way "
    "for them (behind `context.version`), or let them end before the deploy."
)


def add_commands(commands: Any) -> None:
    """Add both commands to the parser of `python -m devhost`."""
    record = commands.add_parser(
        "record",
        help="save the history of an instance",
        description="Save the history of an instance as a file for `replay`. A devhost may run meanwhile.",
        epilog="example: python -m devhost record 3f2a9c -o tests/data/histories/1.0.0/processed.json",
    )
    record.add_argument("instance", metavar="INSTANCE", help="id of the instance")
    record.add_argument("--app", default=".", metavar="DIR", help="folder of the app (default: this one)")
    record.add_argument("--state", metavar="DIR", help="folder of the instances (default <app>/.devhost)")
    record.add_argument("--hub", metavar="NAME", help="name of the task hub (default: that of host.json)")
    record.add_argument("-o", "--output", metavar="FILE", help="where to (default <INSTANCE>.json; - prints it)")
    record.add_argument("--force", action="store_true", help="replace the file if it is there")
    record.set_defaults(run=run_record)
    replay = commands.add_parser(
        "replay",
        help="check that today's code still replays saved histories",
        description="Give recorded histories to the orchestrators of today. Exit code 0: all replay; 1: one does not; "
        "2: a file or the app can't be used.",
        epilog="example: python -m devhost replay tests/data/histories",
    )
    replay.add_argument("files", nargs="+", metavar="FILE", help="recordings, or folders of them")
    replay.add_argument("--app", default=".", metavar="DIR", help="folder of the app (default: this one)")
    replay.set_defaults(run=run_replay)


def run_record(options: argparse.Namespace, given: object) -> int:
    from devhost.clock import SystemClock  # noqa: PLC0415 - so that --help is answered at once
    from devhost.durable.hub_options import HubOptions  # noqa: PLC0415
    from devhost.durable.state_folder import StateError  # noqa: PLC0415
    from devhost.settings import HostSettings, SettingsError  # noqa: PLC0415

    app_dir = Path(options.app).resolve()
    state = Path(options.state) if options.state else app_dir / ".devhost"
    try:
        hub = options.hub or _hub_of(HostSettings, HubOptions, app_dir)
        recording = from_state(state / f"{hub.lower()}.db", options.instance, SystemClock().now())
        return _save(recording, options.output or f"{options.instance}.json", replace=options.force)
    except (RecordingError, StateError, SettingsError) as error:
        return _give_up(error)


def _hub_of(settings_type: Any, options_type: Any, app_dir: Path) -> str:
    settings = settings_type(app_dir)
    try:
        if settings.host_error is not None:
            raise RecordingError(f"{settings.host_error} Name the hub with --hub.")
        return str(options_type.of(settings).name)
    finally:
        settings.restore()


def _save(recording: Recording, output: str, *, replace: bool) -> int:
    if output == "-":
        sys.stdout.write(recording.text())
        return 0
    file = Path(output)
    if file.exists() and not replace:
        raise RecordingError(f"{file} is there already: choose another name with --output, or replace it with --force.")
    try:
        file.write_text(recording.text(), encoding="utf-8", newline="\n")
    except OSError as error:
        raise RecordingError(f"{file} can't be written: {error.strerror}.") from error
    print(f"{file}: {recording.orchestrator}, {recording.status}, {len(recording.history)} events")
    return 0


def run_replay(options: argparse.Namespace, given: object) -> int:
    from devhost.histories.replaying import AppError  # noqa: PLC0415 - so that --help is answered at once
    from devhost.settings import SettingsError  # noqa: PLC0415

    results = sys.stdout
    try:
        recordings = [(file, read(file)) for file in _files(options.files)]
        # What the app prints must not get between the results.
        with contextlib.redirect_stdout(sys.stderr):
            failed = asyncio.run(_replay(recordings, Path(options.app).resolve(), results))
    except (RecordingError, AppError, SettingsError) as error:
        return _give_up(error)
    if failed:
        print(f"{failed} of {len(recordings)} recordings do not replay. {_ADVICE}")
    return _FAILED if failed else 0


def _files(given: list[str]) -> list[Path]:
    files: list[Path] = []
    for each in map(Path, given):
        found = sorted(each.rglob("*.json")) if each.is_dir() else [each]
        if not found:
            raise RecordingError(f"There is no recording (*.json) in {each}.")
        files += found
    return files


async def _replay(recordings: list[tuple[Path, Recording]], app_dir: Path, results: TextIO) -> int:
    from devhost.histories.replaying import check, loaded  # noqa: PLC0415 - so that --help is answered at once

    failed = 0
    async with loaded(app_dir) as engine:
        for file, recording in recordings:
            verdict = await check(recording, engine)
            if verdict.failure is None:
                print(f"ok   {file} ({recording.orchestrator}, {verdict.episodes} episodes)", file=results)
            else:
                failed += 1
                print(f"FAIL {file}: {verdict.failure}", file=results)
            for note in verdict.notes:
                print(f"     note: {note}", file=results)
    return failed


def _give_up(error: Exception) -> int:
    print(error, file=sys.stderr)
    return _UNUSABLE
