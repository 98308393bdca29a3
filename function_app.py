"""What Azure indexes: the triggers and their bindings. The work is done in `video_jobs`."""

from typing import Any, Dict  # noqa: UP035 - the Python worker in Azure refuses to load a parameter of dict[str, Any]

import azure.durable_functions as df
import azure.functions as func

from video_jobs import (
    cancel,
    housekeeping,
    notifications,
    orchestrator,
    poison,
    redaction,
    rejected,
    reports,
    requests,
    starter,
)
from video_jobs.durable import DurableApp, DurableClient, OrchestrationContext, PurgeClient, Steps

redaction.guard_logs()
app: DurableApp = df.DFApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.route(route="orchestrators/{name}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def video_orchestration_starter(req: func.HttpRequest, client: DurableClient) -> func.HttpResponse:
    return await starter.start(req, client)


@app.orchestration_trigger(context_name="context")
def video_orchestrator(context: OrchestrationContext) -> Steps:
    return orchestrator.run(context)


@app.activity_trigger(input_name="request")
def send_processing_request(request: Dict[str, Any]) -> dict[str, Any]:  # noqa: UP006
    return requests.publish(request)


@app.activity_trigger(input_name="withdrawal")
def withdraw_request(withdrawal: Dict[str, Any]) -> dict[str, Any]:  # noqa: UP006
    return requests.withdraw(withdrawal)


@app.activity_trigger(input_name="notification")
async def SendFailureNotification(notification: Dict[str, Any]) -> dict[str, Any]:  # noqa: N802, UP006 - dashboards know this name
    return await notifications.notify(notification)


@app.activity_trigger(input_name="ignored")
def keep_rejected_reports(ignored: Dict[str, Any]) -> dict[str, Any]:  # noqa: UP006
    return rejected.keep(ignored)


@app.queue_trigger(arg_name="message", queue_name="video-processed", connection="VideoStorage")
@app.durable_client_input(client_name="client")
async def client_function(message: func.QueueMessage, client: DurableClient) -> None:
    await reports.take_message(message, client)


@app.queue_trigger(arg_name="message", queue_name="video-processed-poison", connection="VideoStorage")
@app.durable_client_input(client_name="client")
async def take_poisoned_report(message: func.QueueMessage, client: DurableClient) -> None:
    await poison.take_message(message, client)


@app.route(route="jobs/{instanceId}/processed", methods=["POST"])
@app.durable_client_input(client_name="client")
async def report_processed(req: func.HttpRequest, client: DurableClient) -> func.HttpResponse:
    return await reports.take_post(req, client)


@app.route(route="jobs/{instanceId}/cancel", methods=["POST"])
@app.durable_client_input(client_name="client")
async def cancel_job(req: func.HttpRequest, client: DurableClient) -> func.HttpResponse:
    return await cancel.cancel(req, client)


# Second, minute, hour, day, month, day of the week, in UTC: each night.
@app.timer_trigger(arg_name="timer", schedule="0 17 3 * * *")
@app.durable_client_input(client_name="client")
async def purge_finished_jobs(timer: func.TimerRequest, client: PurgeClient) -> None:
    await housekeeping.purge(client)
