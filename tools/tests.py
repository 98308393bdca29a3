"""`dev.py test`: all tests, or what the arguments for pytest choose."""

from __future__ import annotations

import argparse
import signal

from tools.installation import Places
from tools.supervisor import Part, Supervisor


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s [--venv DIR] [--node-modules DIR] [arguments for pytest, such as -k queue]"


def run(options: argparse.Namespace, places: Places, supervisor: Supervisor) -> int:
    pytest = Part(
        "pytest",
        [str(places.python), "-m", "pytest", *options.rest],
        places.root,
        places.environment(),
        shown=True,
        stop_with=signal.SIGINT,  # on this one pytest still ends its fixtures and what they started
        grace_seconds=60,
    )
    return supervisor.run(pytest)
