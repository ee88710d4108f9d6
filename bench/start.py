"""How soon does it begin, and how much room does it take? Imports, the first training step, installed bytes.

- ``import``: seconds of the import statement in a fresh process; NumPy's, which the engine needs, beside it.
- ``first step``: seconds from the start of a process until it has trained one step of 64-64-10 at batch 32: Python,
  imports, what is compiled or recorded, the step.
- ``installed``: bytes of the files of a library and of all that it depends on, as its Python's metadata lists them.

Fresh processes one after the other, in turns, from a warm cache of files: the first round is not counted. What is kept
on disk of earlier compilations, as by torch.compile, is used. Whose process takes long has fewer rounds.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench import options
from bench.contest import ROOT, THREAD_VARIABLES, FailureError, rounded, spread, take_turns
from bench.peers import CONTESTANTS, PEERS
from bench.peers.step import Cell, make_arrays, save

CELL = Cell("64-64-10", (64, 64, 10), 32, "sgd")
LONG_SECONDS = 5.0  # a process that takes longer is started LONG_ROUNDS times
LONG_ROUNDS = 2
LIMIT = 300.0


class Library(NamedTuple):
    """What is imported, and what its distribution is called; ``peer`` as in --peers, None for the engine's Python."""

    label: str
    peer: str | None
    module: str
    distributions: tuple[str, ...]


LIBRARIES = {
    "engine": Library("engine", None, "engine", ()),
    "numpy": Library("NumPy", None, "numpy", ("numpy",)),
    "torch": Library("PyTorch", "torch", "torch", ("torch",)),
    "jax": Library("JAX", "jax", "jax", ("jax", "jaxlib")),
    "thinc": Library("Thinc", "thinc", "thinc.api", ("thinc",)),
    "sklearn": Library("scikit-learn", "sklearn", "sklearn.neural_network", ("scikit-learn",)),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen on the command line."""
    options.add_peers(parser)
    options.add_rounds(parser, 7, "of each process")
    options.add_threads(parser)


def measure(
    peers: Sequence[str] = PEERS,
    peer_python: Sequence[tuple[str, str]] = (),
    rounds: int = 7,
    threads: int = 1,
) -> dict[str, Any]:
    """All three parts; who could not be measured is in ``missing``, with the reason."""
    pythons = dict(peer_python)
    libraries = {name: one for name, one in LIBRARIES.items() if one.peer is None or one.peer in peers}
    stepping = {
        name: one for name, one in CONTESTANTS.items() if name != "products" and (one.peer is None or one.peer in peers)
    }
    variables = dict.fromkeys(THREAD_VARIABLES, str(threads))

    def python_of(peer: str | None) -> str:
        return pythons.get(peer or "", sys.executable)

    def imported(name: str) -> float:
        one = libraries[name]
        code = f"import time; start = time.perf_counter(); import {one.module}; print(time.perf_counter() - start)"
        return float(_run([python_of(one.peer), "-c", code], variables))

    with tempfile.TemporaryDirectory() as folder:
        arrays, cell = Path(folder, "arrays.npz"), Path(folder, "cell.json")
        save(arrays, make_arrays(CELL))
        cell.write_text(json.dumps(CELL._asdict()))
        losses: dict[str, float] = {}

        def first_step(name: str) -> float:
            one = stepping[name]
            words = ["-m", "bench.peers.first_step", one.module, one.kind, str(threads), str(cell), str(arrays)]
            start = time.perf_counter()
            line = _run([python_of(one.peer), *words], variables)
            seconds = time.perf_counter() - start
            told = json.loads(line)
            if "error" in told:
                raise FailureError(" ".join(told["error"].split())[:300])
            losses[name] = told["loss"]
            return seconds

        imports, no_import = _in_turns(list(libraries), rounds, imported)
        # Who cannot be imported cannot step; the others say themselves what they lack.
        able = [name for name, one in stepping.items() if one.peer is None or one.peer not in no_import]
        steps, no_step = _in_turns(able, rounds, first_step)
    sizes, no_size = _installed(
        {name: one for name, one in libraries.items() if name not in no_import and name != "numpy"}, python_of
    )
    return {
        "threads": threads,
        "rounds": rounds,
        "cell": CELL.name,
        "labels": {name: one.label for name, one in libraries.items()},
        "step_labels": {name: one.label for name, one in stepping.items()},
        "import": imports,
        "first_step": steps,
        "loss": {name: rounded(loss) for name, loss in losses.items()},
        "installed": sizes,
        "missing": {
            **{libraries[name].label: reason for name, reason in no_import.items()},
            **{f"{stepping[name].label}, first step": reason for name, reason in no_step.items()},
            **{f"{libraries[name].label}, installed bytes": reason for name, reason in no_size.items()},
        },
    }


def _run(command: Sequence[str], variables: Mapping[str, str]) -> str:
    """What a process of its own prints last; FailureError where it fails."""
    try:
        run = subprocess.run(
            command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **variables}, timeout=LIMIT
        )
    except OSError as error:
        raise FailureError(f"{command[0]}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise FailureError(f"it took more than {LIMIT:g} seconds") from None
    if run.returncode:
        said = [line.strip() for line in run.stderr.splitlines() if line.strip()]
        raise FailureError((said[-1] if said else f"its process ended with code {run.returncode}")[:300])
    return run.stdout.strip().splitlines()[-1]


def _in_turns(
    names: Sequence[str], rounds: int, turn: Callable[[str], float]
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Seconds by name, without those of a first turn that brings the files into memory; and who failed."""
    first, left_out = take_turns(names, 1, turn)
    times: dict[str, list[float]] = {}
    for chosen, count in (
        ([name for name, one in first.items() if one[0] <= LONG_SECONDS], rounds),
        ([name for name, one in first.items() if one[0] > LONG_SECONDS], min(rounds, LONG_ROUNDS)),
    ):
        given, failed = take_turns(chosen, count, turn)
        times |= given
        left_out |= failed
    return {name: spread(times[name]) | {"rounds": len(times[name])} for name in names if name in times}, left_out


def _installed(
    libraries: Mapping[str, Library], python_of: Callable[[str | None], str]
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    sizes: dict[str, dict[str, Any]] = {}
    left_out: dict[str, str] = {}
    for name, one in libraries.items():
        words = ["--tree", str(ROOT)] if name == "engine" else list(one.distributions)
        try:
            told = json.loads(_run([python_of(one.peer), "-m", "bench.peers.installed", *words], {}))
        except FailureError as error:
            left_out[name] = str(error)
            continue
        if told:
            ordered = dict(sorted(told.items(), key=lambda item: -item[1]))
            sizes[name] = {"bytes": sum(told.values()), "distributions": ordered}
        else:
            left_out[name] = "its Python's metadata does not list it"
    return sizes, left_out


# -- the table -----------------------------------------------------------------------------------------


def _seconds(one: dict[str, Any]) -> str:
    low, high = one["quartiles"]
    return f"{one['median']:8.3f} s ±{(high - low) / 2 / one['median']:<4.0%}"


def report(result: dict[str, Any]) -> str:
    """The result as tables to print."""
    lines = [f"Import in a fresh process; medians of {result['rounds']} ± half the distance of the quartiles"]
    own = result["import"].get("engine")
    for name, one in result["import"].items():
        times = "" if own is None or name == "engine" else f"{one['median'] / own['median']:10.1f} times the engine's"
        lines.append(f"  {result['labels'][name]:<18}{_seconds(one)}{times}".rstrip())
    lines += ["", f"From the start of a process to one trained step of {result['cell']}, {result['threads']} threads"]
    captured = result["first_step"].get("captured")
    for name, one in result["first_step"].items():
        times = ""
        if captured is not None and name not in ("captured", "eager"):
            times = f"{one['median'] / captured['median']:10.1f} times the captured one's"
        few = "" if one["rounds"] == result["rounds"] else f"    {one['rounds']} rounds"
        lines.append(
            f"  {result['step_labels'][name]:<18}{_seconds(one)}   loss {result['loss'][name]:.4f}{times}{few}"
        )
    lines += ["", "Installed, with all that it depends on, without bytecode"]
    for name, one in result["installed"].items():
        largest = ", ".join(f"{part} {size / 1e6:.1f}" for part, size in list(one["distributions"].items())[:4])
        more = len(one["distributions"]) - 4
        rest = f", {more} more" if more > 0 else ""
        lines.append(f"  {result['labels'][name]:<18}{one['bytes'] / 1e6:8.1f} MB   {largest}{rest}")
    lines.append("")
    lines += [f"missing: {label}: {reason}" for label, reason in result["missing"].items()]
    return "\n".join(lines)
