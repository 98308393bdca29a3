"""The demo's client: uploads a video, starts a job for it, follows the job, and shows what came out.

`python -m tools.send_video --host URL --video FILE --timeout S --folder DIR`; exit code 0 when processed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import requests
from azure.core.exceptions import AzureError

from tools import storage

CONTAINER = "videos"
LOOK_SECONDS = 0.2
# The job ends itself at its deadline; this much later the host is not doing its work.
SLACK_SECONDS = 60
HTTP_SECONDS = 30


class DemoFailed(Exception):
    """The video did not go through; the text says where it stopped."""


class Progress:
    """One line that changes in place on a terminal, one line for each new stage elsewhere."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._stage = ""
        self._in_place = sys.stdout.isatty()

    def show(self, stage: str) -> None:
        text = f"{stage} ({time.monotonic() - self._started:.1f} s)"
        if self._in_place:
            print(f"\r{text:<60}", end="", flush=True)
        elif stage != self._stage:
            print(text)
        self._stage = stage

    def end(self) -> None:
        if self._in_place:
            print()


def start(host: str, blob_url: str, blob_name: str, timeout: int) -> dict[str, Any]:
    """POST the start; the management links. Raises DemoFailed with the host's answer when it is no 202."""
    body = {"blobURL": blob_url, "blobName": blob_name, "timeoutSeconds": timeout}
    answer = requests.post(f"{host}/api/orchestrators/video_orchestrator", json=body, timeout=HTTP_SECONDS)
    if answer.status_code != 202:
        raise DemoFailed(f"The start was answered with {answer.status_code}: {answer.text}")
    links: dict[str, Any] = answer.json()
    return links


def follow(status_url: str, timeout: int) -> dict[str, Any]:
    """Look at the job until it has ended; its status. Raises DemoFailed when it does not end."""
    progress = Progress()
    deadline = time.monotonic() + timeout + SLACK_SECONDS
    while time.monotonic() < deadline:
        answer = requests.get(status_url, timeout=HTTP_SECONDS)
        if answer.status_code not in (200, 202):
            raise DemoFailed(f"The status was answered with {answer.status_code}: {answer.text}")
        status: dict[str, Any] = answer.json()
        if answer.status_code == 200:
            progress.show(str(status["runtimeStatus"]))
            progress.end()
            return status
        stage = (status["customStatus"] or {}).get("stage")
        progress.show(f"{status['runtimeStatus']}: {stage}" if stage else str(status["runtimeStatus"]))
        time.sleep(LOOK_SECONDS)
    raise DemoFailed(f"The job has not ended {SLACK_SECONDS} s after its deadline; its status is at {status_url}")


def run(options: argparse.Namespace) -> int:
    account = storage.connect()
    blob_name = f"{CONTAINER}/{options.video.name}"
    blob_url = storage.upload(account, options.video, blob_name)
    print(f"Uploaded to {blob_url}")
    links = start(options.host, blob_url, blob_name, options.timeout)
    print(f"Job {links['id']} started.")
    status = follow(links["statusQueryGetUri"], options.timeout)
    if status["runtimeStatus"] != "Completed":
        raise DemoFailed(f"The job is {status['runtimeStatus']}: {status['output']}")
    result = status["output"]
    print(json.dumps(result, indent=2, ensure_ascii=False))
    if result["status"] != "processed":
        error = result["error"]
        raise DemoFailed(f"The video was not processed: {result['status']}; {error['step']}: {error['message']}")
    details = result["report"]["details"]
    print(_summary(details))
    sheet = storage.download(account, details["contact_sheet_url"], options.folder / "contact-sheet.jpg")
    print(f"Contact sheet: {sheet}")
    return 0


def _summary(details: dict[str, Any]) -> str:
    segments = details["segments"]
    if not segments:
        return "Nothing moves in this video."
    spans = ", ".join(f"{one['start_seconds']:.1f}-{one['stop_seconds']:.1f} s" for one in segments)
    return f"Motion: {spans}"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.send_video", description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--video", type=Path, required=True)
    parser.add_argument("--timeout", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        return run(options)
    except DemoFailed as error:
        print(error, file=sys.stderr)
    except AzureError as error:
        print(f"The storage account does not answer as it should: {str(error).splitlines()[0]}", file=sys.stderr)
    except requests.RequestException as error:
        print(f"The host at {options.host} does not answer: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
