"""Types for the few calls of the Durable Functions SDK that the application makes; the SDK has none."""

from collections.abc import Callable, Generator, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeAlias, TypeVar

import azure.durable_functions as df
import azure.functions as func

Function = TypeVar("Function", bound=Callable[..., Any])
Steps: TypeAlias = Generator["Task", Any, dict[str, Any]]


class Task(Protocol):
    """Work that the host does for an orchestrator."""

    result: Any

    @property
    def is_completed(self) -> bool: ...


class TimerTask(Task, Protocol):
    def cancel(self) -> None: ...


class HistoryEvent(Protocol):
    """One event of an instance's history; `Name` and `Input` are None where a kind of event has none."""

    Name: str | None
    Input: Any

    @property
    def event_type(self) -> int: ...


class OrchestrationContext(Protocol):
    """What an orchestrator may call. Everything it needs to know comes through here."""

    @property
    def instance_id(self) -> str: ...

    @property
    def current_utc_datetime(self) -> datetime: ...

    @property
    def is_replaying(self) -> bool: ...

    @property
    def histories(self) -> list[HistoryEvent]: ...

    def get_input(self) -> Any: ...

    def set_custom_status(self, status: Any) -> None: ...

    def call_activity(self, name: str, input_: Any = None) -> Task: ...

    def call_activity_with_retry(self, name: str, retry_options: Any, input_: Any = None) -> Task: ...

    def create_timer(self, fire_at: datetime) -> TimerTask: ...

    def wait_for_external_event(self, name: str) -> Task: ...

    def task_any(self, tasks: list[Task]) -> Task: ...


class RuntimeStatus(Protocol):
    @property
    def name(self) -> str: ...


class InstanceStatus(Protocol):
    """The status of an instance; false when there is no such instance, and then every field is None."""

    @property
    def name(self) -> str | None: ...

    @property
    def runtime_status(self) -> RuntimeStatus | None: ...

    @property
    def custom_status(self) -> Any: ...

    @property
    def input_(self) -> Any: ...

    @property
    def output(self) -> Any: ...

    def __bool__(self) -> bool: ...


class Purged(Protocol):
    @property
    def instances_deleted(self) -> int: ...


class DurableClient(Protocol):
    """What a client function may ask of the host."""

    async def start_new(
        self, orchestration_function_name: str, instance_id: str | None = None, client_input: Any = None
    ) -> str: ...

    async def get_status(self, instance_id: str, *, show_input: bool = False) -> InstanceStatus: ...

    async def raise_event(self, instance_id: str, event_name: str, event_data: Any = None) -> None: ...

    def create_check_status_response(self, request: func.HttpRequest, instance_id: str) -> func.HttpResponse: ...


class PurgeClient(Protocol):
    """What housekeeping asks of the host."""

    async def purge_instance_history_by(
        self,
        created_time_from: datetime,
        created_time_to: datetime,
        runtime_status: list[df.OrchestrationRuntimeStatus],
    ) -> Purged: ...


class DurableApp(Protocol):
    """The decorators of `function_app.py`."""

    def route(self, *, route: str, methods: Sequence[str]) -> Callable[[Function], Function]: ...

    def queue_trigger(self, *, arg_name: str, queue_name: str, connection: str) -> Callable[[Function], Function]: ...

    def timer_trigger(self, *, arg_name: str, schedule: str) -> Callable[[Function], Function]: ...

    def durable_client_input(self, *, client_name: str) -> Callable[[Function], Function]: ...

    def orchestration_trigger(self, *, context_name: str) -> Callable[[Function], Function]: ...

    def activity_trigger(self, *, input_name: str) -> Callable[[Function], Function]: ...
