"""Bodies as nobody should send them: some valid, most damaged, some from nothing. A seed always gives the same."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from itertools import count
from typing import Any

from video_jobs.contract import MAX_CANCEL_BYTES, MAX_MESSAGE_BYTES, MAX_START_BYTES

# What `json.dumps` can't write is put in afterwards, in place of these texts.
_TOKENS: dict[str, str] = {
    "<100 deep>": "[" * 100 + "]" * 100,
    "<3000 deep>": '{"a":' * 3000 + "1" + "}" * 3000,
    "<50000 deep>": "[" * 50_000,
    "<400 digits>": "9" * 400,
    "<5000 digits>": "-" + "9" * 5000,
    "<hexadecimal>": "0xFF",
    "<octal>": "010",
    "<exponent>": "1e400",
    "<plus>": "+1",
    "<bad escape>": r'"\x41"',
    "<half a pair>": r'"\ud83d"',
    "<pair the wrong way>": r'"\ude00\ud83d"',
    "<raw control>": '"a\x01\n\tb"',
    "<undefined>": "undefined",
    "<comment>": "/* */ 1",
}
ODD_TEXTS = (
    "",
    " ",
    "\0",
    "a\0b",
    "\ufeff",
    "\ud800",
    "\udfff x",
    "\u2028\u2029\x85",
    "\u202egnp.exe",
    "i\u0307\u0130\u0131ß",
    "e\u0301\u0301\u0301" * 20,
    "відео/файл.avi",
    "\U0001f3ac" * 40,
    "\uffff\ufffe",
    "../../etc/passwd",
    "'; DROP TABLE instances; --",
    "%s%n{0}${jndi}",
    "null",
    "NaN",
    "1" * 400,
    "2024-02-30T25:61:61Z",
    "https://a:b@c:99999/?sig=secret",
    "http://[::1",
    "http://\ud800/",
    "x" * 1025,
    "ї" * 20_000,
)
_NUMBERS: tuple[Any, ...] = (
    0,
    -1,
    1.5,
    1.0,
    1e308,
    -0.0,
    2**31,
    2**53 + 1,
    2**63,
    2**64,
    -(2**70),
    float("nan"),
    float("inf"),
    -float("inf"),
)
_CLASS = {"__class__": "timedelta", "__module__": "datetime", "__data__": '{"x": 1}'}
_OTHERS: tuple[Any, ...] = (None, True, False, [], {}, [[]], {"": ""}, {"a": [None]}, _CLASS, list(range(500)))

_ODD_BYTES = (b"\0", b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"//", b'"')


@dataclass(frozen=True)
class Input:
    """A body; `untouched` when nothing was done to a valid one."""

    body: bytes
    untouched: bool = False


class Inputs:
    """The sequence of inputs that a seed stands for."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self._numbers = count(1)

    def start(self) -> Input:
        """The body of a start."""
        chance = self.chance
        valid: dict[str, Any] = {"blobURL": "https://videos.example/a.avi?sig=s", "blobName": "videos/a.avi"}
        if chance.random() < 0.7:
            valid["timeoutSeconds"] = chance.choice((1, 30, 360, 360, 3600, 86_400, 86_400, 432_000))
        if chance.random() < 0.3:
            valid["maxAttempts"] = chance.randint(1, 5)
        return self._made(valid, MAX_START_BYTES)

    def report(self, job: str, untouched: float = 0.25) -> Input:
        """A report for a job, each with a number of its own in its details; `untouched` is the share of those."""
        valid: dict[str, Any] = {
            "instance_id": job,
            "blobUrl": "https://videos.example/a.avi",
            "blobName": "videos/a.avi",
            "status": self.chance.choice(("PROCESSED", "processed", "FAILED")),
            "start_timestamp": "2025-12-14T18:00:30.761319",
            "stop_timestamp": "2025-12-14T18:00:37.427266",
            "details": {"number": next(self._numbers)},
        }
        if self.chance.random() < 0.3:
            valid["attempt"] = self.chance.choice((1, 1, 1, 2, 9))
        if valid["status"] == "FAILED":
            retryable = self.chance.random() < 0.5
            valid["error"] = {"code": "no_space", "message": "The disk is full", "retryable": retryable}
        return self._made(valid, MAX_MESSAGE_BYTES, untouched)

    def queue_text(self, job: str) -> tuple[str, bool]:
        """The same as a message: what no queue could hold is cut off. Whether it is untouched."""
        made = self.report(job)
        if self.chance.random() < 0.5:
            text = base64.b64encode(made.body).decode()
        else:
            text = made.body.decode(errors="replace")
        return text.encode()[:MAX_MESSAGE_BYTES].decode(errors="ignore"), made.untouched

    def event(self, job: str, name: str) -> Input:
        """The data of an event of that name; few are good, for one good one ends the job."""
        if name.lower() == "cancel":
            made = self._made({"reason": "not wanted any more"}, MAX_CANCEL_BYTES, 0.02)
        else:
            made = self.report(job, 0.02)
        roll = self.chance.random()
        if roll < 0.2:
            # As the SDK sends it: JSON in a JSON string.
            return Input(json.dumps(made.body.decode(errors="replace")).encode(), made.untouched)
        return Input(_json(self.odd_value())) if roll < 0.5 else made

    def event_garbage(self) -> bytes:
        """The data of an event that is no report."""
        return _json(self.odd_value())

    def odd_value(self) -> Any:
        """Anything that can be a value in JSON, or nearly."""
        pool = self.chance.choice((ODD_TEXTS, _NUMBERS, _OTHERS, tuple(_TOKENS)))
        return deepcopy(self.chance.choice(pool))

    def odd_text(self) -> str:
        return self.chance.choice(ODD_TEXTS)

    # --- how a body is made -------------------------------------------------------------------------------

    def _made(self, valid: dict[str, Any], limit: int, untouched: float = 0.3) -> Input:
        roll = self.chance.random()
        if roll < untouched:
            return Input(_json(valid, ascii_only=self.chance.random() < 0.5), untouched=True)
        if roll < untouched + 0.1:
            return Input(self._from_nothing())
        damages = self.chance.choice((1, 1, 2, 3))
        in_text = self.chance.choice((True, False, False))
        value: Any = deepcopy(valid)
        for _ in range(damages - in_text):
            if isinstance(value, dict):
                value = self._damaged(value)
        body = _json(value, ascii_only=self.chance.random() < 0.5)
        return Input(self._damaged_text(body, limit) if in_text else body)

    def _damaged(self, value: dict[str, Any]) -> Any:
        inner = [child for child in value.values() if isinstance(child, dict)]
        place = self.chance.choice([value, value, *inner])
        key = self.chance.choice([*place, "details"])
        kind = self.chance.randrange(7)
        if kind == 0:
            place.pop(key, None)
        elif kind == 1:
            place[self.chance.choice((*ODD_TEXTS[:12], "unknown", "__class__"))] = self.odd_value()
        elif kind == 2:
            place[self.chance.choice((key.lower(), key.upper(), key + " ", f"\ufeff{key}"))] = place.pop(key, None)
        elif kind == 3:
            place[key] = str(place.get(key)) + self.odd_text()
        elif kind == 4 and self.chance.random() < 0.3:
            return self.chance.choice(([value], {"body": value}, [value, value], json.dumps(value)))
        else:
            place[key] = self.odd_value()
        return value

    def _damaged_text(self, body: bytes, limit: int) -> bytes:
        at = self.chance.randrange(len(body) + 1)
        text = body.decode(errors="replace")
        ways: tuple[Callable[[], bytes], ...] = (
            lambda: body[:at],
            lambda: body[:at] + self.chance.randbytes(1) + body[at + 1 :],
            lambda: body[:at] + self.chance.choice(_ODD_BYTES) + body[at:],
            lambda: b'{"instance_id": "twice", "blobURL": 1, "reason": 2, ' + body[1:],
            lambda: body[:-1] + b',"status": "PROCESSED", "blobName": "again"}',
            lambda: b"\xef\xbb\xbf" + body,
            lambda: body + body,
            lambda: body.replace(b'"', b"'"),
            lambda: body[:-1] + b",}",
            lambda: text.encode(self.chance.choice(("utf-16", "utf-16-le", "utf-32", "utf-8-sig"))),
            lambda: text.encode("latin-1", "replace") + b"\xe9",
            lambda: base64.b64encode(body),
            lambda: base64.b64encode(base64.b64encode(body)),
            lambda: base64.b64encode(body)[:-3],
            lambda: base64.urlsafe_b64encode(b"\xfb\xff" + body),
            lambda: body + b" " * (limit + self.chance.choice((-1, 0, 1)) - len(body)),
            lambda: b" " * (2 * limit) + body,
        )
        return self.chance.choice(ways)()

    def _from_nothing(self) -> bytes:
        chance = self.chance
        ways: tuple[Callable[[], bytes], ...] = (
            lambda: b"",
            lambda: chance.choice((b" ", b"\0", b"\xef\xbb\xbf", b"null", b"{", b"[]", b'""', b"{}", b"====", b"ZZZZ")),
            lambda: chance.randbytes(chance.choice((1, 4, 60, 3000))),
            lambda: bytes(chance.choices(range(32, 127), k=chance.choice((3, 40, 4000)))),
            lambda: _json(self.odd_value()),
            lambda: base64.b64encode(chance.randbytes(chance.randrange(90))),
        )
        return chance.choice(ways)()


def _json(value: Any, *, ascii_only: bool = True) -> bytes:
    text = json.dumps(value, ensure_ascii=ascii_only)
    for token, raw in _TOKENS.items():
        text = text.replace(json.dumps(token), raw)
    return text.encode("utf-8", "surrogatepass")
