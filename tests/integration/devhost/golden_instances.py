"""Holds an answer of devhost against a recorded one: the same keys in the same order, the same values, and a
pattern where the recording has a placeholder."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parents[2] / "data" / "golden"

_UUID = r"(?:[0-9a-f]{32}|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})"
_ANYTHING = r"(?s:.*)"
_PATTERNS = {
    "<time>": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,7})?(?:Z|\+00:00)?",
    "<guid>": _UUID,
    "<execution id>": _UUID,
    "<message id>": _UUID,
    "<parent execution id>": _UUID,
    "<id>": r"[\w-]+",
    "<key>": r"[\w=-]*",
    "<base>": r"http://(?:localhost|127\.0\.0\.1):\d+",
    "<target>": r"http://(?:localhost|127\.0\.0\.1):\d+",
    "<target host>": r"(?:localhost|127\.0\.0\.1):\d+",
    "<host>": r"(?:localhost|127\.0\.0\.1):\d+",
    "<rpc>": r"http://127\.0\.0\.1:\d+",
    "<date>": r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT",
    "<http date>": r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT",
    "<epoch ms>": r"\d+",
    # A stack belongs to whoever ran the code: that there is one counts, not what it says.
    "<stack>": _ANYTHING,
    "<python stack>": _ANYTHING,
    "<.net stack>": _ANYTHING,
}
_PLACEHOLDER = re.compile("|".join(map(re.escape, _PATTERNS)))
_STACK_BEGINS = re.compile(r'\\*"RemoteStackTrace\\*":\\*"')
_WHOLE_STACK = re.compile(r'("RemoteStackTrace":").*?(","RemoteMessage")', re.DOTALL)


def cases(name: str) -> list[dict[str, Any]]:
    """The cases of `<name>.json`, as recorded."""
    found: list[dict[str, Any]] = json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))["cases"]
    return found


@dataclass(frozen=True)
class Different:
    """A case that devhost answers otherwise in these places (beginnings of lines of `differences`), and why."""

    reason: str
    places: tuple[str, ...]

    def explains(self, found: list[str]) -> bool:
        """All that differs is where it was expected, and something does."""
        return bool(found) and all(line.startswith(self.places) for line in found)


def hold_against(expected: Different | None, found: list[str]) -> None:
    """Nothing differs, or just what is expected to."""
    if expected is None:
        assert found == []
    else:
        assert expected.explains(found), found


def by_title(name: str) -> dict[str, dict[str, Any]]:
    return {case["title"]: case for case in cases(name)}


def differences(recorded: Any, ours: Any, place: str = "") -> list[str]:
    """What differs, a line each; empty when `ours` is what was recorded."""
    if isinstance(recorded, dict) and isinstance(ours, dict):
        if list(recorded) != list(ours):
            return [f"{place}: keys {list(ours)} instead of {list(recorded)}"]
        return [line for key in recorded for line in differences(recorded[key], ours[key], f"{place}.{key}")]
    if isinstance(recorded, list) and isinstance(ours, list):
        if len(recorded) != len(ours):
            return [f"{place}: {len(ours)} items instead of {len(recorded)}: {json.dumps(ours)}"]
        pairs = enumerate(zip(recorded, ours, strict=True))
        return [line for number, (one, other) in pairs for line in differences(one, other, f"{place}[{number}]")]
    if isinstance(recorded, str) and isinstance(ours, str):
        return [] if fits(recorded, ours) else [f"{place}: {ours!r} instead of {recorded!r}"]
    same = type(recorded) is type(ours) and recorded == ours
    return [] if same else [f"{place}: {ours!r} instead of {recorded!r}"]


def fits(recorded: str, ours: str) -> bool:
    """Whether the text is the recorded one. A recording that was cut inside a stack counts up to that stack."""
    if "<cut>" in recorded:
        begins = _STACK_BEGINS.search(recorded)
        kept = recorded[: begins.end()] if begins else recorded.split("<cut>", 1)[0]
        return re.match(_pattern(kept), ours) is not None
    return re.fullmatch(_pattern(_WHOLE_STACK.sub(r"\1<python stack>\2", recorded)), ours) is not None


def _pattern(recorded: str) -> str:
    pieces, end = [], 0
    for found in _PLACEHOLDER.finditer(recorded):
        pieces += [re.escape(recorded[end : found.start()]), _PATTERNS[found.group()]]
        end = found.end()
    return "".join([*pieces, re.escape(recorded[end:])])


def headers_in_any_order(value: Any) -> Any:
    """Answers of `call_http` with their headers sorted, also those that the called server echoed as JSON: the order
    of HTTP headers is the client's and the server's own, and nobody can rely on it."""
    if isinstance(value, list):
        return [headers_in_any_order(one) for one in value]
    if not isinstance(value, dict):
        return value
    shown = {key: headers_in_any_order(one) for key, one in value.items()}
    if "statusCode" in shown:
        shown["headers"] = dict(sorted(shown["headers"].items()))
        shown["content"] = _sorted_echo(shown["content"])
    return shown


def _sorted_echo(content: str) -> Any:
    if not content.startswith('{"m"'):
        return content
    echo = json.loads(content)
    return {**echo, "h": dict(sorted(echo["h"].items()))}
