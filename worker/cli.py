"""The worker's command line."""

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType

from azure.core.exceptions import AzureError
from dotenv import dotenv_values

from worker.account import Account
from worker.queue_loop import Options, QueueLoop

# The application's own setting first, then the one that the notebook and .env use.
SETTINGS = ("VideoStorage", "STORAGE_CONNECTION_STRING")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worker; returns 0 when it was told to stop, 1 when it could not work, 2 on misuse."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    account = connect(parser, asked.connection)
    stop = stop_on_signals()
    loop = QueueLoop(account, Options(asked.visibility, asked.poll), stop)
    try:
        return _once(loop) if asked.once else run(loop)
    finally:
        account.close()


def add_queue_options(parser: argparse.ArgumentParser) -> None:
    """The options `connection`, `poll` and `visibility`, which every worker of ours has."""
    parser.add_argument(
        "--connection",
        metavar="STRING",
        help=f"connection string of the storage account (default: {' or '.join(SETTINGS)}, also from .env)",
    )
    parser.add_argument(
        "--poll", type=_positive, default=2.0, metavar="SECONDS", help="pause when there is no request (2)"
    )
    parser.add_argument(
        "--visibility",
        type=_visibility,
        default=60,
        metavar="SECONDS",
        help="how soon another worker gets the request when this one dies; renewed while it lives (60)",
    )


def connect(parser: argparse.ArgumentParser, connection: str | None) -> Account:
    """Begin to log, and open the account of the connection string or of the settings; misuse ends with code 2."""
    connection = connection or _from_settings()
    if not connection:
        parser.error(f"no storage account: give --connection or set {' or '.join(SETTINGS)}")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("azure").setLevel(logging.WARNING)
    try:
        return Account.connect(connection)
    except ValueError as error:
        parser.error(f"the connection string can't be used: {error}")


def run(loop: QueueLoop) -> int:
    """Let the loop work until it is told to stop; returns 0."""
    logging.info("Waiting for requests; Ctrl-C or SIGTERM ends the worker")
    loop.run()
    logging.info("Stopped")
    return 0


def _once(loop: QueueLoop) -> int:
    try:
        if not loop.once():
            logging.info("There is no request")
    except AzureError as error:
        logging.error("Storage does not answer: %s", next(iter(str(error).splitlines()), error))
        return 1
    return 0


def _from_settings() -> str | None:
    settings = {**dotenv_values(".env"), **os.environ}
    return next((value for name in SETTINGS if (value := settings.get(name))), None)


def stop_on_signals() -> threading.Event:
    """The event that Ctrl-C and SIGTERM set from now on."""
    stop = threading.Event()

    def on_signal(number: int, _: FrameType | None) -> None:
        stop.set()
        # The second one ends the process the hard way.
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    return stop


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError("must be more than 0 and at most 3600 seconds")
    return value


def _visibility(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 7 * 24 * 3600:
        raise argparse.ArgumentTypeError("must be from 1 second to 7 days")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m worker",
        description="Takes requests from the queue video-to-processing, finds motion in the footage, writes "
        "result.json and contact-sheet.jpg to the container video-results and reports to video-processed.",
    )
    parser.add_argument("--once", action="store_true", help="deal with one request, or find none, and end")
    add_queue_options(parser)
    return parser
