"""Runs a function as the Python worker does: inputs decoded, outputs encoded, any failure reported."""

from __future__ import annotations

import asyncio
import contextvars
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from azure.functions.meta import Datum

from devhost.context import InvocationContext, OutValue, RetryContext
from devhost.deadlines import Deadlines
from devhost.logs import HostLog, Invocation, Level, current_invocation, thread_invocation
from devhost.parameters import Parameter
from devhost.settings import SettingsError, timespan_text
from devhost.stacks import stack_text

if TYPE_CHECKING:
    from devhost.clock import Clock
    from devhost.functions import Function
    from devhost.settings import HostSettings

DEFAULT_THREADS: Final = 1000
_UNLIMITED: Final = timedelta(0)

SendOutput = Callable[["Function", dict[str, Any], Datum], Awaitable[None]]
ClientJson = Callable[[dict[str, Any]], str]
Replacement = Callable[[dict[str, Any], Callable[[], Awaitable[Any]]], Awaitable[Any]]


class FunctionFailed(Exception):
    """A run that failed, whatever the reason: `type_name` and `text` of the exception, and the frames."""

    def __init__(self, type_name: str, text: str, stack: str = "") -> None:
        super().__init__(type_name, text, stack)
        self.type_name = type_name
        self.text = text
        self.stack = stack

    @classmethod
    def because(cls, error: BaseException) -> FunctionFailed:
        """The failure that an exception of the function (or of its bindings) means."""
        return cls(type(error).__name__, str(error), stack_text(error))

    @property
    def message(self) -> str:
        """`TypeName: text`, without module or chained causes."""
        return f"{self.type_name}: {self.text}"

    @property
    def details(self) -> str:
        """The text of the host for it."""
        return f"Result: Failure\nException: {self.message}\nStack: {self.stack}"

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class _Plan:
    """All that is the same in each run of a function."""

    call: Callable[..., Any]
    is_async: bool
    category: str
    trigger: tuple[str, Parameter]
    clients: list[tuple[str, Parameter, dict[str, Any]]]
    outputs: list[tuple[str, Parameter, dict[str, Any]]]
    returns: Parameter | None
    sent_return: dict[str, Any] | None
    takes_context: bool

    @classmethod
    def of(cls, function: Function) -> _Plan:
        signature = function.signature
        trigger_name = function.trigger["name"]
        bound = {binding["name"]: binding for binding in function.bindings}
        result = bound.get("$return")
        return cls(
            call=function.call,
            is_async=function.is_async,
            category=f"Function.{function.name}",
            trigger=(trigger_name, signature.inputs[trigger_name]),
            clients=[
                (name, parameter, bound[name]) for name, parameter in signature.inputs.items() if name != trigger_name
            ],
            outputs=[(name, parameter, bound[name]) for name, parameter in signature.outputs.items()],
            returns=signature.returns,
            sent_return=result if result is not None and result["type"].lower() != "http" else None,
            takes_context=signature.takes_context,
        )


@dataclass(eq=False)
class _Run:
    """A run under way. `expired` once its time is over; the task is the caller's own."""

    function: Function
    invocation: Invocation
    task: asyncio.Task[Any]
    expired: bool = False
    retry: RetryContext | None = None
    began: datetime = field(kw_only=True)

    def expire(self) -> None:
        self.expired = True
        self.task.cancel()


class Invoker:
    """Runs functions: `def` on a pool of threads, `async def` on the loop.

    `client_json` gives the text for a durableClient binding; `send_output` sends one output of a function
    that has succeeded.
    """

    def __init__(
        self,
        settings: HostSettings,
        clock: Clock,
        client_json: ClientJson,
        send_output: SendOutput,
        log: HostLog | None = None,
        *,
        unlimited: bool = False,
    ) -> None:
        """`unlimited` leaves the `functionTimeout` of host.json alone. Raises `SettingsError`."""
        self._clock = clock
        self._client_json = client_json
        self._send_output = send_output
        self._log = log or HostLog(clock)
        self._plans: dict[Function, _Plan] = {}
        self._replaced: dict[Function, Replacement] = {}
        self._pool = ThreadPoolExecutor(_thread_count(settings))
        limit = _UNLIMITED if unlimited else settings.timespan("functionTimeout", _UNLIMITED)
        self._deadlines = Deadlines(limit, clock) if limit > _UNLIMITED else None
        self._runs: dict[str, _Run] = {}
        self._on_threads: dict[str, str] = {}
        self._idle: list[asyncio.Future[None]] = []

    async def invoke(
        self,
        function: Function,
        trigger: Datum,
        *,
        metadata: Mapping[str, Datum] | None = None,
        reason: str,
        details: str | None = None,
        invocation_id: str | None = None,
        retry: RetryContext | None = None,
    ) -> Datum | None:
        """Run `function` once with the trigger's value and give its result for the host, None if it has none.

        Other outputs are sent after the function has succeeded; that they can't be sent is a failure too.
        Raises `FunctionFailed` on any failure, be it SystemExit or the time limit; `CancelledError` only when
        the caller itself is cancelled.
        """
        plan = self._plan(function)
        run = self._begin(function, invocation_id or str(uuid.uuid4()))
        run.retry = retry
        token = current_invocation.set(run.invocation)
        self._log_begin(plan, run, reason, details)
        failure: FunctionFailed | None = None
        try:
            return await self._perform(plan, run, trigger, metadata or {})
        except FunctionFailed as error:
            failure = error
            raise
        except asyncio.CancelledError:
            failure = FunctionFailed("CancelledError", "The host stops before the function has ended.")
            raise
        finally:
            current_invocation.reset(token)
            self._end(run)
            self._log_end(plan, run, failure)

    def replace(self, function: Function, replacement: Replacement) -> None:
        """Have `replacement` run in the place of the function's own code.

        It is given the decoded arguments by name and a coroutine function that runs the function's own code with
        them; what it returns is encoded as the function's result.
        """
        self._replaced[function] = replacement

    def tasks(self) -> dict[asyncio.Task[Any], str]:
        """The tasks in which functions run now, each with the function's name."""
        return {run.task: run.function.name for run in self._runs.values()}

    async def drained(self) -> None:
        """Return when no function runs."""
        while self._runs:
            idle: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(idle)
            await idle

    def cancel_all(self) -> None:
        """Cancel the tasks that wait for a function now."""
        for run in list(self._runs.values()):
            run.task.cancel()

    def running(self) -> list[str]:
        """Names of the functions that run now, once each."""
        return sorted({run.function.name for run in self._runs.values()})

    def on_threads(self) -> list[str]:
        """Names of the functions that still hold a thread; nothing can stop a thread from outside."""
        return sorted(self._on_threads.values())

    def close(self) -> None:
        """Take no more work for the threads."""
        if self._deadlines is not None:
            self._deadlines.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _plan(self, function: Function) -> _Plan:
        plan = self._plans.get(function)
        if plan is None:
            plan = self._plans[function] = _Plan.of(function)
        return plan

    def _begin(self, function: Function, invocation_id: str) -> _Run:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine always runs in a task
        invocation = Invocation(invocation_id, function.name, self._log)
        run = _Run(function, invocation, task, began=self._clock.now())
        self._runs[invocation_id] = run
        self._log.began(invocation)
        if self._deadlines is not None:
            self._deadlines.add(run, run.expire)
        return run

    def _end(self, run: _Run) -> None:
        if self._deadlines is not None:
            self._deadlines.remove(run)
        self._log.ended(run.invocation)
        self._runs.pop(run.invocation.id, None)
        if not self._runs:
            for idle in self._idle:
                if not idle.done():
                    idle.set_result(None)
            self._idle.clear()

    async def _perform(self, plan: _Plan, run: _Run, trigger: Datum, metadata: Mapping[str, Datum]) -> Datum | None:
        try:
            arguments = self._arguments(plan, run, trigger, metadata)
            result = await self._call(plan, run, arguments)
            outputs, returned = _encoded(plan, run.function.name, arguments, result)
            for binding, datum in outputs:
                await self._send_output(run.function, binding, datum)
            self._expect_time_left(run)
        except asyncio.CancelledError as error:
            if run.expired and run.task.uncancel() == 0:
                raise self._timed_out(run) from error
            if run.task.cancelling():
                raise
            raise FunctionFailed.because(error) from error  # the function's own doing
        except FunctionFailed:
            raise
        except GeneratorExit:
            raise
        except BaseException as error:
            # SystemExit and KeyboardInterrupt of a function end the worker in Azure; here they fail the run.
            raise FunctionFailed.because(error) from error
        return returned

    def _arguments(self, plan: _Plan, run: _Run, trigger: Datum, metadata: Mapping[str, Datum]) -> dict[str, Any]:
        name, parameter = plan.trigger
        arguments = {name: _decoded(parameter, trigger, metadata)}
        for name, parameter, binding in plan.clients:
            arguments[name] = _decoded(parameter, Datum(self._client_json(binding), "string"), {})
        for name, _, _ in plan.outputs:
            arguments[name] = OutValue()
        if plan.takes_context:
            function = run.function
            arguments["context"] = InvocationContext(function.name, function.directory, run.invocation.id, run.retry)
        return arguments

    async def _call(self, plan: _Plan, run: _Run, arguments: dict[str, Any]) -> Any:
        replacement = self._replaced.get(run.function)
        if replacement is not None:
            return await replacement(arguments, lambda: self._call_own(plan, run, arguments))
        return await self._call_own(plan, run, arguments)

    async def _call_own(self, plan: _Plan, run: _Run, arguments: dict[str, Any]) -> Any:
        if plan.is_async:
            return await plan.call(**arguments)
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        result, error = await loop.run_in_executor(
            self._pool, context.run, self._call_on_thread, plan.call, run, arguments
        )
        if error is not None:
            raise error
        return result

    def _call_on_thread(
        self, call: Callable[..., Any], run: _Run, arguments: dict[str, Any]
    ) -> tuple[Any, BaseException | None]:
        # Exceptions go back as values: a SystemExit on a future would end the loop.
        thread_invocation.invocation_id = run.invocation.id
        self._on_threads[run.invocation.id] = run.function.name
        try:
            return call(**arguments), None
        except BaseException as error:
            return None, error
        finally:
            del self._on_threads[run.invocation.id]
            thread_invocation.invocation_id = None

    def _expect_time_left(self, run: _Run) -> None:
        if run.expired:  # the function has swallowed its cancellation
            run.task.uncancel()
            raise self._timed_out(run)

    def _timed_out(self, run: _Run) -> FunctionFailed:
        assert self._deadlines is not None  # noqa: S101 - who expires has a deadline
        limit = timespan_text(self._deadlines.limit)
        name = f"Functions.{run.function.name}"
        category = f"Function.{run.function.name}"
        self._log.write(
            category,
            Level.ERROR,
            f"Timeout value of {limit} exceeded by function '{name}' (Id: '{run.invocation.id}'). "
            "Initiating cancellation.",
        )
        if run.invocation.id in self._on_threads:
            self._log.write(
                category,
                Level.WARNING,
                f"Function '{name}' can't be stopped on its thread: it runs on to its end, and what it "
                "returns is dropped. (In Azure the whole worker process is restarted.)",
            )
        return FunctionFailed("FunctionTimeoutException", f"Timeout value of {limit} was exceeded by function: {name}")

    def _log_begin(self, plan: _Plan, run: _Run, reason: str, details: str | None) -> None:
        if not self._log.is_enabled(plan.category, Level.INFORMATION):
            return
        name = run.function.name
        text = f"Executing 'Functions.{name}' (Reason='{reason}', Id={run.invocation.id})"
        self._log.show(plan.category, Level.INFORMATION, text)
        if details is not None:
            self._log.show(plan.category, Level.INFORMATION, f"Trigger Details: {details}")

    def _log_end(self, plan: _Plan, run: _Run, failure: FunctionFailed | None) -> None:
        level, outcome = (Level.INFORMATION, "Succeeded") if failure is None else (Level.ERROR, "Failed")
        if not self._log.is_enabled(plan.category, level):
            return
        took = (self._clock.now() - run.began) // timedelta(milliseconds=1)
        text = f"Executed 'Functions.{run.function.name}' ({outcome}, Id={run.invocation.id}, Duration={took}ms)"
        self._log.show(plan.category, level, text)
        if failure is not None:
            self._log.show(plan.category, level, failure.details.rstrip())


def _thread_count(settings: HostSettings) -> int:
    text = settings.setting("PYTHON_THREADPOOL_THREAD_COUNT")
    if text is None:
        return DEFAULT_THREADS
    if not text.isdigit() or int(text) == 0:
        raise SettingsError(f"PYTHON_THREADPOOL_THREAD_COUNT must be a whole number above zero, not {text!r}.")
    return int(text)


def _decoded(parameter: Parameter, datum: Datum, metadata: Mapping[str, Datum]) -> Any:
    try:
        return parameter.converter.decode(datum, trigger_metadata=metadata)
    except NotImplementedError:
        raise TypeError(
            f"unable to decode incoming TypedData: unsupported combination of TypedData field {datum.type!r} "
            f"and expected binding type {parameter.converter}"
        ) from None


def _encoded(
    plan: _Plan, name: str, arguments: Mapping[str, Any], result: Any
) -> tuple[list[tuple[dict[str, Any], Datum]], Datum | None]:
    if result is not None and plan.returns is None:
        # The missing blank is the worker's own.
        raise RuntimeError(f"function {name!r} without a $return bindingreturned a non-None value")
    outputs = []
    for parameter_name, parameter, binding in plan.outputs:
        value = arguments[parameter_name].get()
        if value is not None:
            outputs.append((binding, _datum(parameter, value)))
    returned = None if plan.returns is None else _datum(plan.returns, result)
    if plan.sent_return is not None and returned is not None:
        return [*outputs, (plan.sent_return, returned)], None
    return outputs, returned


def _datum(parameter: Parameter, value: Any) -> Datum:
    try:
        datum = parameter.converter.encode(value, expected_type=parameter.annotation)
    except NotImplementedError:
        raise TypeError(
            f'unable to encode outgoing TypedData: unsupported type "{parameter.converter}" for '
            f'Python type "{type(value).__name__}"'
        ) from None
    if datum.type in ("dict", "list"):
        return Datum(json.dumps(datum.value), "json")
    if datum.type == "bool":
        return Datum(int(datum.value), "int")
    return datum
