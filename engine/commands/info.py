"""How does `engine info` go? Devices, versions and kernels of this machine, and why CUDA is or is not used."""

import argparse
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import backends
import engine
from engine.commands.report import Output, write
from engine.data import official

_LIBRARIES = ("numpy", "safetensors", "rich", "shtab", "matplotlib", "scikit-learn", "pyarrow", "pillow", "mkl")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def add(commands: Any) -> None:
    """The command and its options."""
    parser = commands.add_parser(
        "info",
        help="devices, versions, kernels",
        description="Devices, versions and kernels of this machine, and why CUDA is or is not used.",
        epilog="examples:\n  engine info\n  engine info --json\n",
    )
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="as one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Print what is known."""
    facts = gather()
    if arguments.json:
        import json

        write(json.dumps(facts) + "\n")
        return 0
    output = Output(quiet=False)
    for heading, table in facts.items():
        output.print(heading)
        width = max(map(len, table))
        for name, value in table.items():
            output.print(f"  {name:<{width}}  {value}")
    return 0


def gather() -> dict[str, dict[str, str]]:
    """Facts by heading."""
    from backends import cupy_backend

    facts = {
        "versions": {"engine": engine.__version__, "python": platform.python_version(), "system": platform.platform()}
    }
    facts["versions"] |= {name: _installed(name) for name in _LIBRARIES}
    for device in backends.devices():
        backend = backends.get(device)
        facts[f"device {device}"] = {name: text for name, text in backend.describe().items() if name != "device"}
        facts[f"device {device}"]["kernels"] += _overridden(backend)
    threads = {name: os.environ[name] for name in _THREADS if name in os.environ}
    facts["device cpu"]["threads"] = f"{os.cpu_count()} processors" + "".join(
        f", {name}={n}" for name, n in threads.items()
    )
    problem = cupy_backend.problem()
    if problem is not None:
        facts["device cuda"] = {"not usable": problem}
    facts["folders"] = {
        "runs": str(Path("runs").absolute()),
        "data": os.environ.get("ENGINE_DATA") or "the variable ENGINE_DATA names none",
        "cache": official.cache_folder(),
    }
    return facts


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _overridden(backend: backends.Backend) -> str:
    names = sorted({definition.__qualname__.partition(".")[0] for definition in backend.overrides})
    return f", and its own for {', '.join(names)}" if names else " for every operation: no kernel of its own is set"
