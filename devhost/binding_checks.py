"""What the host checks of each function's bindings. What fails puts that function in error, not the app."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from devhost.settings import HostSettings, MissingConnection, UnresolvedSetting

if TYPE_CHECKING:
    from devhost.functions import Function

_FUNCTION_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,127}")
_BINDING_NAME: Final = re.compile(r"\$return|[A-Za-z][A-Za-z0-9]*")
_QUEUE_LETTERS: Final = re.compile(r"[a-z0-9-]*")
_HOST: Final = "Microsoft.Azure.WebJobs.Host"
_EXTENSIONS: Final = "Microsoft.Azure.WebJobs.Extensions"
_STORAGE: Final = f"{_EXTENSIONS}.Storage"
_NOTHING: Final[tuple[Callable[..., None], ...]] = ()

Binding = dict[str, Any]


class _BindingError(Exception):
    """A binding that can't be used; `source` is the part of the host that says so."""

    def __init__(self, source: str, text: str) -> None:
        super().__init__(text)
        self.source = source


def check_function(function: Function, settings: HostSettings) -> None:
    """Add to `function.errors`; a bad name also takes it from the list of functions."""
    if (problem := _bad_name(function)) is not None:
        function.errors.append(problem)
        function.listed = False
        return
    known = {each.lower() for each in _CHECKS}
    unknown = [each["type"] for each in function.bindings if each["type"].lower() not in known]
    if unknown:
        function.errors.append(
            f"The binding type(s) '{', '.join(unknown)}' are not registered. Please ensure the type is "
            "correct and the binding extension is installed."
        )
        return
    try:
        for binding in function.bindings:
            for check in _checks_of(binding["type"]):
                check(binding, settings)
    except _BindingError as error:
        function.failed_indexing = True
        text = f"{_HOST}: Error indexing method 'Functions.{function.name}'. {error.source}: {error}"
        function.errors.append(text.rstrip(".") + ".")


def _bad_name(function: Function) -> str | None:
    if not _FUNCTION_NAME.fullmatch(function.name) or function.name.lower() == "host":
        return f"'{function.name}' is not a valid function name."
    seen: set[str] = set()
    for binding in function.bindings:
        name = binding["name"]
        if not _BINDING_NAME.fullmatch(name):
            return f"The binding name {name} is invalid. Please assign a valid name to the binding."
        if name.lower() in seen:
            return f"Multiple bindings with name '{name}' discovered. Binding names must be unique."
        seen.add(name.lower())
    return None


def _resolved(binding: Binding, key: str, settings: HostSettings) -> str:
    try:
        return settings.resolve(str(binding.get(key) or ""))
    except UnresolvedSetting as error:
        raise _BindingError(_HOST, str(error)) from error


def _resolves(*keys: str) -> Callable[[Binding, HostSettings], None]:
    def check(binding: Binding, settings: HostSettings) -> None:
        for key in keys:
            _resolved(binding, key, settings)

    return check


def _queue_name(binding: Binding, settings: HostSettings) -> None:
    name = _resolved(binding, "queueName", settings).lower()
    if "{" in name and binding["type"] == "queue":
        return  # an expression such as {queueTrigger}: known for each message only
    if problem := queue_name_problem(name):
        raise _BindingError(_STORAGE, f"{problem} - \"{name}\" (Parameter 'name')")


def queue_name_problem(name: str) -> str | None:
    """Why `name` (lower case) can't be a queue's; None when it can."""
    if not _QUEUE_LETTERS.fullmatch(name):
        return "A queue name can contain only letters, numbers, and dash(-) characters"
    if not 3 <= len(name) <= 63:
        return "A queue name must have 3 to 63 characters"
    if name.startswith("-") or name.endswith("-") or "--" in name:
        return "A queue name must begin and end with a letter or number, and may not have two dashes in a row"
    return None


def _connection(binding: Binding, settings: HostSettings) -> None:
    try:
        settings.connection(binding.get("connection"))
    except MissingConnection as error:
        raise _BindingError(_STORAGE, str(error)) from error


def _schedule(binding: Binding, settings: HostSettings) -> None:
    from devhost.triggers.ncrontab import parse  # noqa: PLC0415 - time zones: only for apps with timers

    text = _resolved(binding, "schedule", settings)
    try:
        parse(text)
    except ValueError as error:
        raise _BindingError(_EXTENSIONS, str(error)) from error


_CHECKS: Final[dict[str, tuple[Callable[[Binding, HostSettings], None], ...]]] = {
    "httpTrigger": _NOTHING,
    "http": _NOTHING,
    "queueTrigger": (_queue_name, _connection),
    "queue": (_queue_name, _connection),
    "timerTrigger": (_schedule,),
    "eventGridTrigger": _NOTHING,
    "durableClient": (_resolves("taskHub", "connectionName"),),
    "orchestrationTrigger": (_resolves("orchestration"),),
    "activityTrigger": (_resolves("activity"),),
    "entityTrigger": (_resolves("entityName"),),
}


def _checks_of(binding_type: str) -> tuple[Callable[[Binding, HostSettings], None], ...]:
    lower = binding_type.lower()
    return next(checks for name, checks in _CHECKS.items() if name.lower() == lower)
