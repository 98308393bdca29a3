"""The parts that run on a developer's machine: Azurite, devhost and the worker, and when each is ready."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from tools.failures import SetupProblem
from tools.installation import Places
from tools.supervisor import Part

LOOPBACK = "127.0.0.1"
# The account that every storage emulator has; the key is public and opens nothing but an emulator.
EMULATOR_ACCOUNT = "devstoreaccount1"
EMULATOR_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True)
class StoragePorts:
    blob: int
    queue: int
    table: int

    def all(self) -> tuple[int, int, int]:
        return (self.blob, self.queue, self.table)

    def connection_string(self) -> str:
        base = f"http://{LOOPBACK}"
        return (
            f"DefaultEndpointsProtocol=http;AccountName={EMULATOR_ACCOUNT};AccountKey={EMULATOR_KEY};"
            f"BlobEndpoint={base}:{self.blob}/{EMULATOR_ACCOUNT};"
            f"QueueEndpoint={base}:{self.queue}/{EMULATOR_ACCOUNT};"
            f"TableEndpoint={base}:{self.table}/{EMULATOR_ACCOUNT};"
        )


@dataclass(frozen=True)
class Parts:
    """Builds the command of each part.

    `state` is the folder that the parts may write to; `storage` and `port` say where they listen.
    """

    root: Path
    python: Path
    node: Path
    azurite_script: Path
    state: Path
    storage: StoragePorts
    port: int

    @classmethod
    def of(cls, places: Places, state: Path, storage: StoragePorts, port: int) -> Parts:
        """With the interpreter and the emulator that are installed. Raises SetupProblem without node."""
        return cls(places.root, places.python, places.node(), places.azurite_script, state, storage, port)

    def settings(self) -> dict[str, str]:
        """Environment of devhost and the worker; it wins over local.settings.json."""
        connection = self.storage.connection_string()
        return {"AzureWebJobsStorage": connection, "VideoStorage": connection}

    def azurite(self) -> Part:
        command = [
            str(self.node),
            str(self.azurite_script),
            "--skipApiVersionCheck",  # the storage SDKs speak a newer API than Azurite knows
            "--disableTelemetry",
            "--silent",
            "--location",
            str(self.state / "azurite"),
        ]
        for service, port in zip(("blob", "queue", "table"), self.storage.all(), strict=True):
            command += [f"--{service}Host", LOOPBACK, f"--{service}Port", str(port)]
        return Part("azurite", command, self.root, ready=lambda: all(map(is_open, self.storage.all())))

    def devhost(self, *, shown: bool = False) -> Part:
        arguments = ["start", "--port", str(self.port), "--app", str(self.root)]
        arguments += ["--state", str(self.state / "devhost")]
        part = self.module("devhost", "devhost", arguments, shown=shown)
        return replace(part, ready=lambda: answers(self.port))

    def worker(self, *, shown: bool = False) -> Part:
        return self.module("worker", "worker", shown=shown)

    def module(self, name: str, module: str, arguments: Sequence[str] = (), *, shown: bool = False) -> Part:
        """A Python module of this project as a part, run by the project's own interpreter."""
        command = [str(self.python), "-m", module, *arguments]
        return Part(name, command, self.root, self.settings(), shown=shown)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"


def is_open(port: int) -> bool:
    """Whether something listens on this port of the loopback address."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0


def answers(port: int) -> bool:
    """Whether a Functions host answers its ping on this port."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=2)
    try:
        connection.request("GET", "/admin/host/ping")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def free_ports(count: int) -> list[int]:
    """Different ports that nobody listens on at this moment."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [int(each.getsockname()[1]) for each in sockets]


def wanted_port(port: int, option: str) -> int:
    """`port` if it is free, any free one for 0. Raises SetupProblem when it is busy."""
    if port == 0:
        return free_ports(1)[0]
    if is_open(port):
        raise SetupProblem(f"Port {port} is in use. Close what uses it, or choose another with {option} (0 = any).")
    return port


def wanted_storage_ports(first: int, option: str) -> StoragePorts:
    """`first` and the two above it for blob, queue and table; any free ones for 0."""
    if first == 0:
        return StoragePorts(*free_ports(3))
    return StoragePorts(*(wanted_port(first + offset, option) for offset in range(3)))
