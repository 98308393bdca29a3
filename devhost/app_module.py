"""The module that holds the app: imported afresh for each host, and forgotten with it."""

from __future__ import annotations

import importlib
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from azure.functions.decorators.function_app import FunctionRegister

DEFAULT_SCRIPT = "function_app.py"
_DEVHOST = Path(__file__).parent


class AppModule:
    """`<app_dir>/<script>`, with the app's folder on `sys.path` while it is loaded."""

    def __init__(self, app_dir: Path, script: str = DEFAULT_SCRIPT) -> None:
        self.app_dir = app_dir.resolve()
        self.script = script
        self._path_before: list[str] = []
        self._path_own: list[str] = []
        self._loaded_before: set[str] = set()
        self._displaced: ModuleType | None = None

    def load(self) -> list[Any]:
        """Import the app and give its SDK function objects, in the order of decoration.

        Raises whatever the app's own code raises, `FileNotFoundError` when there is no such file, and the
        `ValueError`s of the worker and the SDK (no app, two apps, two functions of one name, ...).
        """
        if not (self.app_dir / self.script).is_file():
            raise FileNotFoundError(
                f"There is no {self.script} in {self.app_dir}. Start in the folder of the app, or name it "
                "with --app; PYTHON_SCRIPT_FILE_NAME changes the file's name. (The older model with a "
                "function.json for each function is not supported.)"
            )
        self._path_before = list(sys.path)
        self._loaded_before = set(sys.modules)
        self._path_own = _with_app(self._path_before, str(self.app_dir))
        sys.path[:] = self._path_own
        importlib.invalidate_caches()
        name = Path(self.script).stem
        self._displaced = sys.modules.pop(name, None)
        self._loaded_before.discard(name)
        module = importlib.import_module(name)
        get_functions: Callable[[], list[Any]] = _only_app(module, name).get_functions
        return get_functions()

    def unload(self) -> None:
        """Forget the app's modules, so that another app (or this one, changed) can be loaded."""
        if not self._path_before:
            return
        for name in sorted(set(sys.modules) - self._loaded_before):
            if self._owns(sys.modules[name]):
                del sys.modules[name]
        if self._displaced is not None:
            sys.modules[Path(self.script).stem] = self._displaced
        if sys.path == self._path_own:
            sys.path[:] = self._path_before
        elif str(self.app_dir) in sys.path:  # another host has come since; its folder stays
            sys.path.remove(str(self.app_dir))
        self._path_before = []

    def _owns(self, module: ModuleType) -> bool:
        file = getattr(module, "__file__", None)
        if file is None:
            # A package without __init__.py has folders only.
            file = next(iter(getattr(module, "__path__", [])), None)
        if file is None:
            return False
        path = Path(file)
        # The app's folder may hold devhost and the virtual environment too; both serve the next app as well.
        foreign = [_DEVHOST, Path(sys.prefix), *_standard_paths()]
        return path.is_relative_to(self.app_dir) and not any(path.is_relative_to(each) for each in foreign)


def _only_app(module: ModuleType, name: str) -> FunctionRegister:
    found: FunctionRegister | None = None
    for attribute in dir(module):
        value = getattr(module, attribute, None)
        if not isinstance(value, FunctionRegister):
            continue
        if found is not None:
            raise ValueError(
                f"More than one {type(found).__name__} or other top level function app instances are defined."
            )
        found = value
    if found is None:
        raise ValueError(f"Could not find top level function app instances in {name}.py.")
    return found


def _standard_paths() -> list[Path]:
    paths = sysconfig.get_paths()
    return [Path(paths[kind]) for kind in ("stdlib", "platstdlib", "purelib", "platlib")]


def _with_app(present: list[str], app_dir: str) -> list[str]:
    """The standard library first, as in Azure: an app's `queue.py` doesn't hide Python's. Then the app, ahead
    of the folder devhost was started in, which may hold a function_app.py as well."""
    paths = sysconfig.get_paths()
    standard = (Path(paths["stdlib"]), Path(paths["platstdlib"]))
    installed = (Path(paths["purelib"]), Path(paths["platlib"]))

    def is_standard(entry: str) -> bool:
        path = Path(entry)
        below = any(path.is_relative_to(each) for each in standard)
        zipped = path.suffix == ".zip" and path.name.startswith("python")
        return zipped or (below and not any(path.is_relative_to(each) for each in installed))

    first = [entry for entry in present if entry and is_standard(entry)]
    rest = [entry for entry in present if entry not in first and entry != app_dir]
    return [*first, app_dir, *rest]
