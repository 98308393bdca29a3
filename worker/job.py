"""One request from the footage to the report."""

import logging
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from video_jobs.contract import ProcessingRequest
from worker import contact_sheet, footage, motion, reports
from worker.account import Account
from worker.failures import VideoError
from worker.results import Results


def utc_now() -> datetime:
    """The worker's clock."""
    return datetime.now(UTC)


def do(
    request: ProcessingRequest,
    account: Account,
    results: Results,
    check: Callable[[], None],
    now: Callable[[], datetime] = utc_now,
) -> dict[str, Any]:
    """Do the request, unless that has been done before, and return its report.

    Footage that can't be processed is a FAILED report. Whatever `check` raises goes through.
    """
    if earlier := results.find(request):
        logging.info("Job %s, attempt %d was done before", request.instance_id, request.attempt)
        return earlier
    started = now()
    try:
        found = _look_at(request, account, check)
    except VideoError as error:
        return reports.failed(request, started, now(), error)
    sheet = contact_sheet.draw(found.pictures)
    urls = {
        "result_url": results.url(request, "result.json"),
        "contact_sheet_url": results.url(request, "contact-sheet.jpg"),
    }
    report = reports.processed(request, started, now(), found, urls)
    check()
    results.store(request, report, sheet)
    return report


def _look_at(request: ProcessingRequest, account: Account, check: Callable[[], None]) -> motion.Motion:
    with tempfile.TemporaryDirectory(prefix="video-worker-") as folder:
        # OpenCV chooses its decoder by the content; the name is ours, for a blob's name may hold anything.
        clip = Path(folder) / "footage"
        footage.fetch(request.blob_url, clip, account, check)
        return motion.detect(clip, check)
