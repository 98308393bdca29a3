"""What the worker leaves behind: `<instance id>/<attempt>/result.json` and `contact-sheet.jpg`."""

import json
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import ContentSettings

from video_jobs.contract import ProcessingRequest
from worker.account import Account, create

CONTAINER = "video-results"


class Results:
    """The container `video-results`, created when it is missing.

    A request whose `result.json` is there has been done.
    """

    def __init__(self, account: Account) -> None:
        self._container = account.container(CONTAINER)

    def url(self, request: ProcessingRequest, name: str) -> str:
        """Where a file of this request's result lies; without a signature."""
        return str(self._container.get_blob_client(_path(request, name)).url)

    def find(self, request: ProcessingRequest) -> dict[str, Any] | None:
        """The report that was made for this request before, or None."""
        try:
            stored = self._container.download_blob(_path(request, "result.json")).readall()
        except ResourceNotFoundError:
            return None
        report: dict[str, Any] = json.loads(stored)
        return report

    def store(self, request: ProcessingRequest, report: dict[str, Any], sheet: bytes) -> None:
        """Keep the result. `result.json` comes last: it says that the work is done and all else is there."""
        self._upload(request, "contact-sheet.jpg", sheet, "image/jpeg")
        self._upload(request, "result.json", json.dumps(report, indent=2).encode(), "application/json")

    def _upload(self, request: ProcessingRequest, name: str, content: bytes, kind: str) -> None:
        settings = ContentSettings(content_type=kind)
        blob = self._container.get_blob_client(_path(request, name))
        try:
            blob.upload_blob(content, overwrite=True, content_settings=settings)
        except ResourceNotFoundError:
            create(self._container)
            blob.upload_blob(content, overwrite=True, content_settings=settings)


def _path(request: ProcessingRequest, name: str) -> str:
    return f"{request.instance_id}/{request.attempt}/{name}"
