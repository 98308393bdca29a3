"""What a running function can be told about its invocation: `context`, and `Out` parameters."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import azure.functions as func

from devhost.logs import thread_invocation


class OutValue(func.Out[Any]):
    """An output parameter; what was set last is sent when the function has succeeded."""

    def __init__(self) -> None:
        self._value: Any = None

    def set(self, val: Any) -> None:
        self._value = val

    def get(self) -> Any:
        return self._value


@dataclass(frozen=True)
class TraceContext:
    """Empty, as without telemetry."""

    trace_parent: str = ""
    trace_state: str = ""
    attributes: dict[str, str] = field(default_factory=dict)

    @property
    def Traceparent(self) -> str:  # noqa: N802 - the name in Azure
        return self.trace_parent

    @property
    def Tracestate(self) -> str:  # noqa: N802 - the name in Azure
        return self.trace_state

    @property
    def Attributes(self) -> dict[str, str]:  # noqa: N802 - the name in Azure
        return self.attributes


@dataclass(frozen=True)
class RpcException:
    """What the last try failed with; empty in a first try."""

    source: str = ""
    stack_trace: str = ""
    message: str = ""


@dataclass(frozen=True)
class RetryContext:
    """Which try of a function with a retry policy this is."""

    retry_count: int = 0
    max_retry_count: int = 0
    rpc_exception: RpcException = field(default_factory=RpcException)


class InvocationContext(func.Context):
    """The object that a parameter `context` receives."""

    def __init__(
        self, function_name: str, function_directory: str, invocation_id: str, retry: RetryContext | None = None
    ) -> None:
        self._function_name = function_name
        self._function_directory = function_directory
        self._invocation_id = invocation_id
        self._trace = TraceContext()
        self._retry = retry or RetryContext()

    @property
    def function_name(self) -> str:
        return self._function_name

    @property
    def function_directory(self) -> str:
        return self._function_directory

    @property
    def invocation_id(self) -> str:
        return self._invocation_id

    @property
    def trace_context(self) -> Any:
        return self._trace

    @property
    def retry_context(self) -> Any:
        return self._retry

    @property
    def thread_local_storage(self) -> threading.local:  # type: ignore[override] # the SDK says type[local]
        return thread_invocation
