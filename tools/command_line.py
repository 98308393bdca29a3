"""The command line of dev.py: subcommands, their options, and the exit code of each way to end."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools import bench, checks, demo, tests, up
from tools.failures import Interrupted, PartFailed, SetupProblem
from tools.installation import ROOT, Places, install_python_packages, install_storage_emulator
from tools.supervisor import StopSignals, Supervisor

EXIT_CODES = {PartFailed: 1, SetupProblem: 2, Interrupted: 130}


@dataclass(frozen=True)
class Command:
    """One subcommand: `add_options` fills its parser, `run` does the work and returns the exit code."""

    summary: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Places, Supervisor], int]
    needs_storage: bool = True
    passes_arguments_on: bool = False


COMMANDS = {
    "demo": Command("put a video through the orchestrator and show the result", demo.add_options, demo.run),
    "up": Command("keep everything running for curl, Postman and the notebook", up.add_options, up.run),
    "test": Command(
        "run all tests; further arguments go to pytest",
        tests.add_options,
        tests.run,
        passes_arguments_on=True,
    ),
    "bench": Command("measure, side by side with peers", bench.add_options, bench.run),
    "check": Command("run the linters and the type checker", checks.add_options, checks.run, needs_storage=False),
}


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="dev.py",
        description="Sets up what is needed (.venv, node_modules; only when the lists changed) and runs one.",
        epilog="Exit code: 0 done, 1 failed, 2 something is missing or in the way, 130 stopped.",
        allow_abbrev=False,
    )
    commands = result.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        one = commands.add_parser(
            name, help=command.summary, description=f"{name}: {command.summary}.", allow_abbrev=False
        )
        command.add_options(one)
        setup = one.add_argument_group("set-up")
        setup.add_argument("--venv", help="use this virtual environment as it is (or DEV_VENV)")
        setup.add_argument("--node-modules", help="use this folder with Azurite as it is (or DEV_NODE_MODULES)")
    return result


def main(arguments: list[str]) -> int:
    options, rest = parser().parse_known_args(arguments)
    command = COMMANDS[options.command]
    if rest and not command.passes_arguments_on:
        parser().error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest[1:] if rest[:1] == ["--"] else rest
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A console with an old code page must not turn a finished job into a traceback.
            stream.reconfigure(errors="backslashreplace", line_buffering=True)
    places = Places.of(ROOT, options.venv, options.node_modules)
    logs = Path(getattr(options, "state", ROOT / ".demo")).resolve() / "logs"
    try:
        with StopSignals() as asked_to_stop, Supervisor(logs, asked_to_stop=asked_to_stop) as supervisor:
            install_python_packages(places, supervisor)
            if command.needs_storage:
                install_storage_emulator(places, supervisor)
            return command.run(options, places, supervisor)
    except tuple(EXIT_CODES) as ended:
        print(f"dev.py: {ended}", file=sys.stderr)
        return EXIT_CODES[type(ended)]
