"""What host.json says of the task hub (HOST_FACTS 10.1)."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import timedelta

from ..settings import HostSettings, SettingsError
from .engine import Limits
from .links import HUB_NAME
from .scheduled import ReplaySettings

_PLACE = "extensions.durableTask"


@dataclass(frozen=True)
class HubOptions:
    """`connection` is the name of the setting that a live host would find its storage under."""

    name: str
    connection: str
    limits: Limits
    replay: ReplaySettings
    any_state: bool

    @classmethod
    def of(cls, settings: HostSettings) -> HubOptions:
        """Raises SettingsError for a value that a live host would not take."""
        processors = os.cpu_count() or 1
        version = settings.get(f"{_PLACE}.defaultVersion")
        overridable = str(settings.get(f"{_PLACE}.overridableExistingInstanceStates", "NonRunningStates"))
        return cls(
            name=_hub_name(settings),
            connection=str(settings.get(f"{_PLACE}.storageProvider.connectionName", "Storage")),
            limits=Limits(
                orchestrators=settings.integer(f"{_PLACE}.maxConcurrentOrchestratorFunctions", 10 * processors),
                activities=settings.integer(f"{_PLACE}.maxConcurrentActivityFunctions", 10 * processors),
                entities=settings.integer(f"{_PLACE}.maxConcurrentEntityFunctions", 10 * processors),
                entity_batch=settings.integer(f"{_PLACE}.maxEntityOperationBatchSize", 5000),
                hidden=max(_hidden(settings, "controlQueue"), _hidden(settings, "workItemQueue")),
            ),
            replay=ReplaySettings(
                max_actions=settings.integer(f"{_PLACE}.maxOrchestrationActions", 100_000),
                store_inputs=settings.flag(f"{_PLACE}.storeInputsInOrchestrationHistory", False),
                default_version=None if version is None else str(version),
            ),
            any_state=overridable.lower() == "anystate",
        )


def _hidden(settings: HostSettings, queue: str) -> timedelta:
    return settings.timespan(f"{_PLACE}.storageProvider.{queue}VisibilityTimeout", timedelta(minutes=5))


def _hub_name(settings: HostSettings) -> str:
    configured = settings.get(f"{_PLACE}.hubName")
    if configured is None:
        from_site = re.sub("[^A-Za-z0-9]", "", settings.setting("WEBSITE_SITE_NAME") or "")[:45]
        return from_site if HUB_NAME.fullmatch(from_site) else "TestHubName"
    name = settings.resolve(str(configured))
    if not HUB_NAME.fullmatch(name):
        raise SettingsError(
            f"host.json: {_PLACE}.hubName '{name}' must have 3 to 45 letters and digits and begin with a letter."
        )
    return name
