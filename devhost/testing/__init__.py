"""Tests of Durable Functions apps: the real app, SDK and engine in one process, five days in milliseconds.

`devhost.testing.plugin` is the pytest plugin. The guide is doc/testing-durable-functions.md.
"""

from devhost.testing.activities import Activity
from devhost.testing.bad_days import BadDays
from devhost.testing.clock import VirtualClock
from devhost.testing.engine import ReplayDiffers
from devhost.testing.host import Response, TestHost, TestQueue
from devhost.testing.instance import Instance, InstanceFailedError, NeverEndsError
from devhost.testing.leftovers import LeftoverError
from devhost.testing.waits import Waits

__all__ = [
    "Activity",
    "BadDays",
    "Instance",
    "InstanceFailedError",
    "LeftoverError",
    "NeverEndsError",
    "ReplayDiffers",
    "Response",
    "TestHost",
    "TestQueue",
    "VirtualClock",
    "Waits",
]
