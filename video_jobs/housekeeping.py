"""Purging the history of finished jobs that are old enough, a little at a time."""

import logging
import os
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from azure.durable_functions import OrchestrationRuntimeStatus

from video_jobs.contract import MAX_TIMEOUT_SECONDS
from video_jobs.durable import PurgeClient
from video_jobs.redaction import one_line
from video_jobs.settings import SettingError, keep_days, utc_now

# Named one by one: the host takes a filter that it does not know for none, and purges whatever runs, too.
FINISHED = [
    OrchestrationRuntimeStatus.Completed,
    OrchestrationRuntimeStatus.Failed,
    OrchestrationRuntimeStatus.Terminated,
    OrchestrationRuntimeStatus.Canceled,
]
# The host purges by when a job began, and a job may take so long.
LONGEST_JOB = timedelta(seconds=MAX_TIMEOUT_SECONDS)
# Each is one call, which has to be done before the host's answer times out; all of them are what a run looks at.
WINDOW = timedelta(hours=6)
HORIZON = timedelta(days=31)
# functionTimeout of host.json is 15 minutes.
LONGEST_RUN = timedelta(minutes=5)


async def purge(
    client: PurgeClient, *, environ: Mapping[str, str] = os.environ, now: Callable[[], datetime] = utc_now
) -> None:
    """Purge the jobs that ended at least VIDEO_KEEP_DAYS days ago and began within a month before that.

    Nothing is purged unless that is set. What fails is logged, and tried again by the next run.
    """
    try:
        days = keep_days(environ)
    except SettingError as error:
        logging.error("Nothing is purged: %s", error)
        return
    if not days:
        return
    began = now()
    newest = began - timedelta(days=days) - LONGEST_JOB
    purged = 0
    for number in range(HORIZON // WINDOW):
        end = newest - number * WINDOW
        if now() - began > LONGEST_RUN:
            logging.warning("Purging took too long; jobs from before %s are left to the next run", end)
            break
        try:
            purged += (await client.purge_instance_history_by(end - WINDOW, end, FINISHED)).instances_deleted
        except Exception as error:
            logging.error("Jobs from %s to %s could not be purged: %s", end - WINDOW, end, one_line(error))
    logging.info("%d finished jobs from before %s were purged", purged, newest)
