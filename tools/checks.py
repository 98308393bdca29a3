"""`dev.py check`: linters and the type checker, all of them offline, with one line for each."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from tools.installation import Places
from tools.supervisor import Part, Supervisor

REPORT_LINES = 60
TYPED = ("function_app.py", "video_jobs", "devhost", "worker", "dev.py", "tools", "doc", "tests")


def checks() -> dict[str, list[str]]:
    """From the name of each check to its command; the tools are looked up in the virtual environment."""
    workflows = sorted(str(file) for file in Path(".github", "workflows").glob("*.yml"))
    return {
        "ruff check": ["ruff", "check", "."],
        "ruff format": ["ruff", "format", "--check", "."],
        "mypy": ["mypy", *TYPED],
        "actionlint": ["actionlint", *workflows],
        "zizmor": ["zizmor", "--offline", "--no-progress", "--quiet", *workflows],
        "yamllint": ["yamllint", "--strict", ".github", ".yamllint"],
        "shellcheck": ["shellcheck", ".ci/run"],
        "codespell": ["codespell"],
    }


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", choices=list(checks()), help="run this one alone")


def run(options: argparse.Namespace, places: Places, supervisor: Supervisor) -> int:
    failed = 0
    for name, command in checks().items():
        if options.only in (None, name):
            failed += not _passes(name, command, places, supervisor)
    print("All is well." if not failed else f"{failed} failed.")
    return 1 if failed else 0


def _passes(name: str, command: list[str], places: Places, supervisor: Supervisor) -> bool:
    program = str(places.scripts / command[0])
    part = Part(name.replace(" ", "-"), [program, *command[1:]], places.root, places.environment())
    started = time.monotonic()
    failure = supervisor.outcome(part, lines=REPORT_LINES)
    print(f"{name:<12} {'FAILED' if failure else 'ok':<6} {time.monotonic() - started:5.1f} s")
    if failure:
        print(failure)
    return failure is None
