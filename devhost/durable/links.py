"""The URLs that clients are handed: the durableClient binding's JSON and the links of a 202 (HOST_FACTS 4 and 5.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote_plus

from .events import dump

WEBHOOK = "/runtime/webhooks/durabletask"
HUB_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{2,44}")

_OPERATIONS = {
    "statusQueryGetUri": "?",
    "sendEventPostUri": "/raiseEvent/{eventName}?",
    "terminatePostUri": "/terminate?reason={text}&",
    "rewindPostUri": "/rewind?reason={text}&",
    "purgeHistoryDeleteUri": "?",
    "restartPostUri": "/restart?",
    "suspendPostUri": "/suspend?reason={text}&",
    "resumePostUri": "/resume?reason={text}&",
}


@dataclass(frozen=True)
class Hub:
    """What a link says of the task hub: its name, its connection's name and the system key."""

    name: str
    connection: str
    key: str

    @property
    def query(self) -> str:
        return f"taskHub={self.name}&connection={self.connection}&code={self.key}"


def management_urls(origin: str, instance_id: str, hub: Hub) -> dict[str, str]:
    """All links of one instance. `instance_id` is put in as it is."""
    base = f"{origin}{WEBHOOK}/instances/{instance_id}"
    return {name: f"{base}{operation}{hub.query}" for name, operation in _OPERATIONS.items()}


def check_status_body(origin: str, instance_id: str, hub: Hub) -> dict[str, str]:
    """The body of the management API's own 202, which leaves out `rewindPostUri`."""
    urls = management_urls(origin, quote_plus(instance_id), hub)
    del urls["rewindPostUri"]
    return {"id": instance_id, **urls}


def client_json(origin: str, rpc_base: str, hub: Hub) -> str:
    """The text that a durableClient binding hands to the function, keys in the host's order."""
    webhook = origin + WEBHOOK
    create = f"{webhook}/orchestrators/{{functionName}}[/{{instanceId}}]"
    wait = "timeout={timeoutInSeconds}&pollingInterval={intervalInSeconds}&"
    return dump(
        {
            "taskHubName": hub.name,
            "connectionName": None,
            "creationUrls": {
                "createNewInstancePostUri": f"{create}?code={hub.key}",
                "createAndWaitOnNewInstancePostUri": f"{create}?{wait}code={hub.key}",
            },
            "managementUrls": {"id": "INSTANCEID", **management_urls(origin, "INSTANCEID", hub)},
            "baseUrl": webhook,
            "requiredQueryStringParameters": f"code={hub.key}",
            "rpcBaseUrl": rpc_base,
            "httpBaseUrl": None,
            "maxGrpcMessageSizeInBytes": None,
            "grpcHttpClientTimeout": None,
        }
    )
