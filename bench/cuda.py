"""How long does a training step take on a GPU? From 64 to 8192 wide, batch 32 to 65,536, beside PyTorch and JAX.

    python -m bench --device cuda --resume FILE [--minutes 20]      is this suite; any other device with --suite cuda

A step is that of the suite `steps`: forward, softmax cross-entropy, backward, Adam; the same batch, the same first
weights. A cell has a precision besides: that of the matrix products, whose sums are float32, as everything else is.

One cell is measured after another, and written to the file of ``--resume`` at once: the same command goes on where the
last one was stopped, by ``--minutes`` or by anything else, on the same GPU. A cell that was not whole is measured anew.

Times are the GPU's own (events) where a library has them, else the wall's until everything is computed. Where the
arrays of all contestants are small they take turns; else one after another has the memory to itself.

Beside the times stand two limits: what the step's products take at the best rate of a large square product that is
measured here in that precision, and what its arrays take to be read and written once at the measured rate of a copy.
"""

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import cuda_report, options, steps
from bench.contest import BUILD_SECONDS, Contest, FailureError, rounded, spread, take_turns
from bench.facts import facts
from bench.peers import Contestant
from bench.peers.step import Cell, make_arrays, save

CONTESTANTS = {
    "captured": Contestant("engine captured", None, "engine_step", "Captured"),
    "graphs": Contestant("as graphs", None, "engine_step", "Graphs"),
    "many": Contestant("K steps a call", None, "engine_step", "Many"),
    "eager": Contestant("engine eager", None, "engine_step", "Eager"),
    "torch": Contestant("PyTorch eager", "torch", "torch_step", "Eager"),
    "torch-compile": Contestant("max-autotune", "torch", "torch_step", "MaxAutotuned"),
    "torch-graph": Contestant("CUDAGraph", "torch", "torch_step", "Graphed"),
    "jax": Contestant("JAX jit", "jax", "jax_step", "Jit"),
    "jax-scan": Contestant("JAX scan", "jax", "jax_step", "Scan"),
}
RATES = {
    "engine": Contestant("arrays of the engine", None, "engine_step", "Rates"),
    "torch": Contestant("PyTorch", "torch", "torch_step", "Rates"),
}
PEERS = ("torch", "jax")
WIDTHS, BATCHES = (64, 256, 1024, 2048, 4096, 8192), (32, 512, 8192, 65536)
PRECISIONS = ("float32", "tf32", "bfloat16")
TOLERANCES = {"float32": 1e-3, "tf32": 1e-2, "bfloat16": 5e-2}  # of losses, relative to the largest
CLASSES = 10
SMALL = 1 << 30  # bytes of a contestant's arrays, up to which all hold theirs at once
FEW_LOSSES = 5  # are compared where a step takes long


def _nets() -> list[tuple[str, tuple[int, ...], int]]:
    found: list[tuple[str, tuple[int, ...], int]] = [("784-256-128-10", (784, 256, 128, CLASSES), 128)]
    for width in WIDTHS:
        found += [(f"{width}x3-{CLASSES}", (width,) * 4 + (CLASSES,), batch) for batch in BATCHES]
    return found


CELLS = [Cell(*net, "adam", precision) for net in _nets() for precision in PRECISIONS]
FIXED = tuple(
    cell
    for cell in CELLS
    if cell.name
    in (
        "784-256-128-10@128/adam",
        "64x3-10@32/adam",
        "256x3-10@512/adam",
        "1024x3-10@8192/adam",
        "1024x3-10@8192/adam/bfloat16",
        "8192x3-10@8192/adam",
        "8192x3-10@8192/adam/tf32",
        "8192x3-10@8192/adam/bfloat16",
    )
)
"""Eight that tell most, which `scripts/check_gpu.py` measures."""


TINY = tuple(
    Cell("16x3-10", (16,) * 4 + (CLASSES,), batch, "adam", precision)
    for precision in ("float32", "bfloat16")
    for batch in (8, 32)
)
"""For a machine without a GPU."""


def _cells(text: str) -> list[Cell]:
    known = {"all": CELLS, "fixed": list(FIXED), "tiny": list(TINY)}
    chosen: list[Cell] = []
    for word in text.split(","):
        name, _, precision = word.strip().partition("/")
        found = known.get(name) or [
            cell for cell in CELLS if name in (cell.net, f"{cell.net}@{cell.batch}", f"@{cell.batch}", "")
        ]
        found = [cell for cell in found if precision in ("", cell.precision)]
        if not found:
            nets = ", ".join(dict.fromkeys(cell.net for cell in CELLS))
            raise argparse.ArgumentTypeError(
                f"{word}: choose from all, fixed, tiny, {nets}, each with @BATCH, /{', /'.join(PRECISIONS)}, or both"
            )
        chosen += [cell for cell in found if cell not in chosen]
    return chosen


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen on the command line."""
    options.add_peers(parser, PEERS)
    parser.add_argument(
        "--cells",
        type=_cells,
        default=CELLS,
        metavar="CELLS",
        help=f"such as 1024x3-10,64x3-10@32/float32, @8192, /tf32, fixed or tiny (default: all {len(CELLS)})",
    )
    options.add_rounds(parser, 7, "of each cell")
    options.add_threads(parser)
    parser.add_argument("--device", default="cuda", metavar="NAME", help="cuda (default), cuda:1, cpu")
    parser.add_argument(
        "--resume", type=Path, metavar="FILE", help="write each cell there at once, and go on from what it holds"
    )
    parser.add_argument(
        "--minutes", type=options.above_zero, metavar="M", help="begin no cell after so many, and give up the last"
    )


def measure(
    peers: Sequence[str] = PEERS,
    peer_python: Sequence[tuple[str, str]] = (),
    cells: Sequence[Cell] = tuple(CELLS),
    rounds: int = 7,
    threads: int = 1,
    device: str = "cuda",
    resume: Path | None = None,
    minutes: float | None = None,
    ways: Sequence[str] = tuple(CONTESTANTS),
) -> dict[str, Any]:
    """The cells that are not measured yet, one after the other, as far as the time goes; by these contestants alone."""
    end = math.inf if minutes is None else time.monotonic() + 60 * minutes
    result = _begun(resume, device)
    waiting = [cell for cell in cells if cell.name not in result["cells"]]
    takes_part = {name for name, one in CONTESTANTS.items() if one.peer is None or one.peer in peers}
    names = [name for name in CONTESTANTS if name in takes_part and name in ways]
    if waiting:
        pythons = dict(peer_python)
        with Contest(names, pythons, device, threads, CONTESTANTS) as contest:
            if steps.REFERENCE in contest.missing:
                options.fail(f"--device {device}: {contest.missing[steps.REFERENCE]}")
            machine = contest.facts[steps.REFERENCE].get("processor", device)
            if result.setdefault("machine", machine) != machine:
                options.fail(f"--resume {resume}: it was measured on {result['machine']}, and this is {machine}.")
            result["contestants"].update(
                {name: {"label": CONTESTANTS[name].label, **contest.facts[name]} for name in contest.facts}
            )
            result["missing"] = {CONTESTANTS[name].label: reason for name, reason in contest.missing.items()}
            result.update(threads=threads, rounds=rounds)
            if "limits" not in result:
                result["limits"] = limits([one for one in RATES if one in ("engine", *peers)], pythons, device, threads)
            for cell in waiting:
                measured = None if time.monotonic() >= end else _measure_cell(contest, cell, rounds, end)
                if measured is None:
                    break
                result["cells"][cell.name] = measured
                _write(resume, result)
                print(cuda_report.line(cell.name, measured), file=sys.stderr, flush=True)
    result["waiting"] = [cell.name for cell in cells if cell.name not in result["cells"]]
    _write(resume, result)
    return result


# -- the file that it goes on from ---------------------------------------------------------------------------


def _begun(path: Path | None, device: str) -> dict[str, Any]:
    """What is measured already; a new result where nothing is."""
    if path is None or not path.exists():
        if path is not None and not path.absolute().parent.is_dir():
            options.fail(f"--resume {path}: the folder {path.absolute().parent} does not exist.")
        return {"device": device, "contestants": {}, "missing": {}, "cells": {}}
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        result: dict[str, Any] = read["result"]
        if read["suite"] != "cuda" or not isinstance(result["cells"], dict):
            raise KeyError
    except OSError as error:
        options.fail(f"--resume {path}: {error.strerror}.")
    except (ValueError, KeyError, TypeError):
        options.fail(f"--resume {path}: it is no result of this suite; name a new file.")
    if result["device"] != device:
        options.fail(f"--resume {path}: it was measured with --device {result['device']}.")
    return result


def _write(path: Path | None, result: Mapping[str, Any]) -> None:
    """The whole result, in the place of what was there, at once."""
    if path is None:
        return
    beside = path.with_name(f"{path.name}.part")
    try:
        beside.write_text(json.dumps({"suite": "cuda", **facts(), "result": result}, indent=1) + "\n", encoding="utf-8")
        os.replace(beside, path)
    except OSError as error:
        options.fail(f"--resume {path}: {error.strerror}.")


# -- one cell ------------------------------------------------------------------------------------------------


def _measure_cell(contest: Contest, cell: Cell, rounds: int, end: float) -> dict[str, Any] | None:
    """All contestants at a cell; None where the time was up before it was whole."""
    told: dict[str, dict[str, Any]] = {}
    left_out: dict[str, str] = {}
    timed: dict[str, dict[str, Any]] = {}
    names, large = list(contest.workers), nbytes(cell) > SMALL
    given = {"losses": FEW_LOSSES} if large else {}
    with tempfile.TemporaryDirectory() as folder:
        arrays = Path(folder, "arrays.npz")
        save(arrays, make_arrays(cell))
        for group in [[name] for name in names] if large else [names]:
            for name in group:
                if time.monotonic() >= end:
                    return None
                limit = min(BUILD_SECONDS, end - time.monotonic())
                for _, answer in contest.build(cell._asdict(), arrays, [name], limit, **given):
                    if isinstance(answer, str):
                        left_out[name] = answer
                    else:
                        told[name] = answer
            times, failed = take_turns(
                [name for name in group if name in told],
                rounds,
                lambda name: statistics.median(contest.time(name, *steps._plan(told[name]["microseconds"]))),
            )
            left_out |= failed
            timed |= {name: spread(values) for name, values in times.items()}
            if large:
                for name in group:
                    contest.end(name)
    if time.monotonic() >= end:
        return None
    # Where the engine has no such products, the peers are compared with the first of them.
    reference = next((told[name]["losses"] for name in (steps.REFERENCE, *told) if name in told), None)
    tolerance = TOLERANCES[cell.precision]
    losses = {name: steps._comparison(told[name], reference, tolerance) for name in timed}
    return {
        "sizes": cell.sizes,
        "batch": cell.batch,
        "optimizer": cell.optimizer,
        "precision": cell.precision,
        "date": facts()["date"],
        "flops": flops(cell),
        "bytes": traffic(cell),
        "microseconds": timed,
        "first_loss": reference and reference[0],
        "last_loss": reference and reference[-1],
        "losses": losses,
        "notes": {name: one["note"] for name, one in told.items() if one["note"]},
        "left_out": left_out,
        **_ratios(timed, losses),
    }


def _ratios(timed: Mapping[str, Any], losses: Mapping[str, Any]) -> dict[str, Any]:
    """The fastest peer's time over the engine's, step by step and many in one call; and PyTorch's eager one's."""
    peers = [name for name in timed if CONTESTANTS[name].peer is not None and losses[name]["same"]]
    best = min(peers, key=lambda name: timed[name]["median"], default=None)
    ours = [name for name in ("captured", "graphs", "many") if name in timed]
    own = min(ours, key=lambda name: timed[name]["median"], default=None)

    def ratio(peer: str | None, mine: str | None) -> float | None:
        return rounded(timed[peer]["median"] / timed[mine]["median"]) if peer in timed and mine in timed else None

    return {
        "best_peer": best,
        "best_own": own,
        "ratio": ratio(best, own),
        "eager_ratio": ratio("torch", own),
    }


# -- what limits a step --------------------------------------------------------------------------------------


def flops(cell: Cell) -> int:
    """Of the products of a step: three a layer, two in the first, each multiplication and each addition one."""
    layers = [2 * cell.batch * inputs * outputs for inputs, outputs in zip(cell.sizes, cell.sizes[1:], strict=False)]
    return 3 * sum(layers) - layers[0]


def traffic(cell: Cell) -> int:
    """Bytes that a step reads and writes at the least, in float32, where nothing stays in a cache.

    A weight is read forward and backward, its gradient written; the update reads weight, gradient and states, and
    writes weight and states: 3 and 4 + 3 for Adam, 3 and 3 + 2 for SGD with momentum. An output is written, read by
    the next layer and by its weight's gradient; the gradient of it is written, and read twice. The batch is read twice.
    """
    weights = sum((inputs + 1) * outputs for inputs, outputs in zip(cell.sizes, cell.sizes[1:], strict=False))
    outputs = cell.batch * sum(cell.sizes[1:])
    return 4 * ((10 if cell.optimizer == "adam" else 8) * weights + 6 * outputs + 2 * cell.batch * cell.sizes[0])


def nbytes(cell: Cell) -> int:
    """About what a contestant holds: weights, gradients, states and copies of the first; outputs, their gradients."""
    weights = sum((inputs + 1) * outputs for inputs, outputs in zip(cell.sizes, cell.sizes[1:], strict=False))
    return 4 * (6 * weights + 4 * cell.batch * sum(cell.sizes))


def limits(names: Sequence[str], pythons: Mapping[str, str], device: str, threads: int) -> dict[str, Any]:
    """The best rates of products in each precision, and of copies, and by whom; what nobody can do is left out."""
    on_gpu = device != "cpu"
    size, megabytes, seconds = (8192, 1024, 0.2) if on_gpu else (256, 16, 0.02)
    found: dict[str, Any] = {"product_size": size, "copy_megabytes": megabytes, "products": {}, "copy": None}
    for name in names:
        with Contest([name], pythons, device, threads, RATES) as contest:
            for what in (*PRECISIONS, "copy"):
                try:
                    if what == "copy":
                        told = contest.ask(name, "copy", megabytes=megabytes, seconds=seconds)
                    else:
                        told = contest.ask(name, "product", precision=what, size=size, seconds=seconds)
                except FailureError:
                    continue
                one = {"rate": rounded(told["rate"]), "by": RATES[name].label}
                before = found["copy"] if what == "copy" else found["products"].get(what)
                if before is not None and before["rate"] >= one["rate"]:
                    continue
                if what == "copy":
                    found["copy"] = one
                else:
                    found["products"][what] = one
    return found


def report(result: dict[str, Any]) -> str:
    """The result as a table to print."""
    return cuda_report.table(result)
