"""What must be installed before anything runs: the Python packages and the storage emulator.

Each is installed only when its list changed, which a stamp file beside the installed files remembers.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tools.failures import SetupProblem
from tools.supervisor import Part, Supervisor

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ("requirements.txt", "requirements-dev.txt")
INSTALL_NODE = "Install Node.js 20 or newer (it brings npm) from nodejs.org, then run this again."


@dataclass(frozen=True)
class Places:
    """Where the installed files are. A folder that is given from outside is used as it is, never changed."""

    root: Path
    venv: Path
    node_modules: Path
    venv_is_ours: bool = True
    node_modules_are_ours: bool = True

    @classmethod
    def of(cls, root: Path, venv: str | None, node_modules: str | None) -> Places:
        """From options, else from DEV_VENV and DEV_NODE_MODULES, else `.venv`, `node_modules` in `root`."""
        venv = venv or os.environ.get("DEV_VENV")
        node_modules = node_modules or os.environ.get("DEV_NODE_MODULES")
        return cls(
            root,
            Path(venv).resolve() if venv else root / ".venv",
            Path(node_modules).resolve() if node_modules else root / "node_modules",
            not venv,
            not node_modules,
        )

    @property
    def scripts(self) -> Path:
        return self.venv / ("Scripts" if sys.platform == "win32" else "bin")

    @property
    def python(self) -> Path:
        return self.scripts / ("python.exe" if sys.platform == "win32" else "python")

    @property
    def azurite_script(self) -> Path:
        # Run by node itself: the npm wrapper is a batch file on Windows; stopping that leaves node behind.
        return self.node_modules / "azurite" / "dist" / "src" / "azurite.js"

    def node(self) -> Path:
        """Where node is. Raises SetupProblem without it."""
        found = shutil.which("node")
        if found is None:
            raise SetupProblem(f"Node.js was not found; Azurite, the storage emulator, needs it. {INSTALL_NODE}")
        return Path(found)

    def environment(self) -> dict[str, str]:
        """For child processes that call the project's tools by name or start dev.py themselves."""
        path = os.pathsep.join([str(self.scripts), os.environ.get("PATH", "")])
        return {"PATH": path, "DEV_VENV": str(self.venv), "DEV_NODE_MODULES": str(self.node_modules)}


def install_python_packages(places: Places, supervisor: Supervisor) -> None:
    """Make the virtual environment and install the requirements, where needed. Raises SetupProblem."""
    if not places.venv_is_ours:
        if not places.python.is_file():
            raise SetupProblem(f"There is no Python at {places.python}; --venv or DEV_VENV must name a venv.")
        return
    if not _usable(places.python):
        command = [sys.executable, "-m", "venv", "--clear", str(places.venv)]
        remedy = "On Debian and Ubuntu: apt-get install python3-venv."
        _run(supervisor, "Making .venv", Part("venv", command, places.root), remedy=remedy)
    stamp = places.venv / ".installed"
    wanted = _digest([places.root / name for name in REQUIREMENTS])
    if _read(stamp) == wanted:
        return
    command = [str(places.python), "-m", "pip", "install", "--disable-pip-version-check"]
    command += ["--requirement", str(places.root / REQUIREMENTS[-1])]
    remedy = "Check the network (and a proxy, if you use one), then run this again."
    _run(supervisor, "Installing the Python packages", Part("pip", command, places.root), remedy=remedy)
    stamp.write_text(wanted, "utf-8")


def install_storage_emulator(places: Places, supervisor: Supervisor) -> None:
    """Install the pinned Azurite, where needed. Raises SetupProblem."""
    if not places.node_modules_are_ours:
        if not places.azurite_script.is_file():
            raise SetupProblem(f"There is no Azurite in {places.node_modules}, the --node-modules folder.")
        return
    stamp = places.node_modules / ".installed"
    wanted = _digest([places.root / "package-lock.json"])
    if _read(stamp) == wanted and places.azurite_script.is_file():
        return
    npm = shutil.which("npm")
    if npm is None:
        raise SetupProblem(f"npm was not found; Azurite, the storage emulator, is installed with it. {INSTALL_NODE}")
    command = [npm, "ci", "--no-audit", "--no-fund"]
    remedy = "Check the network (and a proxy, if you use one), then run this again."
    _run(
        supervisor,
        "Installing Azurite, the storage emulator",
        Part("npm", command, places.root),
        remedy=remedy,
    )
    stamp.write_text(wanted, "utf-8")


def _run(supervisor: Supervisor, what: str, part: Part, *, remedy: str) -> None:
    print(f"{what} ...", end=" ", flush=True)
    started = time.monotonic()
    failure = supervisor.outcome(part)
    print(f"{'failed' if failure else 'done'} after {time.monotonic() - started:.0f} s.")
    if failure:
        raise SetupProblem(f"{what} failed. {remedy} {failure}")


def _usable(python: Path) -> bool:
    """Whether the environment's interpreter starts (its base may be gone) and is new enough."""
    question = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    try:
        return subprocess.run([python, "-c", question], capture_output=True, check=False).returncode == 0  # noqa: S603
    except OSError:
        return False


def _digest(files: list[Path]) -> str:
    # Line ends differ between a checkout on Windows and one elsewhere; the list is the same.
    text = b"\0".join(file.read_bytes().replace(b"\r\n", b"\n") for file in files)
    return hashlib.sha256(text).hexdigest()


def _read(stamp: Path) -> str | None:
    return stamp.read_text("utf-8") if stamp.is_file() else None
