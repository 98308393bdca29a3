"""The app's functions as the host sees them: loaded, checked, in order of name."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devhost.app_module import DEFAULT_SCRIPT, AppModule
from devhost.binding_checks import check_function
from devhost.http.routing import check_routes, full_route, is_http
from devhost.http.templates import BadTemplate, parse_template
from devhost.logs import STARTUP_CATEGORY, Level
from devhost.parameters import Signature, read_signature
from devhost.settings import HostSettings
from devhost.stacks import whole_text

NO_FUNCTIONS = (
    "No job functions found. Try making your job classes and methods public. If you're using binding "
    "extensions (e.g. Azure Storage, ServiceBus, Timers, etc.) make sure you've called the registration "
    "method for the extension(s) in your startup code (e.g. builder.AddAzureStorage(), "
    "builder.AddServiceBus(), builder.AddTimers(), etc.)."
)


@dataclass(eq=False)
class Function:
    """One function. `bindings` are the SDK's raw bindings, in its order; `errors` keep it from running."""

    name: str
    bindings: list[dict[str, Any]]
    call: Callable[..., Any]
    signature: Signature
    script_file: str = DEFAULT_SCRIPT
    directory: str = ""
    retry_policy: dict[str, Any] | None = None
    disabled: bool = False
    filtered_out: bool = False
    errors: list[str] = field(default_factory=list)
    listed: bool = True
    failed_indexing: bool = False
    trigger_name: str | None = None

    def __post_init__(self) -> None:
        self.is_async = inspect.iscoroutinefunction(self.call)
        self.entry_point: str = getattr(self.call, "__name__", self.name)
        self.trigger: dict[str, Any] = next(each for each in self.bindings if self._is_trigger(each))
        self.trigger_type: str = self.trigger["type"]

    def _is_trigger(self, binding: Mapping[str, Any]) -> bool:
        if self.trigger_name is not None:
            return bool(binding["name"] == self.trigger_name)
        return bool(binding["type"].lower().endswith("trigger"))

    @property
    def runs(self) -> bool:
        """Whether triggers may run it: neither in error, nor disabled, nor filtered out."""
        return not (self.errors or self.disabled or self.filtered_out)

    def binding(self, name: str) -> dict[str, Any] | None:
        """The raw binding of that name (ignoring case), `$return` for the result."""
        return next((each for each in self.bindings if each["name"].lower() == name.lower()), None)


@dataclass
class AppIndex:
    """All functions of the app, by name.

    `error` is Python's text when the worker could load none of them; `host_error` is what puts the host into
    state Error; `advice` says the same for people, when the host's text doesn't. `unknown_names` were asked
    for by `--functions` and are not there.
    """

    functions: list[Function] = field(default_factory=list)
    error: str | None = None
    host_error: str | None = None
    advice: str | None = None
    module: AppModule | None = None
    unknown_names: list[str] = field(default_factory=list)

    def by_trigger(self, trigger_type: str) -> list[Function]:
        """The functions of that trigger type that may run."""
        wanted = trigger_type.lower()
        return [each for each in self.functions if each.runs and each.trigger_type.lower() == wanted]

    def function(self, name: str) -> Function | None:
        """The function of that name, ignoring case."""
        return next((each for each in self.functions if each.name.lower() == name.lower()), None)

    def unload(self) -> None:
        """Forget the app's modules."""
        if self.module is not None:
            self.module.unload()


def index_app(settings: HostSettings) -> AppIndex:
    """Load the app of `settings.app_dir` and check its functions. What the app is to blame for doesn't raise:
    see `AppIndex.error`."""
    script = settings.setting("PYTHON_SCRIPT_FILE_NAME") or DEFAULT_SCRIPT
    module = AppModule(settings.app_dir, script)
    try:
        functions = [_function(each, script) for each in module.load()]
    except (Exception, SystemExit) as error:
        return AppIndex(error=whole_text(error), module=module)
    index = AppIndex(sorted(functions, key=lambda each: each.name.lower()), module=module)
    check(index, settings)
    return index


def check(index: AppIndex, settings: HostSettings) -> None:
    """What the host checks, function by function; one in error doesn't keep the others from running."""
    allowed = _allowed(settings)
    known = {function.name.lower() for function in index.functions}
    index.unknown_names = sorted((allowed or set()) - known)
    for function in index.functions:
        function.disabled = is_disabled(function.name, settings)
        function.filtered_out = allowed is not None and function.name.lower() not in allowed
        check_function(function, settings)
    _check_same_names(index)
    if index.host_error is not None:
        return
    routed = [each for each in index.functions if is_http(each) and not each.errors and not each.filtered_out]
    prefix = str(settings.get("extensions.http.routePrefix", "api"))
    checked = check_routes(routed, prefix)
    for function in routed:
        if function.name in checked.errors:
            function.errors.append(checked.errors[function.name])
    index.host_error = checked.host_error
    if index.host_error is not None:
        for function in routed:
            function.failed_indexing = not _is_template(full_route(function, prefix))


def is_disabled(name: str, settings: HostSettings) -> bool:
    """Whether a setting `AzureWebJobs.<name>.Disabled` or `AzureWebJobs_<name>_Disabled` is true."""
    return settings.is_true(f"AzureWebJobs.{name}.Disabled") or settings.is_true(f"AzureWebJobs_{name}_Disabled")


def start_up_lines(index: AppIndex, prefix: str) -> list[tuple[Level, str, str]]:
    """What the host logs about the index: level, category, text."""
    loaded = [each for each in index.functions if each.listed]
    lines = [(Level.INFORMATION, f"{len(loaded)} functions loaded")]
    if not loaded and index.host_error is None:
        lines.append((Level.WARNING, NO_FUNCTIONS))
    lines += [
        (Level.WARNING, f"Function 'Functions.{each.name}' failed indexing and will be disabled.")
        for each in loaded
        if each.failed_indexing
    ]
    lines += [(Level.INFORMATION, f"Function 'Functions.{f.name}' is disabled") for f in loaded if f.disabled]
    lines += [
        (Level.WARNING, f"Asked to run the function '{name}' only, but the app has none of that name.")
        for name in index.unknown_names
    ]
    if index.host_error is None:
        lines += _route_lines(loaded, prefix)
    lines += [
        (Level.ERROR, f"The '{each.name}' function is in error: {text}")
        for each in index.functions
        for text in each.errors
    ]
    if index.error is not None:
        lines.append((Level.ERROR, index.error))
    lines += [(Level.ERROR, text) for text in (index.host_error, index.advice) if text is not None]
    return [(level, STARTUP_CATEGORY, text) for level, text in lines]


def _route_lines(functions: Iterable[Function], prefix: str) -> list[tuple[Level, str]]:
    mapped = [each for each in functions if is_http(each) and not each.errors and not each.filtered_out]
    if not mapped:
        return [(Level.INFORMATION, "No HTTP routes mapped")]
    return [
        (
            Level.INFORMATION,
            f"Mapped function route '{full_route(each, prefix)}' "
            f"[{','.join(each.trigger.get('methods') or ['all'])}] to '{each.name}'",
        )
        for each in mapped
    ]


def _function(indexed: Any, script: str) -> Function:
    call = indexed.get_user_function()
    name = indexed.get_function_name()
    return Function(
        name=name,
        bindings=[json.loads(text) for text in indexed.get_raw_bindings()],
        call=call,
        signature=read_signature(name, call, indexed.get_bindings()),
        script_file=script,
        directory=str(Path(inspect.getfile(call)).parent),
        retry_policy=indexed.get_settings_dict("retry_policy"),
        trigger_name=indexed.get_trigger().name,
    )


def _is_template(route: str) -> bool:
    try:
        parse_template(route)
    except BadTemplate:
        return False
    return True


def _allowed(settings: HostSettings) -> set[str] | None:
    names = settings.get("functions")
    if not isinstance(names, list) or not names:
        return None
    return {str(name).lower() for name in names}


def _check_same_names(index: AppIndex) -> None:
    seen: dict[str, str] = {}
    for function in (each for each in index.functions if each.listed):
        other = seen.setdefault(function.name.lower(), function.name)
        if other != function.name:
            index.host_error = "System.Linq: Sequence contains more than one matching element."
            index.advice = (
                "Method overloads are not supported. There are multiple methods with the name "
                f"'Host.Functions.{function.name}'. The names '{other}' and '{function.name}' differ in case "
                "only: rename one of the two functions."
            )
            return
