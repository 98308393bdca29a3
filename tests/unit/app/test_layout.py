"""The app as Azure sees it: names that others use, bindings, settings, and what it may import."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from video_jobs.contract import decode_report, decode_start

ROOT = Path(__file__).parents[3]
APP_FILES = [ROOT / "function_app.py", *sorted((ROOT / "video_jobs").glob("*.py"))]
WORKER_FILES = sorted((ROOT / "worker").rglob("*.py"))

LIST_FUNCTIONS = """
import json, sys
import function_app
bindings = {
    each.get_function_name(): [json.loads(binding) for binding in each.get_raw_bindings()]
    for each in function_app.app.get_functions()
}
print(json.dumps({"bindings": bindings, "modules": sorted(sys.modules)}))
"""


@pytest.fixture(scope="module")
def indexed() -> dict[str, Any]:
    # In a process of its own: indexing works once an app object, and other tests have imported much.
    ran = subprocess.run([sys.executable, "-c", LIST_FUNCTIONS], cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def settings(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((ROOT / name).read_text("utf-8"))
    return read


def test_functions_and_their_triggers(indexed: dict[str, Any]) -> None:
    triggers = {
        name: next(binding for binding in bindings if binding["type"].endswith("Trigger"))
        for name, bindings in indexed["bindings"].items()
    }
    assert {name: trigger["type"] for name, trigger in triggers.items()} == {
        "video_orchestration_starter": "httpTrigger",
        "video_orchestrator": "orchestrationTrigger",
        "send_processing_request": "activityTrigger",
        "withdraw_request": "activityTrigger",
        "SendFailureNotification": "activityTrigger",
        "keep_rejected_reports": "activityTrigger",
        "client_function": "queueTrigger",
        "take_poisoned_report": "queueTrigger",
        "purge_finished_jobs": "timerTrigger",
        "report_processed": "httpTrigger",
        "cancel_job": "httpTrigger",
    }
    assert triggers["video_orchestration_starter"]["route"] == "orchestrators/{name}"
    assert triggers["report_processed"]["route"] == "jobs/{instanceId}/processed"
    assert triggers["cancel_job"]["route"] == "jobs/{instanceId}/cancel"
    assert triggers["client_function"]["queueName"] == "video-processed"
    assert triggers["client_function"]["connection"] == "VideoStorage"
    assert triggers["take_poisoned_report"]["queueName"] == "video-processed-poison"
    assert triggers["take_poisoned_report"]["connection"] == "VideoStorage"
    assert {trigger.get("authLevel", "FUNCTION") for trigger in triggers.values()} == {"FUNCTION"}


def test_binding_names_are_letters_and_digits(indexed: dict[str, Any]) -> None:
    names = {binding["name"] for bindings in indexed["bindings"].values() for binding in bindings}
    assert all(name == "$return" or name.isalnum() for name in names)


def test_storage_clients_are_not_imported_at_start(indexed: dict[str, Any]) -> None:
    heavy = [name for name in indexed["modules"] if name.startswith(("azure.storage", "azure.identity"))]
    assert heavy == []


@pytest.mark.parametrize("path", APP_FILES, ids=lambda path: path.name)
def test_app_imports_nothing_of_devhost_worker_or_tests(path: Path) -> None:
    assert not {name for name in imports(path) if name.split(".")[0] in ("devhost", "worker", "tests", "tools")}


@pytest.mark.parametrize("path", WORKER_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_worker_imports_only_the_contract(path: Path) -> None:
    ours = {name for name in imports(path) if name.split(".")[0] in ("devhost", "video_jobs", "tests", "tools")}
    assert all(name.startswith("video_jobs.contract.") for name in ours), ours


def test_host_json() -> None:
    host = settings("host.json")
    assert host["functionTimeout"] == "00:15:00"
    assert host["extensionBundle"]["version"] == "[4.*, 5.0.0)"
    assert host["extensions"]["queues"]["messageEncoding"] == "none"
    assert host["extensions"]["durableTask"]["hubName"] == "VideoJobs"
    assert host["logging"]["logLevel"] == {
        "default": "Information",
        "Host.Aggregator": "Information",
        "Host.Results": "Information",
        "Function.video_orchestrator": "Debug",
        "Function.client_function": "Debug",
        "Function.client_function.User": "Debug",
    }


def test_local_settings_know_only_the_emulator() -> None:
    values = settings("local.settings.json")["Values"]
    assert values == {
        "AzureWebJobsStorage": "UseDevelopmentStorage=true",
        "VideoStorage": "UseDevelopmentStorage=true",
        "FUNCTIONS_WORKER_RUNTIME": "python",
    }
    assert settings("local.settings.json")["IsEncrypted"] is False
    assert "AccountName=devstoreaccount1;" in (ROOT / ".env").read_text("utf-8")


def test_data_files_keep_the_contract() -> None:
    decode_start((ROOT / "tests/data/payload.local.json").read_bytes())
    event = settings("tests/data/event-payload.local.json")
    decode_report(json.dumps({**event, "instance_id": "job-1"}))
    assert set(settings("tests/data/purge-payload.local.json")["runtimeStatus"]) <= {
        "Completed",
        "Failed",
        "Terminated",
        "Canceled",
    }
