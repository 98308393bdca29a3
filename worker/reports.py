"""The reports that the worker sends, in the contract's shape."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from video_jobs.contract import ProcessingRequest
from worker.failures import VideoError
from worker.footage import without_query
from worker.motion import Motion

# A queue message holds 48 KiB of JSON in base64; the rest of a long list is in result.json.
MOST_SEGMENTS = 400


def processed(
    request: ProcessingRequest, started: datetime, stopped: datetime, motion: Motion, urls: dict[str, str]
) -> dict[str, Any]:
    """The report of a request that went well, with all segments."""
    details = {
        "segments": [asdict(segment) for segment in motion.segments],
        "segments_found": len(motion.segments),
        "duration_seconds": motion.duration_seconds,
        "fps": motion.fps,
        "frames": motion.frames,
        **urls,
    }
    return {**head(request, "PROCESSED", started, stopped), "details": details}


def failed(request: ProcessingRequest, started: datetime, stopped: datetime, error: VideoError) -> dict[str, Any]:
    """The report of a request that can't be done."""
    why = {"code": error.code, "message": str(error), "retryable": error.retryable}
    return {**head(request, "FAILED", started, stopped), "details": {}, "error": why}


def for_queue(report: dict[str, Any]) -> dict[str, Any]:
    """The report with no more segments than a message holds."""
    details = report.get("details") or {}
    if len(details.get("segments", [])) <= MOST_SEGMENTS:
        return report
    return {**report, "details": {**details, "segments": details["segments"][:MOST_SEGMENTS]}}


def head(request: ProcessingRequest, status: str, started: datetime, stopped: datetime) -> dict[str, Any]:
    """What every report begins with; `status` is PROCESSED or FAILED."""
    return {
        "instance_id": request.instance_id,
        "blobUrl": without_query(request.blob_url),
        "blobName": request.blob_name,
        "status": status,
        "start_timestamp": _timestamp(started),
        "stop_timestamp": _timestamp(stopped),
        "attempt": request.attempt,
    }


def _timestamp(moment: datetime) -> str:
    # Without an offset, as the contract's example has it; the time is UTC.
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
