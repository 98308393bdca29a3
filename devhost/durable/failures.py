"""The texts of failures, as the host words them (HOST_FACTS 6.5 to 6.7 and 7)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from .events import dump

STATE_MARKER = "\n\n$OutOfProcData$:"
"""Between a raised orchestrator's own text and the state that the SDK appends to it."""

_CREDENTIALS = re.compile(
    r"(?:Token=|DefaultEndpointsProtocol=http|AccountKey=|Data Source=|Server=|Password=|pwd=|&(?:amp;)?sig=|\?sig="
    r"|&(?:amp;)?code=|\?code=|SharedAccessKey=|key=)[^<\"']*",
    re.IGNORECASE,
)
_URL_WITH_USER = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@:\"'<]+:[^\s/@\"'<]+@", re.IGNORECASE)


@dataclass(frozen=True)
class UserError:
    """An exception of user code: its type's name, its text and its formatted traceback."""

    type_name: str
    text: str
    stack: str

    @property
    def message(self) -> str:
        return f"{self.type_name}: {self.text}"


def sanitise(text: str) -> str:
    """Hide what looks like a credential, as the host does before an error text travels on."""
    return _URL_WITH_USER.sub(r"\1[Hidden Credential]@", _CREDENTIALS.sub("[Hidden Credential]", text))


def cut_stack_line(text: str) -> str:
    """The host takes what stands before a line that begins with `Stack:` as the message."""
    return text.split("\nStack:", 1)[0]


def activity_failure(name: str, error: UserError) -> tuple[str, str]:
    """Reason and Details of a TaskFailed for an exception in an activity."""
    message = cut_stack_line(sanitise(error.message))
    details = _serialised_exception("System.Exception", f" {message}", _remote_exception(error))
    return f"Activity function '{name}' failed:  {message}", dump(details)


def _remote_exception(error: UserError) -> dict[str, object]:
    """The exception of the worker, as the host passes it on."""
    message = sanitise(error.message)
    return {
        "$type": "Microsoft.Azure.WebJobs.Script.Workers.Rpc.RpcException, Microsoft.Azure.WebJobs.Script",
        "IsUserException": False,
        "RemoteStackTrace": error.stack,
        "RemoteMessage": message,
        "RemoteTypeName": None,
        "Message": f"Result: Failure\nException: {message}\nStack: {error.stack}",
        "Data": {"$type": "System.Collections.ListDictionaryInternal, System.Private.CoreLib"},
        "InnerException": None,
        "HelpLink": None,
        "Source": "System.Private.CoreLib",
        "HResult": -2146233088,
        "StackTrace": "",
    }


def _serialised_exception(class_name: str, message: str, inner: dict[str, object]) -> dict[str, object]:
    return {
        "$type": f"{class_name}, System.Private.CoreLib",
        "ClassName": class_name,
        "Message": message,
        "Data": None,
        "InnerException": inner,
        "HelpURL": None,
        "StackTraceString": None,
        "RemoteStackTraceString": None,
        "RemoteStackIndex": 0,
        "ExceptionMethod": None,
        "HResult": -2146233088,
        "Source": None,
        "WatsonBuckets": None,
    }


def missing_activity(name: str) -> str:
    return f"Activity function '{name}' failed: Activity function '{name}' does not exist."


def orchestrator_failed(name: str, error: str) -> str:
    """Output of an orchestrator that raised after at least one `yield`."""
    return f"Orchestrator function '{name}' failed: {error}"


def plain_orchestrator_failed(name: str, error: UserError) -> str:
    """Output of an orchestrator that is no generator and raised: the worker's whole text, in brackets."""
    body = f"Result: Failure\nException: {sanitise(error.message)}\nStack: {error.stack}"
    return f"Orchestrator function '{name}' failed: One or more errors occurred. ({body})"


def plain_orchestrator_details(error: UserError) -> str:
    """Details of such a failure, for the parent that waits for it."""
    message = "One or more errors occurred."
    return dump(_serialised_exception("System.AggregateException", message, _remote_exception(error)))


def unknown_orchestrator(name: str, known: list[str]) -> str:
    names = ", ".join(f"'{one}'" for one in known)
    return (
        f"Orchestrator function '{name}' failed: The function '{name}' doesn't exist, is disabled, or is not an "
        f"orchestrator function. Additional info: The following are the known orchestrator functions: {names}."
    )


def unknown_entity(name: str, known: list[str]) -> str:
    names = ", ".join(f"'{one}'" for one in known)
    return (
        f"The function '{name}' doesn't exist, is disabled, or is not an entity function. "
        f"Additional info: The following are the known entity functions: {names}."
    )


def state_of_raised(error: UserError) -> dict[str, object] | None:
    """The orchestrator state that the SDK put into its exception's text; None when there is none."""
    _, marker, state = error.text.rpartition(STATE_MARKER)
    if not marker:
        return None
    try:
        parsed = json.loads(state)
    except json.JSONDecodeError:
        return None
    return parsed if isinstance(parsed, dict) else None
