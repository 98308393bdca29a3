"""`dev.py bench`: measures, each figure beside a peer's in the same run, and prints what it measured."""

from __future__ import annotations

import argparse
import os

from tools.failures import PartFailed, SetupProblem
from tools.installation import Places
from tools.supervisor import Part, Supervisor

PEERS = ".demo/bench-packages"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="which benchmarks (default: all)")
    parser.add_argument("--list", action="store_true", help="print their names")


def names(places: Places) -> list[str]:
    """The modules of bench/."""
    return sorted(file.stem for file in (places.root / "bench").glob("*.py") if file.stem != "__init__")


def run(options: argparse.Namespace, places: Places, supervisor: Supervisor) -> int:
    known = names(places)
    if options.list:
        print("\n".join(known))
        return 0
    if unknown := [name for name in options.names if name not in known]:
        raise SetupProblem(f"There is no benchmark {', '.join(unknown)}; there are: {', '.join(known)}.")
    peers = places.root / PEERS
    # Apart from the project's packages: the peers bring versions of their own.
    install = ["-m", "pip", "install", "--quiet", "--upgrade", "--target", str(peers), "-r", "bench/requirements.txt"]
    pip = Part("pip", [str(places.python), *install], places.root, places.environment())
    if (failure := supervisor.outcome(pip)) is not None:
        raise SetupProblem(f"The peers of bench/requirements.txt could not be installed: {failure}")
    environment = places.environment()
    environment["PYTHONPATH"] = os.pathsep.join([str(places.root), str(peers)])
    for name in options.names or known:
        print(f"== {name}")
        part = Part(name, [str(places.python), "-m", f"bench.{name}"], places.root, environment, shown=True)
        if (failure := supervisor.outcome(part, lines=0)) is not None:
            raise PartFailed(failure)
    return 0
