"""What the misbehaving worker does with a request, by mode: decided here, without I/O."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from video_jobs.contract import ProcessingRequest, encode_report
from worker import reports
from worker.failures import VideoError
from worker.fake import wrong

SLOW_SECONDS = 30.0
LATE_SECONDS = 5.0


@dataclass(frozen=True)
class Behaviour:
    """What was asked for. Each field but `mode` belongs to one or two modes, the others ignore it.

    `delay_seconds`: for slow since the request was taken, for late since its deadline. `garbage` and
    `encoding` are keys of `wrong.GARBAGE` and `wrong.ENCODINGS`; None stands for all of them.
    """

    mode: str
    delay_seconds: float | None = None
    times: int = 2
    garbage: str | None = None
    encoding: str | None = None
    code: str = "fake_failure"
    message: str = "The misbehaving worker was told to fail"
    retryable: bool = False


@dataclass(frozen=True)
class Taken:
    """A request from the queue, when it was taken (aware), and how many were taken before it."""

    request: ProcessingRequest
    at: datetime
    number: int = 0


@dataclass(frozen=True)
class Message:
    """The text of a message for the reply queue, and when it goes there; `what` names it in the log."""

    what: str
    text: str
    due: datetime


@dataclass(frozen=True)
class Plan:
    """What is sent, in this order; then the request is deleted. With `crash` the process ends instead."""

    messages: tuple[Message, ...] = ()
    crash: bool = False


@dataclass(frozen=True)
class Mode:
    """A line of help, and what makes the plan."""

    summary: str
    plan: Callable[[Taken, Behaviour], Plan]


def plan(taken: Taken, behaviour: Behaviour) -> Plan:
    """What to do with a request. Raises KeyError for a mode that is not in `MODES`."""
    return MODES[behaviour.mode].plan(taken, behaviour)


def _ok(taken: Taken, _: Behaviour) -> Plan:
    return Plan((_processed(taken, taken.at),))


def _slow(taken: Taken, behaviour: Behaviour) -> Plan:
    return Plan((_processed(taken, taken.at + _delay(behaviour, SLOW_SECONDS)),))


def _late(taken: Taken, behaviour: Behaviour) -> Plan:
    due = taken.request.deadline + _delay(behaviour, LATE_SECONDS)
    return Plan((_processed(taken, max(taken.at, due)),))


def _crash(_: Taken, __: Behaviour) -> Plan:
    return Plan(crash=True)


def _never(_: Taken, __: Behaviour) -> Plan:
    return Plan()


def _duplicate(taken: Taken, behaviour: Behaviour) -> Plan:
    return Plan((_processed(taken, taken.at),) * behaviour.times)


def _garbage(taken: Taken, behaviour: Behaviour) -> Plan:
    kinds = [behaviour.garbage] if behaviour.garbage else wrong.GARBAGE
    report = _report(taken, taken.at)
    return Plan(tuple(Message(f"garbage ({kind})", wrong.GARBAGE[kind](report), taken.at) for kind in kinds))


def _wrong_encoding(taken: Taken, behaviour: Behaviour) -> Plan:
    names = list(wrong.ENCODINGS)
    name = behaviour.encoding or names[taken.number % len(names)]
    text = wrong.encoded(_report(taken, taken.at), name)
    return Plan((Message(f"PROCESSED as {name}", text, taken.at),))


def _failed(taken: Taken, behaviour: Behaviour) -> Plan:
    error = VideoError(behaviour.code, behaviour.message, retryable=behaviour.retryable)
    report = reports.failed(taken.request, taken.at, taken.at, error)
    return Plan((Message(f"FAILED ({behaviour.code})", encode_report(report), taken.at),))


def _delay(behaviour: Behaviour, default: float) -> timedelta:
    return timedelta(seconds=default if behaviour.delay_seconds is None else behaviour.delay_seconds)


def _processed(taken: Taken, due: datetime) -> Message:
    return Message("PROCESSED", encode_report(_report(taken, due)), due)


def _report(taken: Taken, stopped: datetime) -> dict[str, Any]:
    return {**reports.head(taken.request, "PROCESSED", taken.at, stopped), "details": {"segments": []}}


MODES = {
    "ok": Mode("a good PROCESSED report at once", _ok),
    "slow": Mode(f"a good report after --delay seconds ({SLOW_SECONDS:.0f}); keeps the request meanwhile", _slow),
    "crash": Mode("takes the request and dies; it is on the queue again after --visibility seconds", _crash),
    "duplicate": Mode("the same good report --times times (2)", _duplicate),
    "late": Mode(f"a good report --delay seconds ({LATE_SECONDS:.0f}) after the request's deadline", _late),
    "garbage": Mode("one wrong message of each kind, or of the one kind --garbage", _garbage),
    "wrong-encoding": Mode("a report in another encoding for each request, or always --encoding", _wrong_encoding),
    "failed": Mode("a FAILED report with --code, --message and --retryable", _failed),
    "never": Mode("deletes the request and reports nothing", _never),
}
