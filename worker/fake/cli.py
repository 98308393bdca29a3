"""The command line of the misbehaving worker."""

import argparse
from collections.abc import Sequence

from worker import cli
from worker.fake.loop import CRASHED, FakeLoop
from worker.fake.modes import MODES, Behaviour
from worker.fake.wrong import ENCODINGS, GARBAGE
from worker.queue_loop import Options

# Where an option means something; given with another mode it is a mistake of the caller.
BELONGS_TO = {
    "delay": ("slow", "late"),
    "times": ("duplicate",),
    "garbage": ("garbage",),
    "encoding": ("wrong-encoding",),
    "code": ("failed",),
    "message": ("failed",),
    "retryable": ("failed",),
}
MOST_TIMES = 100
# As long as a job may wait at most.
LONGEST_DELAY_SECONDS = 432_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the misbehaving worker; returns 0 when it was told to stop or has dealt with `--count`, 2 on misuse."""
    parser = make_parser()
    asked = parser.parse_args(arguments)
    behaviour = _behaviour(parser, asked)
    account = cli.connect(parser, asked.connection)
    stop = cli.stop_on_signals()
    try:
        return cli.run(FakeLoop(account, Options(asked.visibility, asked.poll), stop, behaviour, asked.count))
    finally:
        account.close()


def make_parser() -> argparse.ArgumentParser:
    """All options, with a line of help for each mode."""
    parser = argparse.ArgumentParser(
        prog="python -m worker.fake",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="A worker that misbehaves on purpose. It takes requests from the queue video-to-processing and\n"
        "answers on the queue that the request names, without looking at any video.\n\nmodes:\n"
        + "\n".join(f"  {name:<15} {mode.summary}" for name, mode in MODES.items()),
        epilog="example, for a job that was started with timeoutSeconds 20:\n"
        "  python -m worker.fake --mode late --delay 3 --count 1\n\n"
        f"exit codes: 0 ended by Ctrl-C, SIGTERM or --count; 2 misuse; {CRASHED} after --mode crash",
    )
    parser.add_argument("--mode", choices=list(MODES), required=True, help="how to misbehave, see above")
    parser.add_argument(
        "--count", type=_number, metavar="N", help="end after so many requests (default: run until Ctrl-C)"
    )
    parser.add_argument(
        "--delay",
        type=_seconds,
        metavar="SECONDS",
        help="slow, late: how long to wait; the app's requests vanish from the queue a minute after their deadline, "
        "and then nothing is sent",
    )
    parser.add_argument("--times", type=_times, metavar="N", help="duplicate: how often to send the report (2)")
    parser.add_argument("--garbage", choices=list(GARBAGE), help="garbage: send only this kind (default: one of each)")
    parser.add_argument(
        "--encoding",
        choices=list(ENCODINGS),
        help="wrong-encoding: use only this one (default: each in turn); "
        f"the app accepts {_encodings(accepted=True)} and refuses {_encodings(accepted=False)}",
    )
    parser.add_argument("--code", help=f"failed: the error's code ({Behaviour.code})")
    parser.add_argument("--message", help=f"failed: the error's message ({Behaviour.message})")
    parser.add_argument(
        "--retryable", action="store_true", default=None, help="failed: say that another attempt may go better"
    )
    cli.add_queue_options(parser)
    return parser


def _behaviour(parser: argparse.ArgumentParser, asked: argparse.Namespace) -> Behaviour:
    given = {name: value for name in BELONGS_TO if (value := getattr(asked, name)) is not None}
    for name in given:
        if asked.mode not in BELONGS_TO[name]:
            parser.error(f"--{name} belongs to --mode {' or '.join(BELONGS_TO[name])}, not to {asked.mode}")
    delay = given.pop("delay", None)
    return Behaviour(asked.mode, delay, **given)


def _encodings(*, accepted: bool) -> str:
    return ", ".join(name for name, encoding in ENCODINGS.items() if encoding.accepted == accepted)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= LONGEST_DELAY_SECONDS:
        raise argparse.ArgumentTypeError(f"must be from 0 to {LONGEST_DELAY_SECONDS} seconds")
    return value


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a whole number from 1")
    return int(text)


def _times(text: str) -> int:
    value = _number(text)
    if value > MOST_TIMES:
        raise argparse.ArgumentTypeError(f"must be at most {MOST_TIMES}")
    return value
